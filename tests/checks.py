"""Checks and preparations that many tests share."""

import tempfile

import keras
import numpy as np

import keras_sknet
from keras_sknet.ops._private import flatten_layers


def images(count, shape, seed=0):
    """Raw images, 0–255, float32, of different brightness and contrast, with large structures and noise."""
    rng = np.random.default_rng(seed)
    height, width, channels = shape
    x = rng.uniform(0, 255, (count, 4, 4, channels)) * rng.uniform(0.1, 1, (count, 1, 1, channels))
    x = np.asarray(keras.ops.image.resize(x, (height, width)))
    return np.clip(x + rng.normal(0, 20, x.shape), 0, 255).astype("float32")


def quantized(quantize, shape=(32, 32, 3), count=64):
    """The arguments of `export_tflite` for a mode: int8 wants data."""
    data = {"representative_dataset": images(count, shape, seed=5)} if quantize == "int8" else {}
    return {"quantize": quantize, **data}


def randomize(model, seed=0):
    """Gives a network weights with which its outputs prove something; a fresh one's hardly depend on inputs.

    Batch normalization gets random gamma and beta and the statistics of random images, attention spreads
    over 0.05–0.95 or so, logits differ between images. Statistics are a little wider than the images', so
    that full depth does not blow rounding up.
    """
    rng = np.random.default_rng(seed)
    layers = flatten_layers(model)
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.gamma.assign(rng.uniform(0.5, 1.5, norm.gamma.shape))
        norm.beta.assign(rng.normal(0, 0.3, norm.beta.shape))
    for layer in layers:
        if isinstance(layer, keras_sknet.SelectiveKernel) and layer.has_attention:
            _draw(rng, layer.projection, 1.5)
        elif isinstance(layer, keras_sknet.SqueezeExcite):
            _draw(rng, layer.excite, 1.5)
        elif isinstance(layer, keras_sknet.Classifier):
            _draw(rng, layer, 2)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    model(images(8, [size or 64 for size in model.input_shape[1:]], seed), training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        mean, variance = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
        norm.moving_variance.assign(variance + 0.5 * mean**2)


def _draw(rng, dense, scale):
    dense.kernel.assign(rng.normal(0, scale / np.sqrt(dense.kernel.shape[0]), dense.kernel.shape))
    if dense.use_bias:
        dense.bias.assign(rng.normal(0, 0.1, dense.bias.shape))


def relative_difference(got, want):
    """max|Δ| / max|want|, of logits."""
    got, want = (np.asarray(value, "float64") for value in (got, want))
    assert got.shape == want.shape
    return np.abs(got - want).max() / np.abs(want).max()


def check_layer(layer, x, output_shape):
    """What every layer must do: be rebuilt from config and file, train every weight, run in mixed precision.

    Args:
        layer: `keras.layers.Layer` of a float32 policy, built or not.
        x: float32 array, the input.
        output_shape: Tuple, the shape of the output for `x`.

    Returns:
        The output in inference, as an array.
    """
    import tensorflow as tf

    y = np.asarray(layer(x, training=False))
    assert y.shape == tuple(output_shape) == tuple(layer.compute_output_shape(x.shape))

    twin = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(twin) is type(layer) and twin.get_config() == layer.get_config()
    twin(x)
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(x, training=False), y)

    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, layer(inputs))
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/layer.keras")
        loaded = keras.models.load_model(f"{folder}/layer.keras")
    assert type(loaded.layers[-1]) is type(layer) and loaded.layers[-1].get_config() == layer.get_config()
    np.testing.assert_array_equal(loaded(x, training=False), model(x, training=False))

    weights = layer.trainable_weights
    with tf.GradientTape() as tape:
        outputs = layer(x, training=True)
        loss = tf.reduce_sum(outputs * np.random.default_rng(0).normal(size=y.shape).astype("float32"))
    for weight, gradient in zip(weights, tape.gradient(loss, [w.value for w in weights]), strict=True):
        assert gradient is not None, f"{weight.path} gets no gradient"
        assert np.isfinite(gradient).all() and np.any(gradient), f"{weight.path} gets a useless gradient"

    mixed = type(layer).from_config({**layer.get_config(), "dtype": "mixed_bfloat16"})
    mixed(x)
    mixed.set_weights(layer.get_weights())
    y_mixed = mixed(x, training=False)
    assert keras.backend.standardize_dtype(y_mixed.dtype) == "bfloat16"
    assert {weight.dtype for weight in mixed.trainable_weights} <= {"float32"}
    reference = np.asarray(layer(x, training=False))
    assert relative_difference(keras.ops.cast(y_mixed, "float32"), reference) < 0.05
    return y
