import re

import pytest
import tensorflow as tf

from checks import images
from keras_sknet import export
from keras_sknet.cli import main
from nets import small


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two networks, the first one's ONNX and OpenVINO files, and a picture."""
    folder = tmp_path_factory.mktemp("verify")
    for name in "right", "wrong":
        model = small()
        model.save(folder / f"{name}.keras")
        if name == "right":
            export.export_onnx(model, folder / "x.onnx")
            export.export_openvino(model, folder / "x")
    (image,) = images(1, (48, 40, 3))
    (folder / "a.jpg").write_bytes(tf.io.encode_jpeg(image.astype("uint8")).numpy())
    return folder


@pytest.mark.parametrize("path, name", [("x.onnx", "ONNX"), ("x", "OpenVINO"), ("right.keras", "Keras")])
@pytest.mark.parametrize("given", [[], ["--images", "a.jpg", "a.jpg"]], ids=["random", "given"])
def test_what_agrees_is_reported(path, name, given, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert main(["verify", path, "--against", "right.keras", *given]) == 0
    match = (
        rf"{path}: {name}, 0\.\d MB, outputs within \d\.\de[-+]\d\d of the largest, .* 100% of the images\n"
    )
    assert re.fullmatch(match, capsys.readouterr().out)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            "x.onnx --against wrong.keras",
            "'x.onnx' does not compute what model 'small' does: outputs differ",
        ),
        ("x.onnx --against none.keras", "argument --against: 'none.keras' is no .keras file"),
        ("x.onnx --against x.onnx", "argument --against: 'x.onnx' is no .keras file"),
        ("none --against right.keras", "`path` must be an existing .keras, .tflite, .onnx or .xml file, or"),
        ("x.onnx --against right.keras --images none.jpg", "'none.jpg' does not exist"),
        ("x.onnx --against right.keras --images x.onnx", "'x.onnx' is neither a JPEG nor a PNG file"),
        ("x.onnx", "the following arguments are required: --against"),
    ],
)
def test_what_does_not_is_one_line(arguments, message, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    try:
        code = main(["verify", *arguments.split()])
    except SystemExit as exit:
        code = exit.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith(f"keras-sknet: error: {message}") and err.count("\n") == 1
