import json
import shutil
import sys
import zipfile

import keras
import numpy as np
import pytest

from checks import images
from keras_sknet import export
from keras_sknet.export import verify_export
from keras_sknet.export.formats import FORMATS, load, recognize
from keras_sknet.export.verify import Report, VerificationError, verified
from nets import small

tf = pytest.importorskip("tensorflow")

NAMES = ("cat", "dog", "ox", "yak", "Gänseblümchen")
PATHS = {
    "SavedModel": "saved_model",
    "LiteRT": "x.tflite",
    "ONNX": "x.onnx",
    "OpenVINO": "openvino",
    "Keras": "x.keras",
}


EXPORTERS = {
    "SavedModel": export.export_saved_model,
    "LiteRT": export.export_tflite,
    "ONNX": export.export_onnx,
    "OpenVINO": export.export_openvino,
    "Keras": keras.Model.save,
}


@pytest.fixture(scope="module")
def model():
    return small(class_names=NAMES)


@pytest.fixture(scope="module")
def other(model):
    """The same network with other weights: it never has the same class at the top."""
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    classifier = other.layers[-1]
    classifier.set_weights([-weight for weight in classifier.get_weights()])
    return other


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """The model in every format."""
    folder = tmp_path_factory.mktemp("formats")
    export.export_saved_model(model, folder / "saved_model")
    export.export_tflite(model, folder / "x.tflite", batch_size=3)
    export.export_onnx(model, folder / "x.onnx")
    export.export_openvino(model, folder / "openvino")
    model.save(folder / "x.keras")
    return folder


@pytest.mark.parametrize("name", PATHS)
def test_every_format_is_recognized_run_and_compared(name, model, other, folder):
    path = folder / PATHS[name]
    assert recognize(path).name == name
    report = verify_export(model, path, images(40, (32, 32, 3), seed=2))
    assert report[:2] == (str(path), name)
    files = [file for file in (path, *path.rglob("*")) if file.is_file()]
    assert report.bytes == sum(len(file.read_bytes()) for file in files)
    assert report.difference < 1e-5 and report.agreement == 1
    assert str(report).startswith(f"{path}: {name}, {report.bytes / 1e6:.1f} MB, outputs within ")
    with pytest.raises(
        VerificationError, match=f"{PATHS[name]}' does not compute what model '.*{name}, float32"
    ):
        verify_export(other, path)


@pytest.mark.parametrize("name", PATHS)
def test_every_format_takes_any_batch_and_knows_its_classes(name, model, folder):
    runnable = load(folder / PATHS[name])
    assert {name: shape[1:] for name, shape in runnable.inputs.items()} == {"images": (32, 32, 3)}
    assert runnable.precision == "float32"
    x = images(7, (32, 32, 3), seed=3)
    for count in 1, 3, 7:
        (y,) = runnable.run({"images": x[:count]}).values()
        np.testing.assert_allclose(y, model(x[:count], training=False), rtol=1e-4, atol=1e-4)
    assert json.loads(runnable.metadata["class_names"]) == list(NAMES)
    assert runnable.metadata["crop_fraction"] == "0.875"
    assert runnable.metadata["interpolation"] == "bicubic"


@pytest.mark.parametrize("name", PATHS)
def test_a_fixed_batch_size_takes_any_number_of_images(name, model, tmp_path):
    fixed = keras.Input(batch_shape=(4, 32, 32, 3))
    fixed, path = keras.Model(fixed, model(fixed)), tmp_path / PATHS[name]
    EXPORTERS[name](fixed, path)
    runnable = load(path)
    assert runnable.inputs == {"images": (4, 32, 32, 3)}
    x = images(6, (32, 32, 3), seed=3)
    for count in 1, 4, 6:
        (y,) = runnable.run({"images": x[:count]}).values()
        np.testing.assert_allclose(y, model(x[:count], training=False), rtol=1e-4, atol=1e-4)


def test_several_inputs_that_nobody_named_are_exported(tmp_path):
    inputs = [keras.Input((4,)), keras.Input((4,))]
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs[0] - 2 * inputs[1]))
    names = [layer.name for layer in model.layers if isinstance(layer, keras.layers.InputLayer)]
    for name in EXPORTERS.keys() - {"Keras"}:
        assert EXPORTERS[name](model, tmp_path / PATHS[name]).difference < 1e-5
        assert sorted(load(tmp_path / PATHS[name]).inputs) == sorted(names)


def test_classes_without_names_have_none_in_any_format(tmp_path):
    model = small()
    export.export_saved_model(model, tmp_path / "saved_model")
    export.export_tflite(model, tmp_path / "x.tflite")
    assert (tmp_path / "saved_model" / "assets" / "labels.txt").read_text() == "0\n1\n2\n3\n4\n"
    for path in "saved_model", "x.tflite":
        assert "class_names" not in load(tmp_path / path).metadata


def test_the_latest_version_of_a_saved_model_is_meant(model, other, folder, tmp_path):
    shutil.copytree(folder / "saved_model", tmp_path / "10")
    export.export_saved_model(other, tmp_path / "9")
    (tmp_path / "11").mkdir()
    assert verify_export(model, tmp_path).difference < 1e-5
    assert verify_export(other, tmp_path / "9").difference < 1e-5


def test_an_xml_file_may_be_named(model, folder):
    assert verify_export(model, folder / "openvino" / "model.xml").format == "OpenVINO"


def test_files_without_metadata_run(model, folder, tmp_path):
    with zipfile.ZipFile(folder / "x.tflite") as archive:
        start = min(entry.header_offset for entry in archive.infolist())
    (tmp_path / "x.tflite").write_bytes((folder / "x.tflite").read_bytes()[:start])
    shutil.copytree(folder / "saved_model", tmp_path / "saved_model")
    shutil.rmtree(tmp_path / "saved_model" / "assets.extra")
    for path in "x.tflite", "saved_model":
        assert "crop_fraction" not in load(tmp_path / path).metadata
        assert verify_export(model, tmp_path / path).difference < 1e-5


@pytest.mark.parametrize(
    "quantize, precision", [("float16", "float16"), ("int8", "int8"), ("dynamic", "int8")]
)
def test_less_precise_files_are_held_to_less(quantize, precision, model, other, tmp_path):
    path, real = tmp_path / "x.tflite", images(50, (32, 32, 3), seed=4)
    data = {"representative_dataset": real} if quantize == "int8" else {}
    integers = {"input_dtype": "uint8", "output_dtype": "int8"} if quantize == "int8" else {}
    export.export_tflite(model, path, quantize, **data, **integers)
    assert load(path).precision == precision
    report = verify_export(model, path, real)
    assert 1e-5 < report.difference < (1e-2 if precision == "float16" else 0.5) and report.agreement > 0.8
    with pytest.raises(VerificationError, match=f"LiteRT, {precision}"):
        verify_export(other, path, real)


def test_a_model_of_less_precision_is_held_to_less(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = small()
    export.export_saved_model(model, tmp_path / "x")
    assert verify_export(model, tmp_path / "x").difference < 5e-2


@pytest.mark.parametrize(
    "make, what",
    [
        (lambda x: keras.Model(x, [x, x]), "outputs without the batch are .*output_0.*, not .*output_1"),
        (lambda x: keras.Model({"a": x}, x + 1), "does not compute"),
        (lambda x: keras.Model(x, x[:, :2]), r"outputs without the batch are .*\(4,\).*, not .*\(2,\)"),
        (lambda x: small(), "inputs without the batch are .*'a'.*, not .*'images'"),
    ],
    ids=["outputs", "values", "shape", "inputs"],
)
def test_another_model_is_told_from_the_right_one(make, what, tmp_path):
    x = keras.Input((4,), name="a")
    right = keras.Model(x, x + 2)
    export.export_saved_model(right, tmp_path / "x")
    assert verify_export(right, tmp_path / "x").difference == 0
    with pytest.raises(VerificationError, match=what):
        verify_export(make(x), tmp_path / "x")


def test_nan_is_no_equality(tmp_path):
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Lambda(lambda x: keras.ops.log(-keras.ops.abs(x)))(x))
    with pytest.raises(VerificationError, match="outputs differ by nan"):
        export.export_onnx(model, tmp_path / "x.onnx")


@pytest.mark.parametrize(
    "inputs, dtype",
    [
        ({"shape": (3,), "dtype": "int32"}, "int32"),
        ({"shape": (2,), "dtype": "bool"}, "bool"),
        ({"batch_shape": (5, 8, 8, 3)}, "float32"),
        ({"shape": (None, 3)}, "float32"),
    ],
    ids=["integers", "booleans", "fixed batch", "sequences"],
)
def test_inputs_of_any_kind_get_random_values(inputs, dtype, tmp_path):
    x = keras.Input(**inputs)
    model = keras.Model(x, 2.0 * keras.ops.cast(x, "float32"))
    for export_as, path in (export.export_onnx, "x.onnx"), (export.export_openvino, "y"):
        assert export_as(model, tmp_path / path).difference == 0
    assert x.dtype == dtype


def test_text_is_given_to_lookup_tables(tmp_path):
    x = keras.Input((1,), dtype="string")
    model = keras.Model(x, keras.layers.StringLookup(vocabulary=["text", "dog"])(x))
    export.export_saved_model(model, tmp_path / "x")
    assert verify_export(model, tmp_path / "x").difference == 0


def test_an_export_may_go_unverified(model, other, folder):
    report = verified(other, folder / "x.onnx", "final.onnx", "onnx", False)
    size = (folder / "x.onnx").stat().st_size
    assert report == Report("final.onnx", "ONNX", size, None, None)
    assert str(report) == f"final.onnx: ONNX, {size / 1e6:.1f} MB, not verified"


@pytest.mark.parametrize("name", PATHS)
def test_damage_is_one_line(name, model, folder, tmp_path):
    damaged = tmp_path / PATHS[name]
    if (folder / PATHS[name]).is_dir():
        shutil.copytree(folder / PATHS[name], damaged)
        (damaged / ("saved_model.pb" if name == "SavedModel" else "model.xml")).write_bytes(b"junk")
    else:
        damaged.write_bytes((folder / PATHS[name]).read_bytes()[:1000])
    with pytest.raises(ValueError) as caught:
        verify_export(model, damaged)
    text = str(caught.value)
    assert text.startswith(
        f"`path` must be an undamaged model in the format {name}. Received: path='{damaged}'"
    )
    assert "\n" not in text and len(text) < 600


@pytest.mark.parametrize(
    "module, path, text",
    [
        (
            "ai_edge_litert.interpreter",
            "x.tflite",
            'ai-edge-litert is not installed: pip install "keras_sknet[litert]"',
        ),
        ("onnxruntime", "x.onnx", 'onnxruntime is not installed: pip install "keras_sknet[onnx]"'),
        ("openvino", "openvino", 'openvino is not installed: pip install "keras_sknet[openvino]"'),
    ],
)
def test_a_missing_runtime_is_named(module, path, text, model, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError) as caught:
        verify_export(model, folder / path)
    assert str(caught.value) == text


def test_every_format_is_tested():
    assert {format.name for format in FORMATS.values()} == set(PATHS)
