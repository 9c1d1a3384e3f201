import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from checks import images, randomize, relative_difference
from commands import error_of
from keras_sknet.cli import calibration, export, main
from nets import tiny

# What each format writes, that one can tell it by.
WRITTEN = {"saved-model": "saved_model.pb", "tflite": "", "onnx": "", "openvino": "model.xml"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models that were saved, and a folder of photographs."""
    folder = tmp_path_factory.mktemp("models")
    model = tiny(depths=(1, 1, 1), class_names=list("abcde"))
    randomize(model)
    model.save(folder / "net.keras")
    tiny(depths=(1, 1, 1), input_shape=(32, 32, 1), include_preprocessing=False).save(folder / "grey.keras")
    (folder / "broken.keras").write_bytes(b"PK\x03\x04")
    (folder / "photos" / "more").mkdir(parents=True)
    (folder / "empty").mkdir()
    for number, image in enumerate(images(12, (40, 50, 3)).astype("uint8")):
        file = folder / "photos" / ("more" if number % 2 else "") / f"{number}.JPG"
        file.write_bytes(tf.io.encode_jpeg(image).numpy())
    (folder / "photos" / "list.txt").write_text("twelve")
    return folder


def test_every_format_of_the_table_is_tested():
    assert set(WRITTEN) == set(export.FORMATS)


@pytest.mark.parametrize("format", WRITTEN)
def test_a_format_is_written(format, folder, tmp_path, capsys):
    path = tmp_path / f"out.{format}"
    assert main(["export", str(folder / "net.keras"), "--format", format, "-o", str(path)]) == 0
    assert (path / WRITTEN[format]).is_file()
    printed = capsys.readouterr().out
    assert str(path) in printed and "outputs within " in printed


def test_a_version_of_a_saved_model(folder, tmp_path):
    command = ["export", folder / "net.keras", "--format", "saved-model", "--version", 7, "--output"]
    assert main([*map(str, command), str(tmp_path / "birds")]) == 0
    served = tf.saved_model.load(str(tmp_path / "birds" / "7")).signatures["classify_jpeg"]
    assert b"c" in served(image_bytes=tf.constant([jpeg()]))["classes"].numpy()[0]


def jpeg():
    return tf.io.encode_jpeg(images(1, (40, 50, 3))[0].astype("uint8")).numpy()


@pytest.mark.parametrize("quantize", ["float16", "dynamic"])
def test_a_quantized_file(quantize, folder, tmp_path):
    path = tmp_path / "net.tflite"
    command = ["export", folder / "net.keras", "--format", "tflite", "--quantize", quantize, "-o", path]
    assert main([*map(str, command)]) == 0
    types = {tensor["dtype"] for tensor in Interpreter(str(path)).get_tensor_details()}
    assert {"float16": np.float16, "dynamic": np.int8}[quantize] in types


@pytest.mark.parametrize("data", ["digits", "photos"])
def test_a_file_in_int8_is_calibrated(data, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(calibration, "IMAGES", 20)
    command = ["export", "net.keras", "--format", "tflite", "--quantize", "int8", "--data", data, "-o"]
    assert main([*command, str(tmp_path / "net.tflite")]) == 0
    interpreter = Interpreter(str(tmp_path / "net.tflite"))
    assert np.int8 in {tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    x = images(1, (32, 32, 3))
    got = interpreter.get_signature_runner()(images=x)["output_0"]
    want = keras.models.load_model(folder / "net.keras")(x)
    assert relative_difference(got, want) < 0.2


def test_images_are_chosen_evenly():
    assert [list(calibration.evenly(range(count), 3)) for count in (2, 3, 7)] == [
        [0, 1],
        [0, 1, 2],
        [0, 3, 6],
    ]


TFLITE = "net.keras --format tflite -o OUT"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("", "the following arguments are required: MODEL.keras, --format, -o/--output"),
        (
            "net.keras --format onx -o OUT",
            "argument --format: invalid choice: 'onx' (choose from 'saved-model'",
        ),
        ("no.keras --format onnx -o OUT", "argument MODEL.keras: 'no.keras' is no .keras file"),
        ("empty --format onnx -o OUT", "argument MODEL.keras: 'empty' is no .keras file"),
        ("broken.keras --format onnx -o OUT", "argument MODEL.keras: cannot load 'broken.keras' ("),
        ("net.keras --format saved-model -o empty", "`path` must be new: nothing is overwritten. Received: "),
        ("net.keras --format saved-model -o no/x", "`path` must be in a folder that exists. Received: path="),
        ("net.keras --format saved-model --version 0 -o OUT", "argument --version: must be a whole number"),
        (f"{TFLITE} --version 1", "argument --version: not for --format tflite"),
        ("net.keras --format onnx --quantize int8 -o OUT", "argument --quantize: not for --format onnx"),
        (f"{TFLITE} --quantize int4", "argument --quantize: invalid choice: 'int4' (choose from 'float16'"),
        (f"{TFLITE} --quantize int8", "argument --data: needed for --quantize int8, and for nothing else"),
        (f"{TFLITE} --quantize float16 --data photos", "argument --data: needed for --quantize int8, and"),
        (f"{TFLITE} --quantize int8 --data empty", "argument --data: 'empty' is no folder with .jpg or .png"),
        (f"{TFLITE} --quantize int8 --data digitz", "argument --data: 'digitz' is no folder with .jpg"),
        (
            "grey.keras --format tflite -o OUT --quantize int8 --data photos",
            "`model` must be a keras.Model of one input, images with three channels. Received: ",
        ),
    ],
)
def test_bad_arguments_are_one_line(arguments, message, folder, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    code, err = error_of(capsys, "export", *arguments.replace("OUT", str(tmp_path / "x")).split())
    assert code == 2
    assert err.startswith(f"keras-sknet: error: {message}") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [] and sorted(folder.rglob("*")) == before


def test_help_describes_every_format(capsys):
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name, format in export.FORMATS.items():
        assert f"{name} {format.description}" in text
    for option in export.OPTIONS:
        assert f"--{option} " in text
