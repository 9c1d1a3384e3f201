import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import keras_sknet

ROOT = Path(__file__).resolve().parent.parent
OPTIONAL = (
    *("sklearn", "matplotlib", "ai_edge_litert", "onnx", "tf2onnx", "onnxruntime", "openvino"),
    *(
        "jax",
        "torch",
        "tensorflow_datasets",
        "keras_cv",
        "keras_hub",
        "huggingface_hub",
        "safetensors",
        "jinja2",
        "tqdm",
    ),
)
DATA = (
    *("py.typed", "models/imagenet_classes.txt", "analysis/report.html.jinja"),
    "weights/shipped/SKNetThin-cifar10.keras",
)
EXTRAS = {
    "train",
    "litert",
    "onnx",
    "openvino",
    "serve",
    "test",
    "pretrained",
    "tables",
    "cv",
    "hub",
    "tfds",
    "gpu",
}


def run(*command, cwd):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert process.returncode == 0, f"{process.stdout[-3000:]}\n{process.stderr[-3000:]}"
    return process.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(sdist, wheel), the wheel made from the sdist; from a copy, as a build leaves folders behind."""
    folder = tmp_path_factory.mktemp("packaging")
    ignore = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder / "checkout", ignore=ignore)
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist")
    run(*build, folder / "checkout", cwd=folder)
    (sdist,), (wheel,) = (folder / "dist").glob("*.tar.gz"), (folder / "dist").glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The programs of a virtual environment that holds the wheel and borrows its dependencies from ours."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    programs = Path(sysconfig.get_path("scripts", "venv", {"base": str(folder)}))
    pip = (sys.executable, "-m", "pip", "--python", programs / "python")
    run(*pip, "install", "--no-deps", "--no-index", built[1], cwd=folder)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return programs


def test_version_is_written_where_setup_reads_it():
    source = (ROOT / "keras_sknet" / "__init__.py").read_text(encoding="utf-8")
    assert re.findall(r'^__version__ = "(\d+\.\d+\.\d+)"$', source, re.MULTILINE) == [keras_sknet.__version__]


def test_the_checkout_is_what_is_tested():
    assert Path(keras_sknet.__file__).parent == ROOT / "keras_sknet"


def test_a_missing_requirement_skips_but_fails_in_ci(require, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    require(sys.executable, "Python")
    with pytest.raises(pytest.skip.Exception, match="needs a compiler"):
        require(None, "a compiler")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="needs a compiler"):
        require(None, "a compiler")


@pytest.mark.slow
def test_wheel_holds_the_package_and_nothing_else(built):
    with zipfile.ZipFile(built[1]) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "keras_sknet").rglob("*.py")}
    assert held == modules | {f"keras_sknet/{name}" for name in DATA}
    assert f"\nVersion: {keras_sknet.__version__}\n" in text
    assert set(re.findall(r"^Provides-Extra: (\S+)$", text, re.MULTILINE)) == EXTRAS


@pytest.mark.slow
def test_sdist_holds_all_that_a_packager_needs(built):
    with tarfile.open(built[0]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"setup.py", "pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md"}
    for folder in ("keras_sknet", "tests", "examples", "docs", "benchmarks"):
        files = (path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix != ".pyc")
        wanted |= {path.relative_to(ROOT).as_posix() for path in files}
    assert wanted - held == set()


@pytest.mark.slow
def test_installed_wheel_builds_sknet50_without_any_extra(installed, tmp_path):
    code = f"""
import sys
sys.modules.update(dict.fromkeys({OPTIONAL!r}))
import importlib.metadata, importlib.resources, keras_sknet
print(keras_sknet.__file__)
print(importlib.metadata.version("keras_sknet"))
print(importlib.resources.files("keras_sknet").joinpath("py.typed").is_file())
print(sum(v.shape.num_elements() for v in keras_sknet.SKNet50().trainable_variables))
"""
    file, version, typed, parameters = run(installed / "python", "-c", code, cwd=tmp_path).split()
    assert Path(file).is_relative_to(installed.parent)
    assert (version, typed, parameters) == (keras_sknet.__version__, "True", "27479784")


@pytest.mark.slow
def test_installed_command_runs(installed, tmp_path):
    assert "train" in run(installed / "keras-sknet", "--help", cwd=tmp_path)
