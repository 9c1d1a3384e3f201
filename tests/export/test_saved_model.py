import collections
import os

import keras
import numpy as np
import pytest

import keras_sknet
from checks import images, randomize, relative_difference
from keras_sknet import Branch, feature_pyramid
from keras_sknet.data import decode, evaluation_transform
from keras_sknet.export import export_saved_model, export_tflite
from keras_sknet.export.inference import inference_archive
from nets import BRANCHES, tiny

tf = pytest.importorskip("tensorflow")

LOGITS = {"classifier_activation": None}
SHALLOW = {"depths": (1, 1, 1), **LOGITS}
NETS = {
    "sk": lambda: tiny("SKNet50", **LOGITS),
    "plain sum": lambda: tiny("SKNet50", use_attention=False, include_preprocessing=False, **SHALLOW),
    "any size": lambda: tiny("SKNet50", input_shape=(None, None, 3), stem_padding="torch", **SHALLOW),
}
MORE = {
    "three branches": lambda: tiny("SKNet50", stem="cifar", branches=(*BRANCHES, Branch(5, 1, 4)), **SHALLOW),
    "se": lambda: tiny("SENet50", **SHALLOW),
    "deep sk": lambda: tiny("SKNet50", depths=(3, 4, 6, 3), **LOGITS),
    "deep resnext": lambda: tiny("ResNeXt50", depths=(3, 4, 6, 3), **LOGITS),
}


def files(images):
    """JPEG files of images, as an array."""
    return np.array([tf.io.encode_jpeg(image.astype("uint8"), quality=95).numpy() for image in images], "S")


def by_keras(model, x, jpegs, size):
    """What each signature should return."""
    transform = evaluation_transform(model, size)
    cropped = tf.stack([transform(decode(file)) for file in jpegs])
    levels = feature_pyramid(model)(x, training=False)
    return {
        "serving_default": {"output_0": model(x, training=False)},
        "classify_jpeg": {"probabilities": tf.nn.softmax(model(cropped, training=False))},
        "features": {**levels, "pooled": tf.reduce_mean(levels[max(levels)], (1, 2))},
    }


@pytest.mark.parametrize("nets", [NETS, pytest.param(MORE, marks=pytest.mark.slow)], ids=["three", "more"])
def test_every_signature_runs_where_there_is_neither_keras_nor_xla(nets, serve, tmp_path):
    jpegs = files(images(8, (50, 40, 3), seed=2))
    calls, expected = {}, []
    for name, make in nets.items():
        model = make()
        randomize(model)
        size = (40, 56) if name == "any size" else (32, 32)
        x = images(8, (*size, 3), seed=1)
        export_saved_model(model, tmp_path / name, size=size, verify=False)
        calls[tmp_path / name] = {"serving_default": {"images": x}, "features": {"images": x}}
        if name != "plain sum":  # which includes no preprocessing
            calls[tmp_path / name]["classify_jpeg"] = {"image_bytes": jpegs}
        expected.append(by_keras(model, x, jpegs, size))
    for name, want, got in zip(nets, expected, serve(calls), strict=True):
        # Folding rounds weights anew, which sixteen units of attention amplify.
        tolerance = 5e-5 if name == "deep sk" else 1e-5
        assert set(got) == set(signatures(tmp_path / name))
        for call, (function, session, one) in got.items():
            for output, value in want[call].items():
                assert relative_difference(function[output], value) < tolerance, (name, call, output)
                assert relative_difference(session[output], value) < tolerance, (name, call, output)
                assert relative_difference(one[output], value[:1]) < tolerance, (name, call, output)


def grouped():
    return keras.Sequential([keras.Input((8, 8, 8)), keras.layers.Conv2D(8, 3, groups=4, name="bad")])


def signatures(path):
    return tf.saved_model.load(str(path)).signatures


def signature(path):
    return signatures(path)["serving_default"]


def test_a_grouped_convolution_of_keras_fails_there(serve, tmp_path):
    grouped().export(tmp_path / "keras", verbose=False)
    (name,) = signature(tmp_path / "keras").structured_input_signature[1]
    models = {tmp_path / "keras": {"serving_default": {name: np.ones((2, 8, 8, 8), "float32")}}}
    with pytest.raises(AssertionError, match="XLA"):
        serve(models)
    # Nothing but XLA is missing.
    outputs, _, _ = serve(models, xla=True)[0]["serving_default"]
    assert outputs["output_0"].shape == (2, 6, 6, 8)


def test_what_xla_must_compile_is_refused_by_name(tmp_path):
    class Jitted(keras.layers.Layer):
        def call(self, x):
            return tf.function(lambda x: 2 * x, jit_compile=True)(x)

    x = keras.Input((8, 8, 8))
    model = keras.Model(x, Jitted(name="jitted")(grouped()(x)), name="mine")
    match = (
        r"parts that XLA must compile.*GroupedConv2D does not.*model='mine', layers=\['jitted', '.*/bad'\]"
    )
    with pytest.raises(ValueError, match=match):
        export_saved_model(model, tmp_path / "x")
    with (
        keras_sknet.ops.convolution_path("keras"),
        pytest.raises(ValueError, match="'sk_2_1/sk_2_1/branch_0/conv'"),
    ):
        export_saved_model(tiny(), tmp_path / "x")
    assert os.listdir(tmp_path) == []


EXPORT = """
import sys
import numpy as np
from checks import images, randomize
from keras_sknet import export_saved_model
from nets import tiny
model = tiny("SKNet50", depths=(1, 1, 1), classifier_activation=None)
randomize(model)
export_saved_model(model, sys.argv[1] + "/ours", verify=False)
model.export(sys.argv[1] + "/keras", verbose=False)
np.save(sys.argv[1] + "/y.npy", model(images(2, (32, 32, 3)), training=False))
"""
SERVE = """
import sys
import numpy as np
import tensorflow as tf
from checks import images, relative_difference
want = np.load(sys.argv[1] + "/y.npy")
for folder in ("ours", "keras"):
    served = tf.saved_model.load(sys.argv[1] + "/" + folder).signatures["serving_default"]
    (name,) = served.structured_input_signature[1]
    (got,) = served(**{name: images(2, (32, 32, 3))}).values()
    print(folder, relative_difference(got, want) < 1e-5, flush=True)
"""


def test_it_is_served_where_onednn_is_off_though_exported_where_it_is_on(tmp_path, run_python):
    run_python(EXPORT, tmp_path, TF_ENABLE_ONEDNN_OPTS="1")
    assert run_python(SERVE, tmp_path, TF_ENABLE_ONEDNN_OPTS="0") == "ours True\nkeras True\n"


def test_the_model_knows_that_it_does_not_train():
    _, function = inference_archive(tiny())
    operations = collections.Counter(node.op for node in function.graph.as_graph_def().node)
    assert operations["Conv2D"] == 20
    # The repair of empty batches would keep batch normalization from being fused into the convolution.
    assert operations["Reshape"] == 0


@pytest.mark.parametrize("shape", [(None, None, 3), (48, 32, 3)])
def test_the_signature_of_a_network(tmp_path, shape):
    keras.config.set_dtype_policy("mixed_bfloat16")
    export_saved_model(tiny(input_shape=shape), tmp_path / "x")
    served = signature(tmp_path / "x")
    (inputs,) = served.structured_input_signature[1].values()
    assert (inputs.name, tuple(inputs.shape), inputs.dtype) == ("images", (None, *shape), tf.float32)
    (outputs,) = served.structured_outputs.values()
    assert (tuple(outputs.shape), outputs.dtype) == ((None, 5), tf.float32)
    assert list(served(images=tf.zeros((3, 48, 32, 3))).values())[0].shape == (3, 5)


def test_inputs_and_outputs_keep_names_and_structure(tmp_path):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    x = {"a": tf.constant([[1.0, 2, 3, 4]]), "b": tf.ones((1, 4))}
    export_saved_model(keras.Model({"a": a, "b": b}, {"plus": a + b, "minus": a - b}), tmp_path / "dict")
    outputs = signature(tmp_path / "dict")(**x)
    np.testing.assert_array_equal(outputs["plus"], [[2, 3, 4, 5]])
    np.testing.assert_array_equal(outputs["minus"], [[0, 1, 2, 3]])
    export_saved_model(keras.Model([b, a], [a + b, a - b]), tmp_path / "list")
    outputs = signature(tmp_path / "list")(**x)
    np.testing.assert_array_equal(outputs["output_0"], [[2, 3, 4, 5]])
    np.testing.assert_array_equal(outputs["output_1"], [[0, 1, 2, 3]])


def test_lookup_tables_travel_along(tmp_path):
    x = keras.Input((1,), dtype="string")
    model = keras.Model(x, keras.layers.StringLookup(vocabulary=["cat", "dog"])(x))
    export_saved_model(model, tmp_path / "x")
    (found,) = signature(tmp_path / "x")(tf.constant([["dog"], ["cow"]])).values()
    np.testing.assert_array_equal(found, [[2], [0]])


class Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize("export", [export_saved_model, export_tflite])
@pytest.mark.parametrize(
    "model, name",
    [
        (3, "int"),
        (keras.layers.ReLU(), "ReLU"),
        (keras.Sequential([keras.layers.Dense(1)]), "Sequential"),
        (Subclassed(), "Subclassed"),
    ],
)
def test_only_functional_models(export, model, name, tmp_path):
    with pytest.raises(
        ValueError, match=f"`model` must be a functional keras.Model.*Received: model='{name}'"
    ):
        export(model, tmp_path / "x")


@pytest.mark.parametrize("export", [export_saved_model, export_tflite])
def test_an_existing_path_is_an_error(export, tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(ValueError, match="`path` must be new"):
        export(tiny(depths=(1, 1, 1)), tmp_path / "x")
    assert os.listdir(tmp_path) == ["x"] and os.listdir(tmp_path / "x") == []


@pytest.mark.slow
def test_other_backends_are_told_where_to_go(run_python, tmp_path):
    code = """if True:
        import os, sys
        sys.modules["tensorflow"] = None
        import keras, keras_sknet
        from keras_sknet.export import export_saved_model, export_tflite
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        for export in export_saved_model, export_tflite:
            try:
                export(model, sys.argv[1] + "/x")
            except ValueError as error:
                print(error)
        print(os.listdir(sys.argv[1]))
    """
    first, second, left = run_python(code, tmp_path, KERAS_BACKEND="jax").splitlines()
    assert first == second and "`model` must be exported on the TensorFlow backend" in first
    assert "Received: backend='jax'" in first and left == "[]"


@pytest.mark.parametrize("export", [export_saved_model, export_tflite])
def test_a_full_disk_is_one_line_and_leaves_nothing(export, full_disk, tmp_path):
    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(1000)])
    with full_disk(10_000), pytest.raises(OSError) as caught:
        export(model, tmp_path / "x")
    assert str(caught.value).startswith(f"Cannot write '{tmp_path}/x' (File too large")
    assert os.listdir(tmp_path) == []
