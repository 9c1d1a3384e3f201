import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_sknet.layers.batch_normalization import BatchNormalization

MODES = {
    "eager": lambda f: f,
    "graph": tf.function,
    "unknown": lambda f: tf.function(f, input_signature=[tf.TensorSpec((None, None, None, 3))]),
    "xla": lambda f: tf.function(f, jit_compile=True),
}
ONE_VALUE = "one value per channel"


def pair(shape, **arguments):
    """The layer and Keras' own with the same random weights, and an input."""
    rng = np.random.default_rng(3)
    layers = BatchNormalization(**arguments), keras.layers.BatchNormalization(**arguments)
    for layer in layers:
        layer.build(shape)
    weights = [rng.uniform(0.5, 2, w.shape) for w in layers[0].weights]
    for layer in layers:
        layer.set_weights(weights)
    return *layers, rng.normal(1, 2, shape)


def outcome(layer, x, training, mode="eager"):
    """Output and gradients of one call; moving statistics are left in the layer."""

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(tf.sin(tf.cast(y, "float32")))
        return y, tape.gradient(loss, [x, *(w.value for w in layer.trainable_weights)])

    return MODES[mode](run)(x)


def assert_close(got, want, tolerance):
    got, want = (np.asarray(tf.cast(v, "float64")) for v in (got, want))
    assert np.abs(got - want).max() <= tolerance * max(1, np.abs(want).max())


def assert_agree(ours, theirs, x, training, mode="eager", tolerance=1e-5):
    y, gradients = outcome(ours, x, training, mode)
    expected, expected_gradients = outcome(theirs, x, training)
    assert y.dtype == expected.dtype and y.shape == expected.shape
    assert_close(y, expected, tolerance)
    assert len(gradients) == len(expected_gradients)
    for got, want in zip(gradients, expected_gradients, strict=True):
        assert got.dtype == want.dtype
        assert_close(got, want, tolerance)
    for got, want in zip(ours.weights, theirs.weights, strict=True):
        assert got.dtype == want.dtype
        assert_close(got.value, want.value, tolerance)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scale, center", [(True, True), (False, True), (True, False), (False, False)])
def test_agrees_with_keras(mode, scale, center, training):
    ours, theirs, x = pair((4, 5, 6, 3), scale=scale, center=center, momentum=0.9)
    assert_agree(ours, theirs, tf.constant(x, "float32"), training, mode)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "shape, axis", [((6, 3), -1), ((6, 4, 3), -1), ((4, 3, 5, 5), 1), ((3, 2, 4, 5, 3), -1)]
)
def test_other_ranks_and_axes(shape, axis, training):
    ours, theirs, x = pair(shape, axis=axis)
    assert_agree(ours, theirs, tf.constant(x, "float32"), training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(4, 5, 5, 3), (8, 3)])
@pytest.mark.parametrize(
    "dtype, tolerance",
    [
        ("float64", 1e-6),
        ("bfloat16", 0.05),
        ("float16", 0.01),
        ("mixed_bfloat16", 0.02),
        ("mixed_float16", 0.003),
    ],
)
def test_data_types(dtype, tolerance, shape, training):
    ours, theirs, x = pair(shape, dtype=dtype)
    x = tf.constant(x, ours.compute_dtype)
    assert_agree(ours, theirs, x, training, tolerance=tolerance)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_compiles(dtype):
    ours, theirs, x = pair((4, 5, 5, 3), dtype=dtype)
    assert_agree(ours, theirs, tf.constant(x, ours.compute_dtype), True, "xla", tolerance=0.02)


@pytest.mark.parametrize("renorm", [False, True])
def test_mask_and_renorm_are_kerass(renorm):
    ours, theirs, x = pair((4, 6, 3), renorm=renorm)
    mask = None if renorm else np.arange(24).reshape(4, 6) % 3 > 0
    x = tf.constant(x, "float32")
    assert_close(ours(x, training=True, mask=mask), theirs(x, training=True, mask=mask), 1e-5)
    for got, want in zip(ours.weights, theirs.weights, strict=True):
        assert_close(got.value, want.value, 1e-5)


def test_frozen_is_inference():
    ours, theirs, x = pair((4, 5, 5, 3))
    before = ours.get_weights()
    ours.trainable = theirs.trainable = False
    x = tf.constant(x, "float32")
    assert_agree(ours, theirs, x, True)
    assert_close(ours(x, training=True), ours(x, training=False), 0)
    for got, want in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, want)


def test_config_round_trip():
    arguments = dict(axis=3, momentum=0.8, epsilon=1e-4, center=False, gamma_initializer="zeros", name="norm")
    config = BatchNormalization(**arguments).get_config()
    assert config["synchronized"] is True
    theirs = keras.layers.BatchNormalization(**arguments, synchronized=True).get_config()
    assert config == theirs
    assert BatchNormalization.from_config(config).get_config() == config
    assert BatchNormalization.from_config({**config, "synchronized": False}).synchronized is False


def small_model(layer_type):
    return keras.Sequential(
        [keras.Input((None, None, 3)), layer_type(name="norm"), keras.layers.Conv2D(2, 1, name="conv")]
    )


def test_saves_and_loads(tmp_path):
    model = small_model(BatchNormalization)
    x = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype("float32")
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[0]) is BatchNormalization
    np.testing.assert_array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))


@pytest.mark.parametrize("ours_writes", [True, False])
def test_weights_files_are_interchangeable(tmp_path, ours_writes):
    types = [BatchNormalization, keras.layers.BatchNormalization]
    source, target = map(small_model, types if ours_writes else types[::-1])
    source.layers[0].set_weights([np.random.default_rng(i).uniform(0.5, 2, 3) for i in range(4)])
    source.save_weights(tmp_path / "model.weights.h5")
    target.load_weights(tmp_path / "model.weights.h5")
    for got, want in zip(target.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (1, 3)])
def test_one_value_warns_once_where_the_shape_is_known(mode, shape):
    layer = BatchNormalization(name="fuse_norm")
    layer.build(shape)
    step = MODES[mode](lambda x: layer(x, training=True))
    with pytest.warns(UserWarning, match=f"'fuse_norm'.*{ONE_VALUE}.*at least 2, or freeze") as caught:
        step(tf.ones(shape))
        step(tf.ones(shape))
        layer(tf.ones(shape), training=True)
    assert len(caught) == 1


def test_one_value_does_not_warn_when_not_due():
    layer = BatchNormalization()
    layer.build((None, 1, 1, 3))
    layer(tf.ones((1, 1, 1, 3)))
    layer(tf.ones((2, 1, 1, 3)), training=True)
    layer(tf.ones((1, 2, 1, 3)), training=True)
    layer(tf.ones((0, 1, 1, 3)), training=True)
    layer.trainable = False
    layer(tf.ones((1, 1, 1, 3)), training=True)


def gate_model(frozen=False, shape=(3,)):
    norm = BatchNormalization(name="norm", trainable=not frozen)
    return keras.Sequential([keras.Input(shape), norm, keras.layers.Flatten(), keras.layers.Dense(1)])


@pytest.mark.parametrize("shape", [(3,), (1, 1, 3)])
def test_fit_with_unknown_batch_warns_once(shape, tmp_path):
    model = gate_model(shape=shape)
    model.compile("sgd", "mse", jit_compile=False)
    x, y = np.ones((5, *shape), "float32"), np.ones((5, 1), "float32")
    data = tf.data.Dataset.from_tensor_slices((x, y))
    assert data.batch(2).element_spec[0].shape[0] is None
    model.fit(data.batch(2).take(2), shuffle=False, verbose=0)
    with pytest.warns(UserWarning, match=ONE_VALUE) as caught:
        model.fit(data.batch(2), epochs=2, shuffle=False, verbose=0)
    assert len(caught) == 1
    model.save(tmp_path / "model.keras")
    model.export(tmp_path / "export", verbose=False)
    tf.saved_model.save(model, str(tmp_path / "saved"))


def test_fit_frozen_or_compiled_does_not_warn():
    x, y = np.ones((3, 3), "float32"), np.ones((3, 1), "float32")
    for frozen, jit_compile in ((True, False), (False, True)):
        model = gate_model(frozen)
        model.compile("sgd", "mse", jit_compile=jit_compile)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(2), shuffle=False, verbose=0)
