"""Names and paths, of the user or in a file, are data: they run nothing and lead nowhere else."""

import ast
import json
import os
import re
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from data_sources import encoded, picture, write_folder

import keras_sknet
from keras_sknet.cli import main
from keras_sknet.data import find_corrupt, open_source
from nets import small

PACKAGE = Path(keras_sknet.__file__).parent
# What reads more than data, by the last part of its name or by all of it.
MODULES = ("pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "torch", "yaml", "jsonpickle")
CALLS = ("eval", "exec", "compile", "enable_unsafe_deserialization", "extractall", "unpack_archive")
METHODS = ("compile",)  # of a keras.Model
# These load a model that this process, or one that a checksum vouches for, has written.
LOADERS = {"models/keras_file.py"}


def offences(source, name="x.py"):
    """What in a module could run code that is in a file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
            yield from (module for module in modules if (module or "").partition(".")[0] in MODULES)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            last = called.rpartition(".")[2]
            if last in CALLS and not (last in METHODS and "." in called):
                yield called
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if given.get("safe_mode", "True") != "True":
                yield f"{called}(safe_mode={given['safe_mode']})"
            if re.fullmatch(r"(np|numpy)\.load", called) and given.get("allow_pickle") != "False":
                yield called
            if called.startswith("keras.") and last == "load_model" and name not in LOADERS:
                yield called


def test_no_source_of_the_package_runs_what_it_reads():
    found = {
        str(path.relative_to(PACKAGE)): list(
            offences(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE).as_posix())
        )
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    assert len(found) > 90
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "def f():\n    import yaml",
        "eval(text)",
        "exec(compile(text, 'x', 'exec'))",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "keras.models.load_model(path, safe_mode=False)",
        "keras.config.enable_unsafe_deserialization()",
        "archive.extractall(folder)",
        "keras.saving.load_model(path)",
    ],
)
def test_the_check_finds_what_it_forbids(source):
    assert list(offences(source))
    assert not list(offences("np.load(path, allow_pickle=False)\nre.compile(x)\nmodel.compile('sgd')"))


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "x.keras"
    small(activation="softmax").save(path)
    return path


def repacked(path, whole, change=lambda config: config, **members):
    """Writes a `.keras` file with another config, and members more, as Python packs them."""
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            contents = old.read(name)
            if name == "config.json":
                contents = json.dumps(change(json.loads(contents))).encode()
            new.writestr(name, contents)
        for name, contents in members.items():
            new.writestr(name, contents)
    return path


def error_of(capfd, *arguments):
    assert main(list(map(str, arguments))) == 2
    out, err = capfd.readouterr()
    (line,) = [line for line in err.splitlines() if line.startswith("keras-sknet: error: ")]
    assert "Traceback" not in err
    return line


def with_layer(layer):
    """A change of a config that puts a layer in the place of the last one."""

    def change(config):
        last = config["config"]["layers"][-1]
        last |= {"registered_name": None, **layer}
        return config

    return change


CODE = {
    "lambda": {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {
            "name": "classifier",
            "function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None}},
        },
    },
    "a function of os": {"module": "os", "class_name": "system", "config": {"command": "touch owned"}},
    "a class of Python's": {"module": "subprocess", "class_name": "Popen", "config": {"args": ["touch"]}},
    "a function of Keras'": {
        "module": "keras.utils",
        "class_name": "get_file",
        "config": {"origin": "file:///etc/passwd"},
    },
}


@pytest.mark.parametrize("name", CODE)
def test_a_model_that_asks_for_code_is_one_error(name, model_file, tmp_path, capfd):
    path = repacked(tmp_path / "x.keras", model_file, with_layer(CODE[name]))
    (tmp_path / "a.jpg").write_bytes(encoded(picture()))
    line = error_of(capfd, "predict", path, tmp_path / "a.jpg")
    assert str(path) in line
    with pytest.raises(ValueError, match=re.escape(str(path))):
        keras_sknet.SKNetSmall(weights=path)
    assert sorted(os.listdir(tmp_path)) == ["a.jpg", "x.keras"]


@pytest.mark.parametrize("member", ["../../out.txt", "/tmp/keras-sknet-out.txt", "assets/../../out.txt"])
def test_an_archive_writes_nothing_outside_of_itself(member, model_file, tmp_path, capfd):
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(encoded(picture()))
    path = repacked(folder / "x.keras", model_file, **{member: "out"})
    line = error_of(capfd, "predict", path, folder / "a.jpg")
    assert str(path) in line and f"it has a member outside of it, {member!r}" in line
    assert [path.name for path in tmp_path.rglob("*out.txt")] == []
    assert not Path("/tmp/keras-sknet-out.txt").exists()


def test_another_programs_archive_says_so(model_file, tmp_path, capfd):
    with zipfile.ZipFile(model_file) as old, zipfile.ZipFile(tmp_path / "x.keras", "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    line = error_of(capfd, "analyze", tmp_path / "x.keras", "--data", "digits", "-o", tmp_path / "report")
    assert "the archive is damaged" in line
    assert os.listdir(tmp_path) == ["x.keras"]


NAMES = ("a b.jpg", 'it\'s "x".jpg', "-o.jpg", "two\nlines.jpg", "$(touch x).jpg", "\udcff.jpg", "ü.jpg")


def test_any_name_of_a_file_will_do(model_file, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        Path(name).write_bytes(encoded(picture()))
    assert main(["predict", str(model_file), "--top", "1", "--", *NAMES]) == 0
    out, err = capfd.readouterr()
    titles = [line for line in out.splitlines() if not line.startswith(" ")]
    assert titles == [f"{name}:" if name.isprintable() else f"{ascii(name)}:" for name in NAMES]
    # A terminal's control codes stay what they are.
    assert main(["predict", str(model_file), "\x1b[2Jno.jpg"]) == 2
    _, err = capfd.readouterr()
    assert "Skipped: '\\x1b[2Jno.jpg', which does not exist" in err and "\x1b" not in err
    assert sorted(os.listdir()) == sorted(NAMES)


def test_links_that_lead_to_themselves_and_pipes_in_a_folder(tmp_path, capfd):
    write_folder(tmp_path, {"train": {"cat": 2, "dog": 2}})
    cat = tmp_path / "train" / "cat"
    (cat / "loop.jpg").symlink_to(cat / "loop.jpg")
    (cat / "up.jpg").symlink_to(tmp_path)
    (tmp_path / "train" / "loop").symlink_to(tmp_path / "train" / "loop")
    (cat / "deeper").symlink_to(cat)
    os.mkfifo(cat / "pipe.jpg")  # which nobody will ever write to
    Path(os.fsdecode(os.fsencode(cat) + b"/\xff\n.jpg")).write_bytes(b"")
    source = open_source(f"folder:{tmp_path}", "train")
    assert source.class_names == ("cat", "dog") and len(source) == 6
    found = {Path(path).name: reason for _, path, reason in find_corrupt(source)}
    assert found.keys() == {"loop.jpg", "\\xff\n.jpg"}
    assert found["\\xff\n.jpg"] == "is empty" and found["loop.jpg"].startswith("cannot be read")


def test_names_of_classes_that_are_no_text_are_refused(tmp_path):
    for name in (b"cat", b"\xff"):
        folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/train/" + name))
        folder.mkdir(parents=True)
        (folder / "a.jpg").write_bytes(encoded(picture()))
    with pytest.raises(ValueError, match="must be a folder of classes named in UTF-8. Received: .*udcff"):
        open_source(f"folder:{tmp_path}", "train")


@pytest.mark.parametrize("name", ["timm/x@../../y", "timm/../x", "timm/x@a/../../b"])
def test_weights_of_the_hub_do_not_lead_out_of_its_cache(name):
    with pytest.raises(ValueError, match="`weights` must be None, 'imagenet', .*'timm/NAME.TAG'"):
        keras_sknet.SKNetSmall(weights=name)


@pytest.mark.slow
def test_names_of_classes_are_text_in_every_file(tmp_path, capfd):
    names = ("<script>alert(1)<\u2044script>", "a\nb", '"><img src=x onerror=y>', "x..", "$x^{$", "=1+1,2")
    data = tmp_path / "data"
    write_folder(data, {"validation": {name: 3 for name in names}})
    model = keras_sknet.SKNetSmall(classes=len(names), class_names=sorted(names))
    model.save(tmp_path / "net.keras")
    source = f"folder:{data}"
    for command in ("analyze", "evaluate"):
        output = tmp_path / command
        assert main([command, str(tmp_path / "net.keras"), "--data", source, "-o", str(output)]) == 0
    page = (tmp_path / "analyze" / "index.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "<img" not in page
    assert "&lt;script&gt;alert(1)" in page
    served = tmp_path / "served"
    keras_sknet.export_saved_model(model, served)
    labels = (served / "assets" / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert labels == [" ".join(name.splitlines()) for name in sorted(names)]
    keras_sknet.export_tflite(model, tmp_path / "net.tflite")
    with zipfile.ZipFile(tmp_path / "net.tflite") as archive:
        assert archive.read("labels.txt").decode().splitlines() == labels
    made = {"data", "net.keras", "analyze", "evaluate", "served", "net.tflite"}
    assert set(os.listdir(tmp_path)) == made
    assert np.isfinite(keras.models.load_model(tmp_path / "net.keras").get_weights()[0]).all()
