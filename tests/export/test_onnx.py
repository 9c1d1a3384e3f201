import collections
import json
import os

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

import keras_sknet
from checks import images, randomize, relative_difference
from keras_sknet import Branch, GroupedConv2D, fold_batch_norm
from keras_sknet.export import export_onnx, export_openvino
from keras_sknet.export.verify import VerificationError
from keras_sknet.ops._private import flatten_layers
from nets import BRANCHES, small, tiny

tf = pytest.importorskip("tensorflow")

LOGITS = {"classifier_activation": None, "depths": (1, 1, 1)}
NETS = {
    "sk": lambda: tiny("SKNet50", **{**LOGITS, "depths": (1, 1, 1, 1)}),
    "three branches": lambda: tiny("SKNet50", branches=(*BRANCHES, Branch(5, 1, 4)), stem="cifar", **LOGITS),
    "plain sum": lambda: tiny("SKNet50", use_attention=False, include_preprocessing=False, **LOGITS),
    "any size": lambda: tiny("SKNet50", input_shape=(None, None, 3), stem_padding="torch", **LOGITS),
    "resnext": lambda: tiny("ResNeXt50", **LOGITS),
    "se": lambda: tiny("SENet50", **LOGITS),
}
QUICK = ("sk", "three branches", "any size", "se")


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def attributes(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def convolutions(model):
    """(groups, dilation, strides) of a model's convolutions, counted."""
    layers = [
        layer for layer in flatten_layers(model) if isinstance(layer, keras.layers.Conv2D | GroupedConv2D)
    ]
    return collections.Counter((layer.groups, *layer.dilation_rate, *layer.strides) for layer in layers)


def check(path, model, size):
    """Compares a file's outputs and nodes with a model's; returns its nodes."""
    expected = model(images(3, (*size, 3), seed=1), training=False)
    for count in 3, 1:
        (got,) = session(path).run(["output_0"], {"images": images(3, (*size, 3), seed=1)[:count]})
        assert relative_difference(got, expected[:count]) < 1e-5
    graph = onnx.load(path)
    onnx.checker.check_model(graph, full_check=True)
    nodes = collections.defaultdict(list)
    for node in graph.graph.node:
        nodes[node.op_type].append(node)
    found = [attributes(node) for node in nodes["Conv"]]
    found = collections.Counter((conv["group"], *conv["dilations"], *conv["strides"]) for conv in found)
    assert found == convolutions(model)
    assert "Concat" not in nodes and "BatchNormalization" not in nodes
    # Raw images become channels-first, and nothing is transposed after that.
    (transpose,) = nodes["Transpose"]
    assert attributes(transpose)["perm"] == [0, 3, 1, 2]
    return nodes


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NETS])
def test_a_network_equals_keras_node_by_node(name, tmp_path):
    model = NETS[name]()
    randomize(model)
    path = tmp_path / "x.onnx"
    report = export_onnx(model, path)
    assert (report.path, report.format) == (str(path), "ONNX")
    assert report.bytes == path.stat().st_size and report.difference < 1e-5 and report.agreement == 1
    nodes = check(path, model, (40, 72) if name == "any size" else (32, 32))
    # Attention is cut into the branches' parts, as in the model; kernels and images never are.
    attending = sum(getattr(layer, "has_attention", False) for layer in flatten_layers(model))
    assert len(nodes["Split"]) == attending
    assert os.listdir(tmp_path) == ["x.onnx"]


@pytest.mark.slow
def test_sknet50_at_full_size(tmp_path):
    model = keras_sknet.SKNet50(classifier_activation=None)
    randomize(model)
    export_onnx(model, tmp_path / "x.onnx")
    nodes = check(tmp_path / "x.onnx", model, (224, 224))
    assert len(nodes["Conv"]) == 1 + 4 * 16 + 4 and len(nodes["Mul"]) == 1 + 16


def test_the_file_says_what_it_takes_and_is(tmp_path):
    names = ["Katze", "Gänseblümchen", "a\nb", '"', "c"]
    model = small(crop_fraction=0.95, interpolation="bilinear", class_names=names)
    export_onnx(model, tmp_path / "x.onnx", verify=images(2, (32, 32, 3)))
    graph = onnx.load(tmp_path / "x.onnx")
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 17)]
    assert (graph.producer_name, graph.graph.name) == ("keras_sknet", "small")
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.graph.input, *graph.graph.output)
    }
    assert shapes == {"images": ["batch", 32, 32, 3], "output_0": ["batch", 5]}
    found = session(tmp_path / "x.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(found.pop("class_names")) == names
    assert found == {"crop_fraction": "0.95", "interpolation": "bilinear"}


def test_weights_are_exact(tmp_path):
    model = fold_batch_norm(small())
    export_onnx(model, tmp_path / "x.onnx")
    stored = [onnx.numpy_helper.to_array(x) for x in onnx.load(tmp_path / "x.onnx").graph.initializer]
    kernels = {x.astype("float32").tobytes() for x in stored if x.ndim == 4}
    for layer in flatten_layers(model):
        if isinstance(layer, keras.layers.Conv2D | GroupedConv2D):
            assert np.asarray(layer.kernel).transpose(3, 2, 0, 1).tobytes() in kernels


def test_inputs_and_outputs_keep_their_names(tmp_path):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    x = {"a": np.array([[1, 2, 3, 4]], "float32"), "b": np.ones((1, 4), "float32")}
    export_onnx(keras.Model({"a": a, "b": b}, {"plus": a + b, "minus": a - b}), tmp_path / "dict.onnx")
    plus, minus = session(tmp_path / "dict.onnx").run(["plus", "minus"], x)
    np.testing.assert_array_equal(plus, [[2, 3, 4, 5]])
    np.testing.assert_array_equal(minus, [[0, 1, 2, 3]])
    export_onnx(keras.Model([b, a], [a + b, a - b]), tmp_path / "list.onnx")
    plus, minus = session(tmp_path / "list.onnx").run(["output_0", "output_1"], x)
    np.testing.assert_array_equal(plus, [[2, 3, 4, 5]])
    np.testing.assert_array_equal(minus, [[0, 1, 2, 3]])


def test_a_model_that_cannot_be_rebuilt_keeps_its_batch_norm(tmp_path):
    class Mine(keras.layers.Layer):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def call(self, x):
            return self.factor * x

    x = keras.Input((8, 8, 3))
    variance = keras.initializers.RandomUniform(0.5, 1.5)
    y = keras.layers.BatchNormalization(moving_variance_initializer=variance)(Mine(3.0)(x))
    model = keras.Model(x, y)
    with pytest.raises(ValueError):
        fold_batch_norm(model)
    assert export_onnx(model, tmp_path / "x.onnx").difference < 1e-5


@pytest.mark.parametrize(
    "make, text",
    [
        (
            lambda x: keras.layers.Conv2D(8, 3, groups=4, name="bad")(x),
            r"free of parts that XLA must compile.*model='mine', layers=\['bad'\]",
        ),
        (
            lambda x: keras.layers.Lambda(tf.linalg.inv)(x),
            r"made of operations that ONNX has. Received: model='mine', operations=\['MatrixInverse'\]",
        ),
        (
            lambda x: keras.layers.Dense(2, dtype="mixed_bfloat16")(x),
            r"one that computes in float32.*model='mine', compute_dtypes=\['bfloat16'\]",
        ),
    ],
    ids=["xla", "operation", "dtype"],
)
def test_what_onnx_cannot_say_is_refused_by_name(make, text, tmp_path, caplog):
    x = keras.Input((8, 8, 8))
    with pytest.raises(ValueError, match=f"`model` must be {text}"):
        export_onnx(keras.Model(x, make(x), name="mine"), tmp_path / "x.onnx")
    assert os.listdir(tmp_path) == [] and caplog.text == ""


def test_an_export_that_computes_something_else_never_appears(tmp_path):
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Lambda(lambda x: x + tf.random.normal((1,)))(x), name="mine")
    with pytest.raises(
        VerificationError, match=r"x.onnx' does not compute what model 'mine' does: .*1e-04 is"
    ):
        export_onnx(model, tmp_path / "x.onnx")
    assert os.listdir(tmp_path) == []
    report = export_onnx(model, tmp_path / "x.onnx", verify=False)
    assert report.difference is None and report.bytes == (tmp_path / "x.onnx").stat().st_size


def small_dense():
    return keras.Sequential([keras.Input((100,)), keras.layers.Dense(1000)])


@pytest.mark.parametrize("export", [export_onnx, export_openvino])
def test_a_full_disk_is_one_line(export, full_disk, tmp_path):
    with full_disk(10_000), pytest.raises(OSError) as caught:
        export(small_dense(), tmp_path / "x")
    assert str(caught.value).startswith(f"Cannot write '{tmp_path}/x' (") and len(str(caught.value)) < 300
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "package, extra, export",
    [
        ("onnx", "onnx", export_onnx),
        ("tf2onnx", "onnx", export_onnx),
        ("onnxruntime", "onnx", export_onnx),
        ("openvino", "openvino", export_openvino),
    ],
)
def test_a_missing_package_is_named_with_its_extra(package, extra, export, uninstalled, tmp_path):
    uninstalled(package)
    with pytest.raises(
        ImportError, match=rf'^{package} is not installed: pip install "keras_sknet\[{extra}\]"$'
    ):
        export(small_dense(), tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_images_of_16_bits_are_verified(tmp_path):
    x = keras.Input((8, 8, 3), dtype="uint16")
    model = keras.Model(x, keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 65535)(x)))
    assert keras_sknet.export_onnx(model, tmp_path / "model.onnx").difference < 1e-5
