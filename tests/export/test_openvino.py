import collections
import json
import os

import keras
import numpy as np
import openvino
import pytest

import keras_sknet
from checks import images, randomize, relative_difference
from keras_sknet import Branch, GroupedConv2D
from keras_sknet.export import export_openvino
from keras_sknet.export.verify import VerificationError
from keras_sknet.ops._private import flatten_layers
from nets import BRANCHES, small, tiny

tf = pytest.importorskip("tensorflow")

LOGITS = {"classifier_activation": None, "depths": (1, 1, 1)}
NETS = {
    "sk": lambda: tiny("SKNet50", **{**LOGITS, "depths": (1, 1, 1, 1)}),
    "three branches": lambda: tiny("SKNet50", branches=(*BRANCHES, Branch(5, 1, 4)), stem="cifar", **LOGITS),
    "any size": lambda: tiny("SKNet50", input_shape=(None, None, 3), stem_padding="torch", **LOGITS),
    "se": lambda: tiny("SENet50", **LOGITS),
}
QUICK = ("sk", "any size")


def compiled(path):
    return openvino.compile_model(path / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def check(path, model, size):
    """Compares a folder's outputs and nodes with a model's."""
    x = images(3, (*size, 3), seed=1)
    expected = model(x, training=False)
    classify = compiled(path)
    for count in 3, 1:
        assert relative_difference(classify({"images": x[:count]})["output_0"], expected[:count]) < 1e-5
    nodes = openvino.Core().read_model(path / "model.xml").get_ordered_ops()
    kinds = collections.Counter(node.get_type_name() for node in nodes)
    layers = [
        layer for layer in flatten_layers(model) if isinstance(layer, keras.layers.Conv2D | GroupedConv2D)
    ]
    grouped = sum(layer.groups > 1 for layer in layers)
    assert (kinds["GroupConvolution"], kinds["Convolution"]) == (grouped, len(layers) - grouped)
    assert not {"Concat", "BatchNormInference", "BatchToSpace", "SpaceToBatch"} & set(kinds)
    # Raw images become channels-first, and no feature map is transposed after that.
    transposed = [
        node
        for node in nodes
        if node.get_type_name() == "Transpose" and len(node.get_output_partial_shape(0)) == 4
    ]
    sources = [node.input_value(0).get_node().get_type_name() for node in transposed]
    assert [source for source in sources if source != "Constant"] == ["Parameter"]
    assert kinds["Split"] == sum(getattr(layer, "has_attention", False) for layer in flatten_layers(model))


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NETS])
def test_a_network_equals_keras_node_by_node(name, tmp_path):
    model = NETS[name]()
    randomize(model)
    report = export_openvino(model, tmp_path / "x")
    check(tmp_path / "x", model, (40, 72) if name == "any size" else (32, 32))
    files = {file.name: file.stat().st_size for file in (tmp_path / "x").iterdir()}
    assert set(files) == {"model.xml", "model.bin"} and os.listdir(tmp_path) == ["x"]
    assert (report.path, report.format, report.bytes) == (
        str(tmp_path / "x"),
        "OpenVINO",
        sum(files.values()),
    )
    assert report.difference < 1e-5 and report.agreement == 1
    # Weights are stored in four bytes each.
    assert files["model.bin"] > 4 * 0.9 * model.count_params()


@pytest.mark.slow
def test_sknet50_at_full_size(tmp_path):
    model = keras_sknet.SKNet50(classifier_activation=None)
    randomize(model)
    export_openvino(model, tmp_path / "x")
    check(tmp_path / "x", model, (224, 224))


def test_the_file_says_what_it_takes_and_is(tmp_path):
    names = ["Katze", "Gänseblümchen", "a\nb", '"', "<c>"]
    export_openvino(small(class_names=names), tmp_path / "x", verify=images(2, (32, 32, 3)))
    graph = openvino.Core().read_model(tmp_path / "x" / "model.xml")
    shapes = {port.get_any_name(): str(port.get_partial_shape()) for port in (*graph.inputs, *graph.outputs)}
    assert shapes == {"images": "[?,32,32,3]", "output_0": "[?,5]"}
    assert json.loads(graph.get_rt_info(["keras_sknet", "class_names"]).value) == names
    assert float(graph.get_rt_info(["keras_sknet", "crop_fraction"]).value) == 0.875
    assert graph.get_rt_info(["keras_sknet", "interpolation"]).value == "bicubic"


def test_inputs_and_outputs_keep_their_names(tmp_path):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    export_openvino(keras.Model({"a": a, "b": b}, {"plus": a + b, "minus": a - b}), tmp_path / "x")
    ones = np.ones((2, 4), "float32")
    outputs = compiled(tmp_path / "x")({"b": ones, "a": 3 * ones})
    np.testing.assert_array_equal(outputs["plus"], 4 * ones)
    np.testing.assert_array_equal(outputs["minus"], 2 * ones)


def test_grouped_convolutions_of_keras_need_no_xla(tmp_path):
    x = keras.Input((8, 8, 8))
    export_openvino(keras.Model(x, keras.layers.Conv2D(8, 3, groups=4)(x)), tmp_path / "x")
    nodes = openvino.Core().read_model(tmp_path / "x" / "model.xml").get_ordered_ops()
    assert collections.Counter(node.get_type_name() for node in nodes)["GroupConvolution"] == 1


def test_what_openvino_cannot_say_is_refused_by_name(tmp_path):
    x = keras.Input((3, 3))
    model = keras.Model(x, keras.layers.Lambda(tf.linalg.logdet)(x), name="mine")
    match = r"`model` must be made of operations that OpenVINO has.*model='mine', operations=\['Cholesky', "
    with pytest.raises(ValueError, match=match):
        export_openvino(model, tmp_path / "x")
    model = keras.Model(x, keras.layers.Dense(2, dtype="mixed_float16")(x), name="mine")
    match = r"`model` must be one that computes in float32.*model='mine', compute_dtypes=\['float16'\]"
    with pytest.raises(ValueError, match=match):
        export_openvino(model, tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_an_export_that_computes_something_else_never_appears(tmp_path):
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Lambda(lambda x: x + tf.random.uniform((1,)))(x), name="mine")
    with pytest.raises(VerificationError, match=r"/x' does not compute what model 'mine' does: .*1e-04 is"):
        export_openvino(model, tmp_path / "x")
    assert os.listdir(tmp_path) == []
    assert export_openvino(model, tmp_path / "x", verify=False).difference is None
    assert os.listdir(tmp_path) == ["x"]
