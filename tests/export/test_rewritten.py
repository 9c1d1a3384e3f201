import keras
import pytest

import keras_sknet
from checks import images, randomize, relative_difference
from keras_sknet import GroupedConv2D
from keras_sknet.export.rewritten import folded, rewritten
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
    assert rewritten(model, lambda model: other) is model


@pytest.mark.parametrize("error", [None, ValueError("lost"), RuntimeError("lost")])
@pytest.mark.parametrize("name", EXPORTS)
def test_what_cannot_be_copied_is_exported_as_it_is(name, error, tmp_path):
    model = with_layer(Scaled(3, error))
    assert folded(model) is model and with_wide_groups(model) is model
    assert EXPORTS[name](model, tmp_path / name).difference < 1e-5
    assert normalizations(folded(with_layer(Scaled(1)))) == []
