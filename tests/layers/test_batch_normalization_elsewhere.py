"""Batch normalization across replicas and on JAX: each needs a process of its own."""

import pytest

REPLICAS = """
import sys
import warnings
import numpy as np
import keras
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_sknet.layers.batch_normalization import BatchNormalization

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
local = strategy.experimental_local_results
rng = np.random.default_rng(0)

def share(values, split):
    halves = values[:split], values[split:]
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(halves[context.replica_id_in_sync_group])
    )

def build(shape, dtype, **arguments):
    layer = BatchNormalization(dtype=dtype, momentum=0.7, **arguments)
    layer.build((None, *shape[1:]))
    layer.set_weights([np.linspace(0.5, 2, shape[-1])] * 4)
    return layer

def gradients_of(layer):
    def step(x, weights):
        # Eager on a replica: the values that this replica holds.
        parameters = [layer.gamma.value, layer.beta.value]
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            loss = tf.reduce_sum(tf.cast(y, weights.dtype) * weights * tf.sin(tf.cast(y, weights.dtype)))
        return (y, *tape.gradient(loss, [x, *parameters]))
    return step

def same_on_replicas(layer):
    for variable in (layer.moving_mean, layer.moving_variance):
        first, second = local(variable.value)
        np.testing.assert_array_equal(first, second)
        assert np.isfinite(first).all()

def synchronized(shape, dtype, tolerance, split, eager):
    x, weights = rng.normal(3, 2, shape), rng.normal(size=shape)
    x, weights = x.astype(dtype), weights.astype(dtype)
    alone = build(shape, dtype)
    expected = gradients_of(alone)(tf.constant(x), tf.constant(weights))
    with strategy.scope():
        layer = build(shape, dtype)
    run = lambda *arguments: strategy.run(gradients_of(layer), arguments)
    results = (run if eager else tf.function(run))(share(x, split), share(weights, split))
    y, dx, dgamma, dbeta = ([np.asarray(v) for v in local(r)] for r in results)
    got = np.concatenate(y), np.concatenate(dx), sum(dgamma), sum(dbeta)
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g, e, atol=tolerance * max(1, np.abs(e).max()), rtol=0)
    same_on_replicas(layer)
    for variable, other in zip(layer.weights, alone.weights, strict=True):
        np.testing.assert_allclose(local(variable.value)[0], other.numpy(), rtol=tolerance)

whole = sys.argv[1] == "every combination"
for eager in (False, True):
    for shape in ((6, 4), (6, 3, 2, 4)):
        for split in (3, 1, 6):
            if whole or not eager or split == 1:
                synchronized(shape, "float64", 1e-12, split, eager)
            if whole or split == 6:
                synchronized(shape, "float32", 1e-5, split, eager)
print("synchronized")

for shape in ((6, 4), (6, 3, 2, 4)):
    for dtype, split in (("float64", 4), ("float32", 4), ("float32", 6), ("mixed_bfloat16", 5)):
        with strategy.scope():
            layer = build(shape, dtype, synchronized=False)
        x = rng.normal(3, 2, shape).astype("float32")
        values = share(x.astype(dtype) if dtype == "float64" else x, split)
        results = tf.function(lambda v: strategy.run(gradients_of(layer), (v, v)))(values)
        for result in results:
            assert all(np.isfinite(np.asarray(v, "float32")).all() for v in local(result))
        same_on_replicas(layer)
        axes = tuple(range(len(shape) - 1))
        parts = [p for p in (x[:split], x[split:]) if len(p)]
        for variable, statistic in ((layer.moving_mean, np.mean), (layer.moving_variance, np.var)):
            average = sum(statistic(p, axes) * len(p) for p in parts) / 6
            expected = 0.7 * np.linspace(0.5, 2, 4) + 0.3 * average
            rtol = 1e-2 if "bfloat16" in dtype else 1e-5
            np.testing.assert_allclose(local(variable.value)[0], expected, rtol=rtol)
print("unsynchronized")

def warnings_of(batch, split, shape=(4,), **arguments):
    with strategy.scope():
        layer = build((batch, *shape), "float32", **arguments)
    step = tf.function(
        lambda v: strategy.run(lambda x: layer(x, training=True), (v,)), reduce_retracing=True
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for rows in (batch, batch):
            step(share(np.ones((rows, *shape), "float32"), split))
    return sum("one value per channel" in str(w.message) for w in caught)

assert warnings_of(2, 1) == 0
assert warnings_of(2, 1, (1, 1, 4)) == 0
assert warnings_of(1, 1) == 1
assert warnings_of(1, 1, (1, 1, 4)) == 1
assert warnings_of(1, 1, (2, 1, 4)) == 0
assert warnings_of(3, 1, synchronized=False) == 1
assert warnings_of(4, 2, synchronized=False) == 0
print("warned")

with strategy.scope():
    norm = BatchNormalization()
    model = keras.Sequential([keras.Input((3,)), norm, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
data = tf.data.Dataset.from_tensor_slices((rng.normal(size=(17, 3)), np.ones((17, 1)))).batch(8)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model.fit(data, epochs=2, verbose=0)
assert sum("one value per channel" in str(w.message) for w in caught) == 1
for variable in model.variables:
    first, second = local(variable.value)
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(first).all()
print("fitted")
"""


@pytest.mark.parametrize("cases", ["some", pytest.param("every combination", marks=pytest.mark.slow)])
def test_replicas(run_python, cases):
    printed = run_python(REPLICAS, cases, timeout=600)
    assert printed.split() == ["synchronized", "unsynchronized", "warned", "fitted"]


JAX = """
import sys
sys.modules["tensorflow"] = None
import warnings
import keras
import numpy as np
from keras_sknet.layers.batch_normalization import BatchNormalization

assert keras.backend.backend() == "jax"
rng = np.random.default_rng(0)
for shape in ((6, 4), (4, 3, 2, 4)):
    for arguments in ({}, {"renorm": True}, {"synchronized": False}):
        ours = BatchNormalization(**arguments)
        theirs = keras.layers.BatchNormalization(**{**arguments, "synchronized": False})
        assert ours.get_config()["synchronized"] is arguments.get("synchronized", True)
        x = rng.normal(3, 2, shape)
        for training in (True, False):
            np.testing.assert_allclose(ours(x, training=training), theirs(x, training=training), atol=1e-6)
        for a, b in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
again = BatchNormalization.from_config(BatchNormalization().get_config())
assert again.get_config()["synchronized"] is True

def count(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return sum("one value per channel" in str(w.message) for w in caught)

layer = BatchNormalization()
assert count(lambda: layer(np.ones((2, 1, 1, 3)), training=True)) == 0
assert count(lambda: layer(np.ones((1, 1, 1, 3)))) == 0
assert count(lambda: [layer(np.ones((1, 1, 1, 3)), training=True) for _ in range(2)]) == 1

model = keras.Sequential([keras.Input((3,)), BatchNormalization(), keras.layers.Dense(1)])
model.compile("sgd", "mse")
assert count(lambda: model.fit(np.ones((3, 3)), np.ones((3, 1)), batch_size=2, verbose=0)) == 1
print("jax")
"""


def test_jax_without_tensorflow(run_python):
    assert run_python(JAX, KERAS_BACKEND="jax").split() == ["jax"]
