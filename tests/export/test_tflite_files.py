import json
import os
import zipfile

import keras
import numpy as np
import pytest

import keras_sknet
from keras_sknet.export import export_tflite

tf = pytest.importorskip("tensorflow")

NAMES = ("dog", "Käse\nand bread", "snow leopard", "ounce, panther", "ス")


def head(class_names=None, **options):
    return keras.Sequential(
        [keras.Input((3,)), keras_sknet.Classifier(5, class_names=class_names)], **options
    )


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_labels_travel_in_the_file(quantize, litert, tmp_path):
    model = head(NAMES)
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    data = x if quantize == "int8" else None
    export_tflite(model, tmp_path / "x.tflite", quantize, data)
    with zipfile.ZipFile(tmp_path / "x.tflite") as archive:
        assert archive.testzip() is None and archive.namelist() == ["labels.txt"]
        lines = archive.read("labels.txt").decode().splitlines()
    assert lines == ["dog", "Käse and bread", "snow leopard", "ounce, panther", "ス"]
    # LiteRT reads past them.
    model.layers[-1].class_names = None
    export_tflite(model, tmp_path / "without.tflite", quantize, data)
    assert not zipfile.is_zipfile(tmp_path / "without.tflite")
    content = (tmp_path / "without.tflite").read_bytes()
    assert (tmp_path / "x.tflite").read_bytes().startswith(content)
    y, z = (litert(tmp_path / name)[0].get_signature_runner()(images=x[:1]) for name in os.listdir(tmp_path))
    np.testing.assert_array_equal(y["output_0"], z["output_0"])


def test_preprocessing_travels_too_and_files_repeat(tmp_path):
    pixels = keras_sknet.layers.ImageNormalization(crop_fraction=0.5, interpolation="nearest")
    model = keras.Sequential([keras.Input((4, 4, 3)), pixels])
    for name in "ab":
        export_tflite(model, tmp_path / name)
    with zipfile.ZipFile(tmp_path / "a") as archive:
        assert archive.namelist() == ["metadata.json"]
        found = json.loads(archive.read("metadata.json"))
    assert found == {"crop_fraction": "0.5", "interpolation": "nearest"}
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@keras.saving.register_keras_serializable("mine")
class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2 * x


@keras.saving.register_keras_serializable("mine")
class Inverse(keras.layers.Layer):
    def call(self, x):
        return tf.linalg.inv(x)


@keras.saving.register_keras_serializable("mine")
class InPython(keras.layers.Layer):
    def call(self, x):
        return tf.ensure_shape(tf.numpy_function(lambda x: 2 * x, [x], tf.float32), x.shape)


def test_a_layer_of_the_users_is_exported_if_litert_has_what_it_needs(litert, tmp_path):
    export_tflite(keras.Sequential([keras.Input((2, 2)), Doubled()]), tmp_path / "x")
    x = np.ones((1, 2, 2), "float32")
    np.testing.assert_array_equal(
        litert(tmp_path / "x")[0].get_signature_runner()(images=x)["output_0"], 2 * x
    )


@pytest.mark.parametrize("quantize", [None, "float16", "dynamic", "int8"])
@pytest.mark.parametrize(
    "layer, operations", [(Inverse, "'tf.MatrixInverse'"), (InPython, "'tf.EnsureShape', 'tf.PyFunc'")]
)
def test_a_layer_that_litert_cannot_run_is_named_in_one_line(layer, operations, quantize, tmp_path):
    model = keras.Sequential([keras.Input((2, 2)), layer(name="odd")], name="mine")
    data = np.ones((1, 2, 2)) if quantize == "int8" else None
    with pytest.raises(ValueError) as caught:
        export_tflite(model, tmp_path / "x", quantize, data)
    assert str(caught.value) == (
        "`model` must consist of operations that LiteRT has built in. "
        f"Received: model='mine', operations=[{operations}], places=['mine_1/odd_1']"
    )
    assert os.listdir(tmp_path) == []


def test_an_existing_file_is_left_alone(tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(ValueError, match="`path` must be new: nothing is overwritten"):
        export_tflite(head(NAMES), tmp_path / "x")
    assert (tmp_path / "x").read_text() == "mine" and os.listdir(tmp_path) == ["x"]


def test_a_folder_that_cannot_be_written_to(require):
    # Permissions do not bind root; there, nobody makes files.
    require(os.path.isdir("/proc/self"), "the /proc of Linux")
    with pytest.raises(OSError, match=r"Cannot write here .*: '/proc/x\.tflite'"):
        export_tflite(head(), "/proc/x.tflite")


def test_a_disk_that_fills_up_in_the_end_is_one_line(full_disk, tmp_path):
    names = [f"{number:0100}" for number in range(1000)]
    model = keras.Sequential([keras.Input((100,)), keras_sknet.Classifier(1000, class_names=names)])
    # Room for the weights and the network, but not for the names behind them.
    with full_disk(450_000), pytest.raises(OSError) as caught:
        export_tflite(model, tmp_path / "x")
    assert str(caught.value) == f"Cannot write '{tmp_path}/x' (File too large)"
    assert os.listdir(tmp_path) == []
    with full_disk(550_000):
        export_tflite(model, tmp_path / "x")
    assert os.listdir(tmp_path) == ["x"]


def test_a_nested_network_keeps_its_classes(tmp_path):
    export_tflite(keras.Sequential([keras.Input((3,)), head(NAMES)]), tmp_path / "x")
    with zipfile.ZipFile(tmp_path / "x") as archive:
        assert archive.namelist() == ["labels.txt"]
