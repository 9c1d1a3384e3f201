import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_sknet.ops.select import weighted_sum


def case(branches, dtype="float64"):
    random = np.random.default_rng(0)
    features = [tf.constant(random.normal(size=(3, 5, 4, 6)), dtype) for _ in range(branches)]
    logits = tf.constant(random.normal(size=(branches, 3, 6)), dtype)
    weights = tf.unstack(tf.nn.softmax(logits, axis=0))
    return features, weights


def plain(features, weights):
    return tf.add_n([a[:, None, None] * u for a, u in zip(weights, features, strict=True)])


def gradients(function, features, weights):
    """Value, first derivatives, and second ones along a fixed direction."""
    # For two branches the weight of the second is what the first leaves.
    free = weights[:1] if len(weights) == 2 else weights

    def all_weights():
        return [free[0], 1 - free[0]] if len(weights) == 2 else free

    with tf.GradientTape() as outer:
        outer.watch([features, free])
        with tf.GradientTape() as inner:
            inner.watch([features, free])
            value = function(features, all_weights())
            loss = tf.reduce_sum(tf.sin(value))
        first = tf.nest.flatten(inner.gradient(loss, [features, free]))
        along = tf.add_n([tf.reduce_sum(g * tf.cos(g)) for g in first])
    return [value, *first, *tf.nest.flatten(outer.gradient(along, [features, free]))]


@pytest.mark.parametrize("branches", [2, 3])
@pytest.mark.parametrize("jit_compile", [None, False, True], ids=["eager", "graph", "xla"])
def test_value_and_both_derivatives_equal_the_plain_sum(branches, jit_compile):
    features, weights = case(branches)
    run = gradients if jit_compile is None else tf.function(gradients, jit_compile=jit_compile)
    got = run(weighted_sum, features, weights)
    for ours, theirs in zip(got, gradients(plain, features, weights), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_keeps_the_dtype_of_its_features():
    features, weights = case(2, "bfloat16")
    assert keras.backend.standardize_dtype(weighted_sum(features, weights).dtype) == "bfloat16"
