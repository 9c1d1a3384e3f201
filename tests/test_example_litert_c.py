"""The C example compiles without a warning and computes what LiteRT computes in Python."""

import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_sknet
from checks import images, randomize, relative_difference
from keras_sknet.export import export_tflite
from nets import tiny

tf = pytest.importorskip("tensorflow")
interpreter = pytest.importorskip("ai_edge_litert.interpreter")

SOURCE = Path(__file__).resolve().parent.parent / "examples" / "litert_c" / "classify.c"


@pytest.fixture(scope="module")
def classify(require, tmp_path_factory):
    """`classify(model, image)`: the finished process of the example."""
    compiler = next(filter(None, map(shutil.which, ["cc", "gcc", "clang"])), None)
    require(compiler, "a C compiler")
    folder = Path(interpreter.__file__).parent
    require((folder / "libLiteRt.so").exists(), "LiteRT's library for Linux")
    program = tmp_path_factory.mktemp("litert_c") / "classify"
    command = [compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", SOURCE, "-o", program]
    command += [f"-L{folder}", "-l:libLiteRt.so", f"-Wl,-rpath,{folder}"]
    subprocess.run(command, check=True)

    def classify(*arguments):
        command = [program, *arguments]
        # LiteRT quotes the bytes that it does not understand.
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60)

    return classify


@pytest.fixture(scope="module")
def network():
    model = tiny()
    randomize(model)
    return model


@pytest.fixture(scope="module")
def small():
    pixels, pool = keras_sknet.layers.ImageNormalization(), keras.layers.AveragePooling2D(8)
    dense = keras.layers.Dense(5, "softmax")
    return keras.Sequential([keras.Input((32, 32, 3)), pixels, pool, keras.layers.Flatten(), dense])


@pytest.fixture
def image(tmp_path):
    pixels = images(1, (32, 32, 3), seed=1).astype("uint8")
    (tmp_path / "image.raw").write_bytes(pixels.tobytes())
    return pixels, tmp_path / "image.raw"


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8"])
def test_scores_are_those_of_python(dtype, classify, network, small, image, tmp_path):
    pixels, path = image
    if dtype == "float32":
        export_tflite(network, tmp_path / "x.tflite")
    else:
        export_tflite(small, tmp_path / "x.tflite", "int8", images(16, (32, 32, 3)), input_dtype=dtype)
    x = pixels.astype("int16") - 128 if dtype == "int8" else pixels
    python = interpreter.Interpreter(str(tmp_path / "x.tflite")).get_signature_runner()
    want = python(images=x.astype(dtype))["output_0"][0]
    process = classify(tmp_path / "x.tflite", path)
    assert process.returncode == 0, process.stderr
    got = np.array(process.stdout.split(), "float32")
    assert relative_difference(got, want) < 1e-5


def test_mistakes_are_one_line(classify, small, image, tmp_path):
    _, path = image
    model = tmp_path / "x.tflite"
    export_tflite(small, model)
    short = tmp_path / "short.raw"
    short.write_bytes(path.read_bytes()[:-1])
    cases = {
        (): "usage: classify MODEL.tflite IMAGE",
        (path, path): f"is no LiteRT file: {path}",
        (model, tmp_path / "no"): f"cannot be read: {tmp_path / 'no'}",
        (model, short): f"{short} must hold 3072 bytes, the model's height * width * 3",
    }
    for arguments, text in cases.items():
        process = classify(*arguments)
        assert process.returncode == 1 and process.stdout == "", arguments
        assert process.stderr.splitlines()[-1] == f"classify: {text}"
