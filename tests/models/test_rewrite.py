import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_sknet
from checks import images, relative_difference
from keras_sknet import GroupedConv2D, replace_grouped_convolutions
from keras_sknet.ops._private import flatten_layers

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="compares with XLA's kernels")


def batch(shape, seed=0):
    return np.random.default_rng(seed).normal(size=(2, *shape)).astype("float32")


def outputs(model, x):
    return [np.asarray(y) for y in keras.tree.flatten(model(x, training=False))]


def assert_equal_copy(copy, model, x):
    """The same outputs and weights under the same names; none shared."""
    for got, want in zip(outputs(copy, x), outputs(model, x), strict=True):
        assert relative_difference(got, want) < 1e-6
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    # A path begins with whoever built the layer first, the layer's own name is next to the end.
    assert [w.path.split("/")[-2:] for w in copy.weights] == [w.path.split("/")[-2:] for w in model.weights]
    for new, old in zip(copy.weights, model.weights, strict=True):
        assert new is not old and new.trainable == old.trainable
        np.testing.assert_array_equal(new, old)


def kinds(model):
    return {
        layer.name: type(layer) for layer in flatten_layers(model) if isinstance(layer, keras.layers.Conv2D)
    }


def grouped_net(**options):
    x = inputs = keras.Input((12, 12, 4))
    x = layers.Conv2D(8, 3, padding="same", groups=2, strides=2, name="grouped", **options)(x)
    x = ops.relu(x + 1.0)[:, 1:]
    x = layers.Conv2D(8, (3, 2), dilation_rate=2, padding="same", activation="relu", name="dilated")(x)
    x = layers.Conv2D(8, 2, groups=8, use_bias=False, name="depthwise")(x)
    x = layers.Lambda(lambda t: t * 2, name="double")(x)
    return keras.Model(inputs, layers.Conv2D(4, 1, name="plain")(x), name="net")


def test_grouped_and_dilated_convolutions_are_replaced_and_nothing_else_changes():
    model = grouped_net(kernel_regularizer=keras.regularizers.L2(0.1), kernel_constraint="non_neg")
    before, config = model.get_weights(), model.get_config()
    copy = replace_grouped_convolutions(model)
    assert kinds(copy) == {
        "grouped": GroupedConv2D,
        "dilated": GroupedConv2D,
        "depthwise": GroupedConv2D,
        "plain": layers.Conv2D,
    }
    assert copy.name == "net" and type(copy) is type(model)
    assert_equal_copy(copy, model, batch((12, 12, 4)))
    for name in kinds(model):
        assert copy.get_layer(name).get_config() == model.get_layer(name).get_config()
    np.testing.assert_allclose(copy.losses, model.losses)

    copy.set_weights([weight + 1 for weight in before])
    assert model.get_config() == config
    for new, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(new, old)


def test_the_same_kernel_gives_the_same_bits():
    x = inputs = keras.Input((12, 12, 4))
    x = layers.Conv2D(8, 3, padding="same", groups=2)(x)
    model = keras.Model(inputs, layers.Conv2D(8, 3, strides=2, groups=4)(x))
    copy = replace_grouped_convolutions(model)
    x = batch((12, 12, 4))
    with keras_sknet.ops.convolution_path("keras"):
        np.testing.assert_array_equal(copy(x), model(x))


def test_frozen_parts_stay_frozen():
    model = grouped_net()
    inputs = keras.Input((12, 12, 4))
    norm = layers.BatchNormalization(name="norm")
    outer = keras.Model(inputs, norm(keras.Sequential([model, layers.ReLU()], name="body")(inputs)))
    model.get_layer("dilated").trainable = False
    norm.trainable = False
    copy = replace_grouped_convolutions(outer)
    assert_equal_copy(copy, outer, batch((12, 12, 4)))
    assert len(copy.trainable_weights) == len(outer.trainable_weights) == 5
    assert not copy.get_layer("norm").trainable

    outer.get_layer("body").trainable = False
    copy = replace_grouped_convolutions(outer)
    assert copy.trainable_weights == [] and copy.trainable
    assert not copy.get_layer("body").layers[0].get_layer("grouped").trainable


def test_a_frozen_layer_inside_a_layer_stays_frozen():
    unit = keras_sknet.ConvNormAct(4, 3, name="unit")
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, unit(inputs))
    unit.norm.trainable = False
    copy = replace_grouped_convolutions(model)
    assert_equal_copy(copy, model, batch((8, 8, 4)))
    assert [w.path for w in copy.trainable_weights] == ["unit/conv/kernel"]


def test_shared_layers_models_and_structures_keep_their_shape():
    inner = grouped_net()
    shared = layers.Conv2D(4, 3, groups=4, padding="same", name="shared")
    a, b = keras.Input((12, 12, 4), name="a"), keras.Input((12, 12, 4), name="b")
    tower = keras.Sequential([keras.Input((12, 12, 4)), shared, inner], name="tower")
    made = {"sum": tower(a) + tower(shared(b)), "rest": [inner(a), shared(shared(b))]}
    model = keras.Model({"a": a, "b": b}, made)
    copy = replace_grouped_convolutions(model)
    x = {"a": batch((12, 12, 4)), "b": batch((12, 12, 4), seed=1)}
    assert_equal_copy(copy, model, x)
    keras.tree.assert_same_structure(copy(x), model(x))
    assert copy.get_layer("shared") is copy.get_layer("tower").layers[0]
    assert set(kinds(copy).values()) == {GroupedConv2D, layers.Conv2D}
    assert len(copy.weights) == len(model.weights) == 9


def test_an_optional_input_stays_optional():
    class Maybe(layers.Layer):
        def call(self, x, other=None):
            return x if other is None else x + other

    a, b = keras.Input((4, 4, 2), name="a"), keras.Input((4, 4, 2), name="b", optional=True)
    model = keras.Model([a, b], layers.Conv2D(2, 3, groups=2)(Maybe()(a, b)))
    copy = replace_grouped_convolutions(model)
    assert relative_difference(copy([batch((4, 4, 2)), None]), model([batch((4, 4, 2)), None])) < 1e-6


class Backbone(keras.Model):
    """Built functionally in a constructor of its own, as KerasHub's backbones are."""

    def __init__(self, filters, **kwargs):
        x = inputs = keras.Input((10, 10, 4))
        x = layers.Conv2D(filters, 3, groups=4, name="conv")(x)
        super().__init__(inputs, layers.BatchNormalization(name="norm")(x), **kwargs)
        self.filters = filters

    def get_config(self):
        return {"filters": self.filters, "name": self.name}


class Trained(keras.Model):
    """Keeps the functional constructor, to train in its own way."""

    def train_step(self, data):
        return {"loss": 7.0}


def test_functional_subclasses_are_rebuilt():
    backbone = Backbone(8, name="backbone")
    copy = replace_grouped_convolutions(backbone)
    assert not isinstance(copy, Backbone) and copy.name == "backbone"
    assert_equal_copy(copy, backbone, batch((10, 10, 4)))

    inputs = keras.Input((10, 10, 4))
    model = Trained(inputs, backbone(inputs))
    copy = replace_grouped_convolutions(model)
    assert isinstance(copy, Trained)
    assert_equal_copy(copy, model, batch((10, 10, 4)))
    assert kinds(copy) == {"conv": GroupedConv2D}


def test_layers_in_the_config_of_a_layer_are_replaced():
    inputs = keras.Input((3, 8, 8, 4))
    body = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3, groups=2, name="deep")])
    images = keras.Input((6, 6, 4))
    functional = keras.Model(images, layers.Conv2D(4, 3, groups=4, padding="same", name="deeper")(images))
    x = layers.TimeDistributed(functional)(layers.TimeDistributed(body)(inputs))
    x = layers.TimeDistributed(layers.Conv2D(8, 3, dilation_rate=(1, 2), name="conv"))(x)
    model = keras.Model(inputs, x)
    copy = replace_grouped_convolutions(model)
    assert kinds(copy) == {name: GroupedConv2D for name in ("deep", "deeper", "conv")}
    assert_equal_copy(copy, model, batch((3, 8, 8, 4)))


def test_what_stays_is_named():
    class Block(layers.Layer):
        def build(self, input_shape):
            self.conv = layers.Conv2D(4, 1, groups=2, name="hidden")
            self.conv.build(input_shape)

        def call(self, x):
            return self.conv(x)

    inputs = keras.Input((4, 8, 8))
    x = layers.Conv2D(4, 3, groups=2, data_format="channels_first", name="first")(inputs)
    model = keras.Model(inputs, Block(name="block")(layers.Conv2D(4, 3, groups=2, name="last")(x)))
    message = r"model 'mine' stay as they are.*: 'first' \(channels_first\), 'hidden' \(channels_last\)"
    model.name = "mine"
    with pytest.warns(UserWarning, match=message):
        copy = replace_grouped_convolutions(model)
    assert kinds(copy) == {"first": layers.Conv2D, "last": GroupedConv2D, "hidden": layers.Conv2D}
    assert_equal_copy(copy, model, batch((4, 8, 8)))


def test_a_subclass_of_conv2d_stays():
    class Special(layers.Conv2D):
        pass

    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, Special(4, 3, groups=2, name="special")(inputs))
    assert kinds(replace_grouped_convolutions(model)) == {"special": Special}


def test_a_published_network_of_keras_is_copied():
    model = keras.applications.ConvNeXtTiny(weights=None, input_shape=(32, 32, 3), include_top=False)
    copy = replace_grouped_convolutions(model)
    x = images(1, (32, 32, 3))
    assert relative_difference(copy(x), model(x)) < 1e-6
    assert sum(kind is GroupedConv2D for kind in kinds(copy).values()) == 18


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_the_dtype_policy_stays(policy):
    conv = layers.Conv2D(4, 3, groups=2, dtype=policy, name="conv")
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, conv(inputs))
    copy = replace_grouped_convolutions(model)
    assert copy.get_layer("conv").dtype_policy == conv.dtype_policy
    assert copy.output.dtype == model.output.dtype


def test_the_copy_of_a_compiled_model_trains_like_it(tmp_path):
    def loss(want, got):
        return ops.mean(ops.square(want - got), axis=-1)

    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(4, 3, groups=2)(inputs)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    model.compile(keras.optimizers.SGD(0.1), loss)
    copy = replace_grouped_convolutions(model)
    assert model.compiled and not copy.compiled
    x, y = batch((8, 8, 4)), batch((4,))
    copy.save(tmp_path / "copy.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "copy.keras")(x), copy(x))
    copy.compile(keras.optimizers.SGD(0.1), loss)
    losses = [[m.train_on_batch(x, y) for _ in range(3)] for m in (model, copy)]
    assert losses[0][2] < losses[0][0]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_part_of_a_model_is_copied_alone():
    model = grouped_net()
    part = keras.Model(model.get_layer("dilated").output, model.output)
    copy = replace_grouped_convolutions(part)
    x = batch(part.input_shape[1:])
    assert relative_difference(copy(x), part(x)) < 1e-6
    assert kinds(copy) == {"depthwise": GroupedConv2D, "plain": layers.Conv2D}


def test_a_replaced_model_is_exported_where_the_plain_one_is_refused(tmp_path):
    inputs = keras.Input((8, 8, 4), name="images")
    model = keras.Model(inputs, layers.Conv2D(4, 3, groups=2, name="conv")(inputs))
    with pytest.raises(ValueError, match="XLA"):
        keras_sknet.export_saved_model(model, tmp_path / "plain")
    keras_sknet.export_saved_model(replace_grouped_convolutions(model), tmp_path / "replaced")
    import tensorflow as tf

    x = batch((8, 8, 4))
    served = tf.saved_model.load(tmp_path / "replaced").signatures["serving_default"]
    assert relative_difference(served(images=tf.constant(x))["output_0"], model(x)) < 1e-6
