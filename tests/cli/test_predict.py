import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_sknet import data, export
from keras_sknet.cli import main
from nets import small

NAMES = ("cat", "blue tit", "Gänseblümchen", "dog", "yak")
PATHS = ("x.keras", "x.tflite", "x.onnx", "openvino", "served")


def picture(path, height, width, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3))
    pixels = tf.constant(pixels.repeat(8, 0).repeat(8, 1), "uint8")
    encode = tf.io.encode_png if path.suffix == ".png" else tf.io.encode_jpeg
    path.write_bytes(encode(pixels).numpy())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network that evaluates in its own way, in every format, and two pictures."""
    folder = tmp_path_factory.mktemp("predict")
    model = small(crop_fraction=0.5, interpolation="nearest", activation="softmax", class_names=NAMES)
    model.save(folder / "x.keras")
    export.export_tflite(model, folder / "x.tflite")
    export.export_onnx(model, folder / "x.onnx")
    export.export_openvino(model, folder / "openvino")
    export.export_saved_model(model, folder / "served", version=2)
    files = picture(folder / "a.jpg", 80, 120, 0), picture(folder / "b.png", 64, 48, 1)
    transform = data.evaluation_transform(model)
    images = np.stack([transform(data.decode(file.read_bytes())) for file in files])
    return folder, files, np.asarray(model(images, training=False))


def read(printed):
    """[(file, [(name, score)])] of what the command prints."""
    found = []
    for line in printed.splitlines():
        if line.startswith(" "):
            score, name = line.split(maxsplit=1)
            found[-1][1].append((name, float(score)))
        else:
            found.append((line.removesuffix(":"), []))
    return found


@pytest.mark.parametrize("name", PATHS)
def test_every_format_gives_the_names_and_scores_of_the_model(name, folder, capsys):
    folder, files, expected = folder
    assert main(["predict", str(folder / name), *map(str, files), "--top", "3"]) == 0
    found = read(capsys.readouterr().out)
    assert [file for file, _ in found] == list(map(str, files))
    for (_, classes), scores in zip(found, expected, strict=True):
        order = np.argsort(-scores)[:3]
        assert [name for name, _ in classes] == [NAMES[index] for index in order]
        np.testing.assert_allclose([score for _, score in classes], scores[order], atol=1e-4)


def test_classes_without_names_are_numbers(tmp_path, capsys):
    model = small((None, None, 3), activation="softmax")
    model.save(tmp_path / "x.keras")
    assert main(["predict", str(tmp_path / "x.keras"), str(picture(tmp_path / "a.png", 40, 40, 0))]) == 0
    ((_, classes),) = read(capsys.readouterr().out)
    assert {name for name, _ in classes} == set("01234")
    assert sum(score for _, score in classes) == pytest.approx(1, abs=1e-3)


def error_of(capfd, *arguments):
    code = main(["predict", *map(str, arguments)])
    out, err = capfd.readouterr()
    assert code == 2 and out == ""
    # The libraries of images write a line of their own.
    (line,) = [line for line in err.splitlines() if line.startswith("keras-sknet: error: ")]
    assert "Traceback" not in err
    return line.removeprefix("keras-sknet: error: ")


def test_files_that_are_no_images_are_named_and_change_nothing_for_the_others(folder, tmp_path, capfd):
    folder, (good, png), _ = folder
    assert main(["predict", str(folder / "x.onnx"), str(good), str(png)]) == 0
    alone = capfd.readouterr().out
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "cut.jpg").write_bytes(good.read_bytes()[:-300])
    (tmp_path / "cut.png").write_bytes(png.read_bytes()[:-300])
    bad = {
        tmp_path / "text.jpg": "is neither a JPEG nor a PNG file",
        tmp_path / "empty.jpg": "is empty",
        tmp_path / "cut.jpg": "is cut off or damaged",
        tmp_path / "cut.png": "is cut off or damaged",
        tmp_path / "none.jpg": "does not exist",
        tmp_path: "cannot be read (Is a directory)",
    }
    first, *others = bad
    assert main(["predict", *map(str, [folder / "x.onnx", first, good, *others, png])]) == 2
    out, err = capfd.readouterr()
    assert out == alone and "Traceback" not in err
    # The libraries of images write lines of their own.
    lines = [line for line in err.splitlines() if line.startswith(("Skipped: ", "keras-sknet: "))]
    assert lines == [f"Skipped: {path}, which {reason}" for path, reason in bad.items()] + [
        "keras-sknet: error: 6 of 8 files are no images that can be read"
    ]
    assert error_of(capfd, folder / "x.onnx", first) == "1 of 1 files are no images that can be read"


def test_models_that_classify_no_images_are_refused(folder, tmp_path, capfd):
    folder, (good, _), _ = folder
    a, b, image = keras.Input((4,), name="a"), keras.Input((4,), name="b"), keras.Input((32, 32, 3))
    for model, text in (
        (keras.Model([a, b], a + b), "This model takes ['a', 'b'], not images alone"),
        (keras.Model(a, a), "This model takes arrays of shape (None, 4), not RGB images"),
        (keras.Model(image, image), "This model gives no scores of classes, but outputs of shapes [(1, 32, "),
    ):
        model.save(tmp_path / "x.keras")
        assert error_of(capfd, tmp_path / "x.keras", good).startswith(text)
    missing = error_of(capfd, tmp_path / "none.onnx", good)
    assert missing.startswith("`path` must be an existing .keras, .tflite, .onnx or .xml file, or the folder")
    (tmp_path / "x.keras").write_bytes(b"junk")
    damaged = error_of(capfd, tmp_path / "x.keras", good)
    assert damaged.startswith("`path` must be an undamaged model in the format Keras")
