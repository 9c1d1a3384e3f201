import csv
import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_sknet.cli import main
from keras_sknet.training.state import save_state
from nets import small, tiny


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """A folder of three splits with two classes of eight images each."""
    root = tmp_path_factory.mktemp("data") / "pets"
    random = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        for number in range(8):
            path = root / split / ("cat", "dog")[number % 2] / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            shade = random.integers(0, 120, (48, 40, 3)) + 120 * (number % 2)
            path.write_bytes(tf.io.encode_jpeg(tf.cast(shade, tf.uint8)).numpy())
    return root


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("base") / "base.keras"
    keras.utils.set_random_seed(0)
    tiny(class_names=list("abcde")).save(path)
    return path


def finetune(base, pets, output, *options):
    command = ["finetune", "--from", base, "--data", f"folder:{pets}", "--epochs", 2, "--batch-size", 8]
    return main([*map(str, [*command, "--no-export", "--output", output, *options])])


def test_a_first_part_that_fails_leaves_nothing(base, pets, tmp_path, capsys):
    assert finetune(base, pets, tmp_path / "run", "--learning-rate", "1e38") == 2
    assert "The loss is not finite" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_stopped_training_of_another_kind_is_refused_at_once(base, pets, tmp_path, capsys):
    output = tmp_path / "run"
    (output / "checkpoints").mkdir(parents=True)
    save_state(output / "checkpoints", 1, [], {})
    assert finetune(base, pets, output) == 2
    err = capsys.readouterr().err
    assert f"argument --output: {str(output)!r} is the folder of another training: name another\n" in err
    assert [path.name for path in output.iterdir()] == ["checkpoints"]


def test_it_teaches_new_classes(base, pets, tmp_path, capsys):
    output = tmp_path / "run"
    assert finetune(base, pets, output) == 0
    assert sorted(path.name for path in output.iterdir()) == sorted(
        ["classes.csv", "confusion.csv", "confusion.png", "curves.png", "evaluation.json", "history.csv"]
        + ["metrics.json", "model.keras", "tensorboard"]
    )
    metrics = json.loads((output / "metrics.json").read_text())
    # Half as many epochs with frozen stages come first.
    assert [logs["epoch"] for logs in metrics["history"]] == [1, 2, 3]
    assert metrics["best_epoch"] in (2, 3) and metrics["model"] == str(base)
    assert metrics["data"]["images"] == {"train": 8, "validation": 8, "test": 8}
    model = keras.models.load_model(output / "model.keras")
    assert model.get_layer("predictions").class_names == ("cat", "dog")
    assert all(layer.trainable for layer in model.layers)
    # Every number is where one looks for it: the first part's too.
    rows = list(csv.DictReader((output / "history.csv").read_text().splitlines()))
    assert [float(row["val_loss"]) for row in rows] == [logs["val_loss"] for logs in metrics["history"]]
    assert metrics["head"]["epochs"] == 1 and metrics["head"]["learning_rate"] == 0.0125
    assert (output / "tensorboard" / "frozen" / "train").is_dir()
    assert "Held-out images:" in capsys.readouterr().out


def test_a_rate_of_ones_own_is_the_first_parts(base, pets, tmp_path):
    assert finetune(base, pets, tmp_path / "run", "--learning-rate", 0.01) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["head"]["learning_rate"], metrics["learning_rate"]) == (0.01, pytest.approx(0.001))


def dense():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])


@pytest.mark.parametrize(
    "make, options, message",
    [
        (None, [], "argument --from: .* is no .keras file"),
        (small, [], "`model` must be a network of this package"),
        (dense, [], "images with three channels"),
        (tiny, ["--batch-size", "9"], "no more than the images to train on"),
        (tiny, ["--freeze-through", "6"], "argument --freeze-through: invalid choice: '6'"),
    ],
    ids=["none", "foreign", "dense", "batch", "stage"],
)
def test_mistakes_are_one_line(make, options, message, pets, tmp_path, capsys):
    path = tmp_path / "model.keras"
    if make:
        make().save(path)
    try:
        code = finetune(path, pets, tmp_path / "run", *options)
    except SystemExit as exit:
        code = exit.code
    lines = capsys.readouterr().err.splitlines()
    errors = [line for line in lines if line.startswith("keras-sknet: error: ")]
    assert code == 2 and len(errors) == 1
    assert re.search(message, errors[0]), errors
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_another_model_is_refused(base, pets, tmp_path, capsys):
    output = tmp_path / "run"
    (output / "frozen" / "checkpoints").mkdir(parents=True)
    save_state(output / "frozen" / "checkpoints", 1, [], {"settings": {"model": "other.keras"}})
    assert finetune(base, pets, output) == 2
    assert "model_there='other.keras'" in capsys.readouterr().err
