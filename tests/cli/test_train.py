import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from matplotlib.image import imread

import keras_sknet
from commands import error_of
from keras_sknet.cli import main
from keras_sknet.cli.results import remove_results
from keras_sknet.data import Digits, digits
from keras_sknet.training.state import save_state

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
EVALUATION = ["classes.csv", "confusion.csv", "confusion.png", "curves.png", "evaluation.json"]
LOGS = ["history.csv", "metrics.json", "model.keras", "tensorboard"]
FILES = sorted(["attention.png", *EVALUATION, *LOGS, *EXPORTS])
COMMAND = ["train", "--epochs", "2", "--batch-size", "32", "--learning-rate", "0.1", "--seed", "5"]
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
    """The output folder of a short run."""
    output = tmp_path_factory.mktemp("train") / "deep" / "run"
    with pytest.MonkeyPatch.context() as patch:
        for split, block in FEW.items():
            patch.setitem(digits.SPLITS, split, block)
        assert main([*COMMAND, "--no-export", "--output", str(output)]) == 0
    return output


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The same with every export."""
    output = tmp_path_factory.mktemp("export") / "run"
    out, err = launch(*COMMAND, "--output", output).communicate(timeout=600)
    assert "Written to" in out, err[-3000:]
    return output, out


def launch(*arguments):
    command = [sys.executable, "-u", "-c", LAUNCH, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_it_writes_everything_and_nothing_else(exported):
    output, printed = exported
    assert sorted(path.name for path in output.iterdir()) == FILES
    assert f"Written to {output}: {', '.join(FILES)}" in printed
    assert "Epoch 2/2" in printed


def test_metrics_agree_with_the_model(trained, few_digits):
    metrics = json.loads((trained / "metrics.json").read_text())
    model = keras.models.load_model(trained / "model.keras")
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
    metrics = json.loads((trained / "metrics.json").read_text())
    assert [logs["epoch"] for logs in metrics["history"]] == [1, 2]
    names = {"epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
    assert set(metrics["history"][0]) == names
    rows = list(csv.DictReader((trained / "history.csv").read_text().splitlines()))
    assert [float(row["val_loss"]) for row in rows] == [logs["val_loss"] for logs in metrics["history"]]
    settings = {"model": "SKNetSmall", "epochs": 2, "batch_size": 32, "learning_rate": 0.1, "seed": 5}
    assert settings.items() <= metrics.items()
    assert metrics["data"]["digit_pixels"] == {"1.0": 12, "1.5": 18, "2.0": 24}
    assert metrics["data"]["images"] == {"train": 96, "validation": 30, "test": 90}
    assert metrics["versions"]["keras"] == keras.__version__
    assert metrics["versions"]["backend"] == f"tensorflow {tf.__version__}"
    assert 0 < metrics["seconds"]["training"] < metrics["seconds"]["total"]
    assert metrics["exports"] == {}


@pytest.mark.slow
def test_metrics_tell_of_the_exports(exported):
    output, _ = exported
    metrics = json.loads((output / "metrics.json").read_text())
    assert sorted(metrics["exports"]) == EXPORTS
    for name, report in metrics["exports"].items():
        size = sum(file.stat().st_size for file in (output, *output.rglob("*")) if is_part(file, name))
        assert report["bytes"] == size
        assert report["agreement"] > 0.5 and ("int8" in name or report["difference"] < 0.1)


@pytest.mark.slow
def test_the_exports_equal_the_model(exported, few_digits):
    output, _ = exported
    images = Digits("test").arrays()[0][:4].astype("float32")
    expected = keras.models.load_model(output / "model.keras").predict(images, verbose=0)
    served = tf.saved_model.load(output / "saved_model" / "1").signatures["serving_default"]
    np.testing.assert_allclose(served(images=tf.constant(images))["output_0"], expected, atol=1e-5)
    classify = Interpreter(str(output / "model.tflite")).get_signature_runner()
    for image, scores in zip(images, expected, strict=True):
        np.testing.assert_allclose(classify(images=image[None])["output_0"][0], scores, atol=1e-5)


def test_the_figure_has_a_panel_for_every_unit(trained):
    image = imread(trained / "attention.png")
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
    assert sorted(path.name for path in output.iterdir()) == sorted([*EVALUATION, *LOGS])
    assert "No attention.png: this network has no SK units" in capsys.readouterr().out


@pytest.mark.slow
def test_it_trains_on_parts_of_the_cpu(trained, tmp_path):
    options = ("--no-export", "--strategy", "mirrored", "--replicas", "2", "--output", tmp_path / "run")
    process = launch(*COMMAND, *options)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    one, two = (json.loads((folder / "metrics.json").read_text()) for folder in (trained, tmp_path / "run"))
    # Float32 rounds otherwise in every step.
    assert two["history"][0]["loss"] == pytest.approx(one["history"][0]["loss"], rel=0.02)


def interrupted(line, *command):
    """Presses Ctrl-C when a line begins so; returns what stands on stderr."""
    process = launch(*command)
    for printed in process.stdout:
        if printed.startswith(line):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    return err.splitlines()[-1]


def test_ctrl_c_stops_and_the_same_command_goes_on(few_digits, tmp_path, capsys):
    output = tmp_path / "run"
    command = ["train", "--epochs", "12", "--batch-size", "32", "--no-export", "--output", str(output)]
    said = interrupted("Epoch 3/", *command)
    best = output / "model.keras"
    assert said == f"Stopped. The best model so far is {best}. The same command goes on from here"
    assert sorted(path.name for path in output.iterdir()) == [
        "checkpoints",
        "history.csv",
        "model.keras",
        "tensorboard",
    ]
    rows = (output / "history.csv").read_text().splitlines()

    assert main(command) == 0
    out, err = capsys.readouterr()
    assert f"Going on with what was stopped in {output}" in err and "Epoch 2/12" not in out
    assert sorted(path.name for path in output.iterdir()) == sorted(set(FILES) - set(EXPORTS))
    all_rows = (output / "history.csv").read_text().splitlines()
    assert all_rows[: len(rows)] == rows and len(all_rows) == 13


@pytest.mark.slow
def test_ctrl_c_at_the_start_leaves_no_model(tmp_path):
    output = tmp_path / "run"
    said = interrupted("Training ", "train", "--batch-size", "32", "--output", output)
    if "nothing is written" in said:
        assert not output.exists()
    else:
        assert sorted(path.name for path in output.iterdir()) == ["checkpoints", "tensorboard"]


def test_the_files_of_a_stopped_run_are_written_anew(trained, tmp_path):
    # Killed while it exported: checkpoints are there still, metrics.json is not yet.
    output = tmp_path / "run"
    shutil.copytree(trained, output, ignore=shutil.ignore_patterns("metrics.json"))
    for name in ("checkpoints", ".model.onnx.abc", "saved_model", "openvino"):
        (output / name).mkdir()
    for name in ("mine.txt", "model.tflite"):
        (output / name).write_text(name)
    remove_results(output)
    left = sorted(path.name for path in output.iterdir())
    assert left == ["checkpoints", "history.csv", "mine.txt", "model.keras", "tensorboard"]


def test_another_command_does_not_go_on(few_digits, tmp_path, capsys):
    output = tmp_path / "run"
    (output / "checkpoints").mkdir(parents=True)
    save_state(output / "checkpoints", 1, [], {"settings": {"epochs": 9, "model": "SKNetSmall"}})
    code, err = error_of(capsys, *COMMAND, "--no-export", "--output", output)
    assert code == 2
    assert "`output` must be the folder of a training with the same settings" in err
    assert "epochs=2" in err and "epochs_there=9" in err
    assert [path.name for path in output.iterdir()] == ["checkpoints"]


def write_images(folder, sizes, split="train"):
    random = np.random.default_rng(0)
    for number, (name, size) in enumerate(sizes):
        path = folder / split / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png(random.integers(0, 255, (size, size, 3), "uint8")).numpy())


CATS = [("cat", 40), ("dog", 40)] * 4


def test_it_trains_on_a_folder(tmp_path, capsys):
    for split in ("train", "val"):
        write_images(tmp_path / "pets", CATS, split)
    (tmp_path / "pets" / "train" / "cat" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    command = ["train", "--data", f"folder:{tmp_path / 'pets'}", "--size", "32", "--model", "SKNetSmall"]
    command += ["--epochs", "1", "--batch-size", "8", "--no-export", "--output", str(tmp_path / "run")]
    code, err = error_of(capsys, *command)
    assert code == 2 and "broken.png', which is cut off or damaged" in err
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    assert main([*command, "--skip-corrupt"]) == 0
    printed = capsys.readouterr()
    assert "broken.png, which is cut off or damaged" in printed.err
    assert "No test split, so the final figures are of the validation split" in printed.out
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["skipped"] == 1 and metrics["recipe"] == "cifar"
    assert metrics["data"]["images"] == {"train": 8, "validation": 8, "test": 8}
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert model.get_layer("predictions").class_names == ("cat", "dog")
    assert model.get_layer("normalization").crop_fraction == 1.0


@pytest.mark.parametrize(
    "images, options, message",
    [
        ([], "folder:{}", "`path` must be|`text` must be"),
        ([("cat", 40)] * 9, "folder:{}", "two classes or more"),
        (CATS, "folder:{} --size 64", "`size` must be no more than the images' height and width"),
        (CATS, "folder:{} --batch-size 9", "`batch_size` must be no more than the images to train on"),
        ([], "folder:{}-none", "folder"),
        ([], "digit", "did you mean 'digits'"),
        ([], "tfds:cifar11", "cifar10"),
    ],
)
def test_bad_data_is_one_line(images, options, message, tmp_path, capsys):
    folder = tmp_path / "pets"
    folder.mkdir()
    for split in ("train", "validation"):
        write_images(folder, images, split)
    command = ["train", "--size", "32", "--batch-size", "8", "--no-export", "--output", tmp_path / "run"]
    code, err = error_of(capsys, *command, "--data", *options.format(folder).split())
    assert code == 2
    assert err.startswith("keras-sknet: error: ") and err.count("\n") == 1
    assert re.search(message, err), err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("", "the following arguments are required: COMMAND"),
        ("trian", "argument COMMAND: invalid choice: 'trian' (choose from 'train', "),
        ("train --model SKNet51", "argument --model: invalid choice: 'SKNet51' (choose from '"),
        ("train --average 1", "argument --average: must be a number from 0 to below 1, not '1'"),
        ("train --strategy mirrored", "argument --strategy: `replicas` must be a number where there are no"),
        ("train --accumulation 3", "`accumulation` must be a divisor of `batch_size`. Received: accumulat"),
        ("train --epochs 0", "argument --epochs: must be a whole number above 0, not '0'"),
        ("train --epochs 1.5", "argument --epochs: must be a whole number above 0, not '1.5'"),
        ("train --batch-size -1", "argument --batch-size: must be a whole number above 0, not '-1'"),
        ("train --batch-size 4000", "`batch_size` must be no more than the images to train on. Received:"),
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
    text = r"^keras-sknet: error: The loss is not finite from step \d on, in epoch 1: .*e\+\d\d$"
    assert re.search(text, err, re.M), err
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
def test_a_missing_package_is_said_before_training(module, package, extra, uninstalled, tmp_path, capsys):
    uninstalled(module)
    digits._bank.cache_clear()
    code, err = error_of(capsys, "train", "--output", tmp_path / "run")
    assert code == 2
    assert err == f'keras-sknet: error: {package} is not installed: pip install "keras_sknet[{extra}]"\n'
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_option_with_its_default(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for option in ("model", "data", "recipe", "epochs", "batch-size", "seed", "output", "strategy"):
        assert f" --{option} " in text
    for file in FILES:
        assert file in text
    assert "12, 18 and 24 pixels" in text and "last 360 are held out" in text
    assert "default: the recipe's" in text and "default: sknet-run" in text


def test_the_module_runs_as_the_command():
    command = [sys.executable, "-m", "keras_sknet", "--version"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed == f"keras-sknet {keras_sknet.__version__}\n"


@pytest.mark.slow
def test_the_main_job_reaches_95_percent(tmp_path):
    installed = shutil.which("keras-sknet", path=sysconfig.get_path("scripts"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        [installed, "train", "--no-export"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr[-3000:]
    metrics = json.loads((tmp_path / "sknet-run" / "metrics.json").read_text())
    assert metrics["accuracy"] >= 0.95
    assert min(metrics["accuracy_by_scale"].values()) >= 0.9
    assert (tmp_path / "sknet-run" / "model.keras").is_file()
