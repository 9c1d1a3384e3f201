import keras
import numpy as np
import pytest

import keras_sknet
from checks import images, randomize, relative_difference
from keras_sknet import GroupedConv2D
from keras_sknet.export.rewritten import folded, rewritten
from keras_sknet.export.verify import differs, verify_export
from keras_sknet.export.wide_groups import with_wide_groups
from keras_sknet.ops._private import flatten_layers

tf = pytest.importorskip("tensorflow")

EXPORTS = {
    "saved": keras_sknet.export_saved_model,
    "x.tflite": keras_sknet.export_tflite,
    "x.onnx": keras_sknet.export_onnx,
    "openvino": keras_sknet.export_openvino,
}


class Scaled(keras.layers.Layer):
    """A layer that its config does not tell all of."""

    def __init__(self, factor=1, error=None, **kwargs):
        super().__init__(**kwargs)
        self.factor, self.error = factor, error

    def call(self, inputs):
        if self.factor == 1 and self.error:
            raise self.error
        return self.factor * inputs

    def get_config(self):
        return {**super().get_config(), "error": self.error}


def with_layer(layer):
    """A model that exports would rather be made of a copy of: of other groups, without normalization."""
    inputs = keras.Input((8, 8, 8))
    x = keras.layers.BatchNormalization()(GroupedConv2D(8, 3, groups=4)(inputs))
    model = keras.Model(inputs, layer(x))
    randomize(model)
    return model


def normalizations(model):
    return [x for x in flatten_layers(model) if isinstance(x, keras.layers.BatchNormalization)]


def test_a_network_is_folded():
    model = keras_sknet.SKNetSmall()
    randomize(model)
    copy = folded(model)
    assert normalizations(model) and not normalizations(copy)
    x = images(2, model.input_shape[1:], seed=0)
    assert relative_difference(copy(x, training=False), model(x, training=False)) < 1e-4


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_network_of_less_precision_is_folded(policy):
    keras.config.set_dtype_policy(policy)
    model = keras_sknet.SKNetSmall()
    randomize(model)
    assert not normalizations(folded(model))


def test_a_copy_that_computes_something_else_is_not_used():
    model, other = keras_sknet.SKNetSmall(), keras_sknet.SKNetSmall()
    randomize(other)
    same = keras.models.clone_model(model)
    same.set_weights(model.get_weights())
    assert rewritten(model, lambda model: other) is model
    assert rewritten(model, lambda model: same) is same


def test_what_can_be_copied_is_copied():
    model = with_layer(Scaled(1))
    assert not normalizations(folded(model))
    assert with_wide_groups(model) is not model


@pytest.mark.parametrize("error", [None, ValueError("lost"), RuntimeError("lost")])
@pytest.mark.parametrize("name", EXPORTS)
def test_what_cannot_be_copied_is_exported_as_it_is(name, error, tmp_path):
    model = with_layer(Scaled(3, error))
    assert folded(model) is model and with_wide_groups(model) is model
    assert EXPORTS[name](model, tmp_path / name).difference < 1e-5


def needs_large_images():
    inputs = keras.Input((None, None, 8))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 80)(inputs))
    return keras.Model(inputs, x)


def without_numbers():
    inputs = keras.Input((8, 8, 8))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 3)(inputs))
    return keras.Model(inputs, keras.ops.log(-1 - keras.ops.relu(x)))


def with_text():
    inputs = keras.Input((8, 8, 8)), keras.Input((1,), dtype="string")
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 3)(inputs[0]))
    return keras.Model(inputs, [x, keras.layers.Identity(dtype="string")(inputs[1])])


@pytest.mark.parametrize("build", [needs_large_images, without_numbers, with_text])
def test_a_copy_is_used_where_random_inputs_tell_nothing(build):
    assert not normalizations(folded(build()))


def test_text_is_compared_too(tmp_path):
    report = EXPORTS["saved"](with_text(), tmp_path / "saved")
    assert report.difference < 1e-5 and report.agreement == 1


def test_a_size_at_which_a_model_gives_no_numbers_is_said(tmp_path):
    model = needs_large_images()
    for name in ("saved", "x.onnx", "openvino"):  # LiteRT takes no unknown size
        with pytest.raises(ValueError, match=r"`verify` must be images of a size for which .*\(64, 64, 8\)"):
            EXPORTS[name](model, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    images = np.random.default_rng(0).normal(size=(2, 90, 90, 8)).astype("float32")
    assert EXPORTS["saved"](model, tmp_path / "saved", verify=images).difference < 1e-4
    with pytest.raises(ValueError, match="`images` must be images of a size for which"):
        verify_export(model, tmp_path / "saved")
    assert verify_export(model, tmp_path / "saved", images).difference < 1e-4


def fixed_batch():
    inputs = keras.Input(batch_shape=(3, 8, 8, 8))
    return keras.Model(inputs, keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 3)(inputs)))


def several_inputs():
    inputs = {"a": keras.Input((8, 8, 8), name="a"), "b": keras.Input((6, 6, 8), name="b")}
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 3)(inputs["a"]))
    return keras.Model(inputs, {"sum": x + inputs["b"], "x": x})


@pytest.mark.parametrize("build", [fixed_batch, several_inputs])
def test_models_of_many_kinds_are_folded(build):
    model = build()
    (norm,) = normalizations(model)
    norm.set_weights([np.random.default_rng(0).uniform(0.5, 1.5, 8) for _ in range(4)])
    copy = folded(model)
    assert not normalizations(copy) and not differs(model, copy)
    norm.gamma.assign(norm.gamma + 0.01)
    assert differs(model, copy)


@pytest.mark.parametrize("verify", [True, False])
def test_a_model_keeps_its_state(verify, tmp_path):
    inputs = keras.Input(batch_shape=(1, 5, 4))
    recurrent = keras.layers.LSTM(3, stateful=True)
    model = keras.Model(inputs, keras.layers.BatchNormalization()(keras.layers.Dense(2)(recurrent(inputs))))
    keras_sknet.export_saved_model(model, tmp_path / "saved", verify=verify)
    for state in recurrent.states:
        np.testing.assert_array_equal(state.numpy(), np.zeros((1, 3)))
    x = np.ones((1, 5, 4), "float32")
    serve = tf.saved_model.load(tmp_path / "saved").signatures["serving_default"]
    np.testing.assert_allclose(serve(tf.constant(x))["output_0"], model(x), atol=1e-6)
