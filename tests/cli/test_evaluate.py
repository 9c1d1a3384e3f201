import csv
import json
import os
import re
import signal

import keras
import numpy as np
import pytest
from data_sources import write_folder
from sklearn import metrics

from keras_sknet import export
from keras_sknet.cli import evaluate as command
from keras_sknet.cli import main, models
from keras_sknet.data import Digits, center_crop_transform, decode, evaluation_transform
from nets import small

# Not in the order of the data's folders.
NAMES = ("yak", "blue tit", "Gänseblümchen", "ox", "cat")
COUNTS = {"train": {name: 1 for name in NAMES}, "validation": {name: 4 + i for i, name in enumerate(NAMES)}}
PATHS = ("x.keras", "x.tflite", "x.onnx", "openvino", "served")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network that evaluates in its own way, in every format, and labelled pictures."""
    folder = tmp_path_factory.mktemp("evaluate")
    model = small(crop_fraction=0.5, interpolation="nearest", activation="softmax", class_names=NAMES)
    model.save(folder / "x.keras")
    export.export_tflite(model, folder / "x.tflite")
    export.export_onnx(model, folder / "x.onnx")
    export.export_openvino(model, folder / "openvino")
    export.export_saved_model(model, folder / "served", version=2)
    write_folder(folder / "pictures", COUNTS)
    return folder, model


def expected(folder, transform, model, names=NAMES):
    """Scores of every picture, computed one by one, and the number of its class."""
    files = sorted((folder / "pictures" / "validation").rglob("*.*"))
    images = np.stack([transform(decode(file.read_bytes())) for file in files])
    return np.asarray(model(images, training=False)), np.array([names.index(f.parent.name) for f in files])


def evaluate(capsys, *arguments):
    """What the command prints: images, errors and loss as numbers."""
    assert main(["evaluate", *map(str, arguments)]) == 0
    printed = capsys.readouterr().out
    found = re.search(
        r"^([\d,]+) images in [\d.]+ s, [\d,]+ images a second\n"
        r"top-1 error ([\d.]+)%, top-5 error ([\d.]+)%, loss ([\d.]+)$",
        printed,
        re.MULTILINE,
    )
    return [float(number.replace(",", "")) for number in found.groups()]


def check(found, scores, labels):
    wrong = (scores.argmax(axis=1) != labels).mean()
    assert found[:3] == pytest.approx([len(labels), 100 * wrong, 0], abs=0.006)
    own = scores.astype("float64")[np.arange(len(labels)), labels]
    assert found[3] == pytest.approx(-np.log(own).mean(), abs=1e-3)


@pytest.mark.parametrize("name", PATHS)
def test_every_format_has_the_errors_of_the_model(name, folder, tmp_path, capsys):
    folder, model = folder
    output = tmp_path / "out"
    found = evaluate(
        capsys, folder / name, "--data", f"folder:{folder / 'pictures'}", "--batch-size", 7, "-o", output
    )
    scores, labels = expected(folder, evaluation_transform(model), model)
    check(found, scores, labels)
    assert sorted(path.name for path in output.iterdir()) == [
        *("classes.csv", "confusion.csv", "confusion.png", "evaluation.json")
    ]
    summary = json.loads((output / "evaluation.json").read_text(encoding="utf-8"))
    assert summary["images"] == len(labels) == 30 and summary["model"] == str(folder / name)
    assert summary["top1_error"] == pytest.approx((scores.argmax(axis=1) != labels).mean())
    assert (summary["resize"], summary["crop"], summary["interpolation"]) == (64, [32, 32], "nearest")
    assert summary["split"] == "validation" and summary["skipped"] == 0
    with open(output / "confusion.csv", newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header[1:] == [row[0] for row in rows] == list(NAMES)
    matrix = metrics.confusion_matrix(labels, scores.argmax(axis=1), labels=range(5))
    np.testing.assert_array_equal([[int(n) for n in row[1:]] for row in rows], matrix)


def test_other_sizes(folder, tmp_path, capsys):
    folder, model = folder
    pictures = f"folder:{folder / 'pictures'}"
    larger = small((48, 48, 3), activation="softmax", class_names=NAMES)
    larger.set_weights(model.get_weights())
    transform = center_crop_transform(50, 48, "nearest")
    scores, labels = expected(folder, transform, larger)
    arguments = ("--data", pictures, "--resize", 50, "--crop", 48)
    check(evaluate(capsys, folder / "x.keras", *arguments), scores, labels)
    keras.Sequential([keras.Input((32, 32, 3)), *model.layers[1:]]).save(tmp_path / "sequential.keras")
    check(evaluate(capsys, tmp_path / "sequential.keras", *arguments), scores, labels)
    # One that takes any size is run at the size that is asked for.
    free = small((None, None, 3), interpolation="nearest", activation="softmax", class_names=NAMES)
    free.set_weights(model.get_weights())
    free.save(tmp_path / "free.keras")
    check(evaluate(capsys, tmp_path / "free.keras", *arguments), scores, labels)
    scores, labels = expected(folder, evaluation_transform(free, 40), free)
    check(evaluate(capsys, tmp_path / "free.keras", "--data", pictures, "--crop", 40), scores, labels)


def test_a_fixed_batch_and_names_by_number(folder, tmp_path, capsys):
    folder, model = folder
    x = keras.Input(batch_shape=(4, 32, 32, 3))
    unnamed = small(crop_fraction=0.5, interpolation="nearest", activation="softmax")
    unnamed.set_weights(model.get_weights())
    keras.Model(x, unnamed(x)).save(tmp_path / "fixed.keras")
    found = evaluate(capsys, tmp_path / "fixed.keras", "--data", f"folder:{folder / 'pictures'}")
    check(found, *expected(folder, evaluation_transform(model), unnamed, sorted(NAMES)))


def test_digits_and_their_splits(folder, tmp_path, capsys):
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 255)(keras.layers.AveragePooling2D(8)(inputs))
    outputs = keras.layers.Dense(10, "softmax", kernel_initializer="random_normal")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "x.keras")
    found = evaluate(
        capsys, tmp_path / "x.keras", *("--data", "digits", "--split", "test", "--resize", "32", "--crop", 32)
    )
    images, labels = Digits("test").arrays()
    scores = model.predict(images.astype("float32"), verbose=0)
    top5 = metrics.top_k_accuracy_score(labels, scores, k=5)
    wrong = (scores.argmax(axis=1) != labels).mean()
    assert found[:3] == pytest.approx([1080, 100 * wrong, 100 * (1 - top5)], abs=0.006)


def error_of(capfd, *arguments):
    code = main(["evaluate", *map(str, arguments)])
    out, err = capfd.readouterr()
    assert code == 2 and out == ""
    # The libraries of images write a line of their own.
    (line,) = [line for line in err.splitlines() if line.startswith("keras-sknet: error: ")]
    assert "Traceback" not in err
    return line.removeprefix("keras-sknet: error: ")


def test_sizes_that_cannot_be(folder, tmp_path, capfd):
    folder, model = folder
    pictures = f"folder:{folder / 'pictures'}"
    fixed = error_of(capfd, folder / "x.tflite", "--data", pictures, "--crop", 48)
    assert fixed == "argument --crop: this model takes images of 32x32 pixels only"
    inputs = keras.Input((32, 32, 3))
    keras.Model(inputs, keras.layers.Dense(5)(keras.layers.Flatten()(inputs))).save(tmp_path / "flat.keras")
    flat = error_of(capfd, tmp_path / "flat.keras", "--data", pictures, "--crop", 48)
    assert flat.startswith("argument --crop: this model takes images of 32x32 pixels and cannot be built for")
    small_box = error_of(capfd, folder / "x.keras", "--data", pictures, "--resize", 20)
    assert "resize" in small_box and "20" in small_box


def test_classes_that_differ(folder, tmp_path, capfd):
    folder, model = folder
    write_folder(tmp_path, {"validation": {"yak": 1, "dog": 1}})
    differ = error_of(capfd, folder / "x.onnx", "--data", f"folder:{tmp_path}")
    assert "only_in_data=['dog']" in differ
    assert "only_in_model=['blue tit', 'Gänseblümchen', 'ox', 'cat']" in differ
    small(activation="softmax").save(tmp_path / "x.keras")
    count = error_of(capfd, tmp_path / "x.keras", "--data", f"folder:{tmp_path}")
    assert "`model` must be one that gives a score for each class" in count and "classes=2" in count


def test_models_that_are_no_classifiers(folder, tmp_path, capfd):
    folder, _ = folder
    pictures = f"folder:{folder / 'pictures'}"
    a, b, image = keras.Input((4,), name="a"), keras.Input((4,), name="b"), keras.Input((32, 32, 3))
    for model, text in (
        (keras.Model([a, b], a + b), "This model takes ['a', 'b'], not images alone"),
        (keras.Model(a, a), "This model takes arrays of shape (None, 4), not RGB images"),
        (
            keras.Model(image, image),
            "This model gives no scores of classes, but outputs of shapes",
        ),
        (
            keras.Model(image, [image, image]),
            "This model gives no scores of classes, but outputs of shapes",
        ),
    ):
        model.save(tmp_path / "x.keras")
        assert error_of(capfd, tmp_path / "x.keras", "--data", pictures).startswith(text)
    (tmp_path / "x.keras").write_bytes(b"junk")
    assert "cannot load" in error_of(capfd, tmp_path / "x.keras", "--data", pictures)
    assert "`path` must be an existing" in error_of(capfd, tmp_path / "none.onnx", "--data", pictures)


def test_corrupt_files_are_named_or_skipped(folder, tmp_path, capfd):
    folder, model = folder
    counts = {"validation": dict.fromkeys(NAMES, 2)}
    write_folder(tmp_path / "pictures", counts)
    bad = tmp_path / "pictures" / "validation" / "ox" / "0.jpg"
    bad.write_bytes(b"no image")
    arguments = (folder / "x.onnx", "--data", f"folder:{tmp_path / 'pictures'}")
    output = tmp_path / "out"
    error = error_of(capfd, *arguments, "-o", output)
    assert f"file={str(bad)!r}, which is neither a JPEG nor a PNG file" in error and not output.exists()
    assert main(["evaluate", *map(str, arguments), "--skip-corrupt", "-o", str(output)]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("10 images in ") and f"Skipped: {bad}, which is neither" in err
    summary = json.loads((output / "evaluation.json").read_text())
    assert (summary["images"], summary["skipped"]) == (10, 1)


def test_the_output_must_be_new(folder, tmp_path, capfd):
    folder, _ = folder
    (tmp_path / "mine").touch()
    arguments = (folder / "x.onnx", "--data", f"folder:{folder / 'pictures'}", "-o", tmp_path)
    assert error_of(capfd, *arguments).endswith("exists and is no empty folder: name another")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_data_that_are_not_there(folder, capfd):
    folder, _ = folder
    for text in ("digit", "folder:nowhere", f"folder:{folder / 'pictures'}"):
        assert "`text` must be " in error_of(capfd, folder / "x.onnx", "--data", text, "--split", "test")


def test_ctrl_c_stops_after_a_batch_and_leaves_nothing(folder, tmp_path, capsys, monkeypatch):
    folder, _ = folder
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    batches = []

    def pressed(model, images):
        batches.append(len(images))
        os.kill(os.getpid(), signal.SIGINT)
        return models.scores(model, images)

    monkeypatch.setattr(command, "scores", pressed)
    arguments = ["--data", f"folder:{folder / 'pictures'}", "--batch-size", "8", "-o", str(tmp_path / "out")]
    try:
        assert main(["evaluate", str(folder / "x.onnx"), *arguments]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert batches == [8] and not (tmp_path / "out").exists()
    assert "Stopping after this step" in capsys.readouterr().err
