import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from matplotlib.image import imread

import keras_sknet
from keras_sknet.cli import main
from keras_sknet.data import Digits, digits

ROOT = Path(__file__).resolve().parents[2]
FEW = {"train": (0, 32), "validation": (1300, 1310), "test": (1437, 1467)}
EXPORTS = [
    "model.onnx",
    "model.tflite",
    "model_dynamic.tflite",
    "model_float16.tflite",
    "model_int8.tflite",
    "openvino",
    "saved_model",
]
FILES = sorted(["attention.png", "metrics.json", "model.keras", *EXPORTS])
LAUNCH = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored
from keras_sknet.cli import main
from keras_sknet.data import digits
digits.SPLITS.update({FEW})
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def few_digits(monkeypatch):
    for split, block in FEW.items():
        monkeypatch.setitem(digits.SPLITS, split, block)


def is_part(file, name):
    return file.is_file() and name in (file.name, *(folder.name for folder in file.parents))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The output folder of a short run and what it printed."""
    output = tmp_path_factory.mktemp("train") / "deep" / "run"
    command = ["train", "--epochs", "2", "--batch-size", "32", "--seed", "5", "--output", output]
    process = launch(*command)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err[-3000:]
    return output, out


def launch(*arguments):
    command = [sys.executable, "-u", "-c", LAUNCH, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def error_of(capsys, *arguments):
    """Exit code, and what stands on stderr."""
    try:
        code = main([*map(str, arguments)])
    except SystemExit as exit:
        code = exit.code
    return code, capsys.readouterr().err


def test_it_writes_everything_and_nothing_else(trained):
    output, printed = trained
    assert sorted(path.name for path in output.iterdir()) == FILES
    assert f"Written to {output}: {', '.join(FILES)}" in printed
    assert "Epoch 2/2" in printed


def test_metrics_agree_with_the_model(trained, few_digits):
    output, printed = trained
    metrics = json.loads((output / "metrics.json").read_text())
    model = keras.models.load_model(output / "model.keras")
    assert metrics["parameters"] == model.count_params() == keras_sknet.SKNetSmall().count_params()
    assert model.get_layer("predictions").class_names == tuple("0123456789")

    source = Digits("test")
    images, labels = source.arrays()
    model.compile(metrics=["accuracy"], loss="sparse_categorical_crossentropy")
    assert model.evaluate(images, labels, verbose=0)[1] == pytest.approx(metrics["accuracy"])
    for position, scale in enumerate(("1.0", "1.5", "2.0")):
        accuracy = model.evaluate(images[position::3], labels[position::3], verbose=0)[1]
        assert accuracy == pytest.approx(metrics["accuracy_by_scale"][scale])

    images, labels = Digits("validation").arrays()
    best = metrics["history"][metrics["best_epoch"] - 1]
    assert best["val_loss"] == min(logs["val_loss"] for logs in metrics["history"])
    assert model.evaluate(images, labels, verbose=0)[1] == pytest.approx(best["val_accuracy"])


def test_metrics_say_how_it_came_about(trained):
    metrics = json.loads((trained[0] / "metrics.json").read_text())
    assert [logs["epoch"] for logs in metrics["history"]] == [1, 2]
    assert set(metrics["history"][0]) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy"}
    settings = {"model": "SKNetSmall", "epochs": 2, "batch_size": 32, "seed": 5}
    assert settings.items() <= metrics.items()
    assert metrics["data"]["digit_pixels"] == {"1.0": 12, "1.5": 18, "2.0": 24}
    assert metrics["data"]["images"] == {"train": 96, "validation": 30, "test": 90}
    assert metrics["versions"]["keras"] == keras.__version__
    assert metrics["versions"]["backend"] == f"tensorflow {tf.__version__}"
    assert 0 < metrics["seconds"]["training"] < metrics["seconds"]["total"]
    assert sorted(metrics["exports"]) == EXPORTS
    for name, report in metrics["exports"].items():
        size = sum(
            file.stat().st_size for file in (trained[0], *trained[0].rglob("*")) if is_part(file, name)
        )
        assert report["bytes"] == size
        assert report["agreement"] > 0.5 and ("int8" in name or report["difference"] < 0.1)


def test_the_exports_equal_the_model(trained, few_digits):
    output, _ = trained
    images = Digits("test").arrays()[0][:4].astype("float32")
    expected = keras.models.load_model(output / "model.keras").predict(images, verbose=0)
    served = tf.saved_model.load(output / "saved_model" / "1").signatures["serving_default"]
    np.testing.assert_allclose(served(images=tf.constant(images))["output_0"], expected, atol=1e-5)
    classify = Interpreter(str(output / "model.tflite")).get_signature_runner()
    for image, scores in zip(images, expected, strict=True):
        np.testing.assert_allclose(classify(images=image[None])["output_0"][0], scores, atol=1e-5)


def test_the_figure_has_a_panel_for_every_unit(trained):
    image = imread(trained[0] / "attention.png")
    assert image.shape[0] >= 350 and image.shape[1] >= 700
    blue = (image[..., 2] > 0.6) & (image[..., 0] < 0.2)
    columns = np.flatnonzero(blue.any(axis=0))
    units = sum(isinstance(layer, keras_sknet.SKBottleneck) for layer in keras_sknet.SKNetSmall().layers)
    # The gaps between the lines of neighbouring panels are wider than those within one.
    assert 1 + np.count_nonzero(np.diff(columns) > 40) == units


@pytest.mark.slow
def test_a_network_without_sk_units_trains_without_figure(few_digits, tmp_path, capsys):
    output = tmp_path / "run"
    command = ["train", "--model", "ResNeXt50", "--epochs", "1", "--batch-size", "96", "--no-export"]
    assert main([*command, "--output", str(output)]) == 0
    assert sorted(path.name for path in output.iterdir()) == ["metrics.json", "model.keras"]
    assert "No attention.png: this network has no SK units" in capsys.readouterr().out


def test_ctrl_c_leaves_the_best_model(tmp_path):
    output = tmp_path / "run"
    process = launch("train", "--epochs", "2000", "--batch-size", "32", "--output", output)
    for line in process.stdout:
        if line.startswith("Epoch 3/"):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert err.splitlines()[-1] == f"Stopped. The best model so far is {output / 'model.keras'}"
    assert [path.name for path in output.iterdir()] == ["model.keras"]
    model = keras.models.load_model(output / "model.keras")
    assert model.predict(np.zeros((1, 32, 32, 3)), verbose=0).shape == (1, 10)


def test_ctrl_c_before_the_first_epoch_ended_leaves_nothing(tmp_path):
    output = tmp_path / "run"
    process = launch("train", "--batch-size", "32", "--output", output)
    for line in process.stdout:
        if line.startswith("Epoch 1/"):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "Stopped before the first epoch ended: nothing is written"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("", "the following arguments are required: COMMAND"),
        ("trian", "argument COMMAND: invalid choice: 'trian' (choose from 'train', "),
        ("train --model SKNet51", "argument --model: invalid choice: 'SKNet51' (choose from 'ResNeXt101', "),
        ("train --epochs 0", "argument --epochs: must be a whole number above 0, not '0'"),
        ("train --epochs 1.5", "argument --epochs: must be a whole number above 0, not '1.5'"),
        ("train --batch-size -1", "argument --batch-size: must be a whole number above 0, not '-1'"),
        ("train --batch-size 4000", "argument --batch-size: must be at most 3900, the images to train on"),
        ("train --learning-rate 0", "argument --learning-rate: must be a number above 0, not '0'"),
        ("train --learning-rate nan", "argument --learning-rate: must be a number above 0, not 'nan'"),
        ("train --learning-rate inf", "argument --learning-rate: must be a number above 0, not 'inf'"),
        ("train --seed -1", "argument --seed: must be a whole number from 0 to 4294967295, not '-1'"),
        ("train --seed 4294967296", "argument --seed: must be a whole number from 0 to 4294967295"),
        ("train --epoch 3", "unrecognized arguments: --epoch 3"),
        ("train digits", "unrecognized arguments: digits"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, err = error_of(capsys, *arguments.split())
    assert code == 2
    assert err.startswith(f"keras-sknet: error: {message}") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    code, err = error_of(capsys, "train", "--output", tmp_path)
    assert code == 2
    assert err == (
        f"keras-sknet: error: argument --output: {str(tmp_path)!r} exists and is no empty folder: "
        "name another\n"
    )
    code, err = error_of(capsys, "train", "--output", tmp_path / "thesis.txt")
    assert code == 2 and "exists and is no empty folder" in err
    code, err = error_of(capsys, "train", "--output", tmp_path / "thesis.txt" / "run")
    assert code == 2 and err.startswith("keras-sknet: error: ") and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_loss_that_explodes_is_one_line(few_digits, tmp_path, capsys):
    command = ("train", "--epochs", 1, "--learning-rate", "1e30", "--output", tmp_path / "run")
    code, err = error_of(capsys, *command)
    assert code == 2
    assert re.search(r"^keras-sknet: error: The loss is not finite from epoch 1 on: .*1e\+30$", err, re.M)
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "module, package, extra",
    [
        ("sklearn", "scikit-learn", "train"),
        ("matplotlib", "matplotlib", "train"),
        ("onnxruntime", "onnxruntime", "onnx"),
    ],
)
def test_a_missing_package_is_said_before_training(module, package, extra, run_python, tmp_path):
    code = f"""
import sys
sys.modules.update(dict.fromkeys(({module!r}, {module + ".datasets"!r}, {module + ".figure"!r})))
from keras_sknet.cli import main
sys.stderr = sys.stdout
print(main(["train", "--output", sys.argv[1]]))
"""
    printed = run_python(code, tmp_path / "run")
    assert (
        printed == f'keras-sknet: error: {package} is not installed: pip install "keras_sknet[{extra}]"\n2\n'
    )
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_option_with_its_default(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for option in ("model", "epochs", "batch-size", "learning-rate", "seed", "output", "no-export"):
        assert f" --{option} " in text
    for file in FILES:
        assert file in text
    assert "12, 18 and 24 pixels" in text and "last 360 are held out" in text
    assert "default: SKNetSmall" in text and "default: sknet-digits" in text


def test_the_module_runs_as_the_command():
    command = [sys.executable, "-m", "keras_sknet", "--version"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed == f"keras-sknet {keras_sknet.__version__}\n"


@pytest.mark.slow
def test_the_main_job_reaches_95_percent(tmp_path):
    command = [sys.executable, "-m", "keras_sknet", "train"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr[-3000:]
    metrics = json.loads((tmp_path / "sknet-digits" / "metrics.json").read_text())
    assert metrics["accuracy"] >= 0.95
    assert min(metrics["accuracy_by_scale"].values()) >= 0.9
    assert sorted(path.name for path in (tmp_path / "sknet-digits").iterdir()) == FILES
