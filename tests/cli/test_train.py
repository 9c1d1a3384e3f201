import csv
import json
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.image import imread

import keras_sknet
from commands import error_of
from keras_sknet.cli import main
from keras_sknet.cli.results import remove_results
from keras_sknet.data import Digits, digits, evaluation_batches, evaluation_transform
from keras_sknet.export import export_tflite
from keras_sknet.export.verify import VerificationError
from keras_sknet.training.state import save_state
from train_runs import CATS, COMMAND, EVALUATION, EXPORTS, FEW, FILES, LOGS, launch, write_images


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The output folder of a short run."""
    output = tmp_path_factory.mktemp("train") / "deep" / "run"
    with pytest.MonkeyPatch.context() as patch:
        for split, block in FEW.items():
            patch.setitem(digits.SPLITS, split, block)
        assert main([*COMMAND, "--no-export", "--output", str(output)]) == 0
    return output


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


def test_what_is_no_run_is_left_alone(few_digits, tmp_path, capsys):
    """Folders called "checkpoints" are common."""
    output = tmp_path / "project"
    files = ["checkpoints/mine.ckpt", "saved_model/x", "model.onnx", "model.keras", "frozen/x", "history.csv"]
    for name in files:
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_text(name)
    for part in (output, output / "frozen", output / "checkpoints"):
        code, err = error_of(capsys, *COMMAND, "--no-export", "--output", part)
        assert code == 2 and "exists and is no empty folder: name another" in err
    assert all((output / name).read_text() == name for name in files)


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(few_digits, tmp_path, capsys):
    output = tmp_path / "run"
    (output / "checkpoints").mkdir(parents=True)
    (output / "checkpoints" / ".unfinished.state").write_bytes(b"cut off")
    (output / "tensorboard" / "train").mkdir(parents=True)
    (output / "tensorboard" / "train" / "events.out.tfevents.1").write_bytes(b"")
    assert main([*COMMAND, "--no-export", "--output", str(output)]) == 0
    assert "Going on with what was stopped" in capsys.readouterr().err
    assert (output / "model.keras").exists() and not (output / "checkpoints").exists()


def test_what_a_killed_write_left_goes_and_what_others_put_there_stays(few_digits, tmp_path, capsys):
    output = tmp_path / "run"
    command = [*COMMAND, "--no-export", "--output", str(output)]
    assert main(command) == 0
    (output / "checkpoints").mkdir()
    (output / "checkpoints" / "step-0000000001.state").write_bytes(b"damaged")
    (output / "checkpoints" / "mine.txt").write_text("mine")
    (output / ".unfinished-model.keras").write_bytes(b"")
    (output / ".history.csv.abc").mkdir()
    capsys.readouterr()
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "is damaged" in printed and "unfinished" not in printed
    assert not [path.name for path in output.iterdir() if path.name.startswith(".")]
    assert [path.name for path in (output / "checkpoints").iterdir()] == ["mine.txt"]


def test_another_command_does_not_go_on(few_digits, tmp_path, capsys):
    output = tmp_path / "run"
    (output / "checkpoints").mkdir(parents=True)
    save_state(output / "checkpoints", 1, [], {"settings": {"epochs": 9, "model": "SKNetSmall"}})
    (output / "evaluation.json").write_text("{}")
    code, err = error_of(capsys, *COMMAND, "--no-export", "--output", output)
    assert code == 2
    assert "`output` must be the folder of a training with the same settings" in err
    assert "epochs=2" in err and "epochs_there=9" in err
    assert sorted(path.name for path in output.iterdir()) == ["checkpoints", "evaluation.json"]


def test_what_fails_behind_the_training_is_told_and_not_in_vain(tmp_path, capsys, monkeypatch):
    for split in ("train", "val", "test"):
        write_images(tmp_path / "pets", CATS, split)
    broken = tmp_path / "pets" / "test" / "dog" / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nbroken")

    def export(*arguments, **options):
        raise VerificationError("it differs")

    monkeypatch.setattr(
        "keras_sknet.cli.results.EXPORTS", {"x.bin": (export, {}), "model.tflite": (export_tflite, {})}
    )
    output = tmp_path / "run"
    # This recipe resizes, so that images of 40 pixels are large enough.
    command = ["train", "--data", f"folder:{tmp_path / 'pets'}", "--size", "48", "--model", "SKNetSmall"]
    command += ["--recipe", "imagenet", "--epochs", "1", "--batch-size", "8", "--output", str(output)]
    code, err = error_of(capsys, *command)
    assert code == 2 and f"file={str(broken)!r}, which is cut off or damaged. The model is kept" in err
    assert err.count("\n") == 1 and (output / "checkpoints").is_dir()
    weights = keras.models.load_model(output / "model.keras").get_weights()
    code, err = error_of(capsys, *command, "--skip-corrupt")
    assert code == 2 and err.endswith("keras-sknet: error: Not written: x.bin (it differs)\n")
    metrics = json.loads((output / "metrics.json").read_text())
    assert list(metrics["exports"]) == ["model.tflite"] and metrics["skipped"] == 1
    assert (output / "model.tflite").exists() and not (output / "checkpoints").exists()
    for one, other in zip(
        weights, keras.models.load_model(output / "model.keras").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_pieces_of_images_that_are_much_larger_are_told_of(tmp_path, capsys):
    for split in ("train", "val"):
        write_images(tmp_path / "pets", [(name, 64) for name, _ in CATS], split)
    command = ["train", "--data", f"folder:{tmp_path / 'pets'}", "--size", "32", "--model", "SKNetSmall"]
    command += ["--epochs", "1", "--batch-size", "4", "--no-export", "--output", str(tmp_path / "run")]
    assert main(command) == 0
    text = "Half of the images have 64x64 pixels or more: this recipe trains on pieces of 32x32"
    assert text in capsys.readouterr().out


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
    assert "Half of the images" not in printed.out
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["skipped"] == 1 and metrics["recipe"] == "cifar"
    assert metrics["data"]["images"] == {"train": 8, "validation": 8, "test": 8}
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert model.get_layer("predictions").class_names == ("cat", "dog")
    assert model.get_layer("normalization").crop_fraction == 1.0


@pytest.mark.slow
def test_digits_are_measured_as_they_are_validated(few_digits, tmp_path):
    """At another size, and cropped: as photographs are."""
    command = ["train", "--recipe", "imagenet", "--model", "SKNetSmall", "--size", "48", "--epochs", "1"]
    assert main([*command, "--batch-size", "64", "--no-export", "--output", str(tmp_path / "run")]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["measured_on"] == "test"
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    batches = evaluation_batches(Digits("test"), 64, evaluation_transform(model))
    right = sum(
        float(np.sum(weights * (model.predict(x, verbose=0).argmax(-1) == y))) for x, y, weights in batches
    )
    assert metrics["accuracy"] == pytest.approx(right / len(Digits("test")))
