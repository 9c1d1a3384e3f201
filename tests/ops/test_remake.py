import numpy as np
import pytest
import tensorflow as tf

from keras_sknet.ops.remake import remade


def features(x, scale):
    return tf.nn.relu(tf.sin(x) * scale)


def derivatives(x, scale, forgetful):
    """Value, first derivatives, and second ones along a fixed direction."""
    with tf.GradientTape() as outer:
        outer.watch([x, scale])
        with tf.GradientTape() as inner:
            inner.watch([x, scale])
            y = features(x, scale)
            if forgetful:
                y, _ = remade(y, features, x, scale)
            loss = tf.reduce_sum(tf.exp(y))
        first = inner.gradient(loss, [x, scale])
        along = tf.add_n([tf.reduce_sum(tf.cos(g)) for g in first])
    return [y, *first, *outer.gradient(along, [x, scale])]


@pytest.fixture
def tensors():
    random = np.random.default_rng(0)
    return tf.constant(random.normal(size=(4, 3))), tf.constant(random.normal(size=(3,)))


@pytest.mark.parametrize("jit_compile", [None, False, True], ids=["eager", "graph", "xla"])
def test_derivatives_are_those_of_the_function(jit_compile, tensors):
    run = derivatives if jit_compile is None else tf.function(derivatives, jit_compile=jit_compile)
    expected = derivatives(*tensors, forgetful=False)
    assert all(np.abs(e).max() > 0.1 for e in expected)
    for ours, theirs in zip(run(*tensors, forgetful=True), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_a_tape_around_a_function_may_be_asked_twice(tensors):
    """Its backward pass is traced in graphs of its own."""
    x, scale = tensors

    @tf.function
    def loss(x):
        y, again = remade(features(x, scale), features, x, scale)

        @tf.custom_gradient
        def total(y):
            return tf.reduce_sum(tf.exp(y)), lambda upstream: upstream * tf.exp(again(upstream))

        return total(y)

    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        value = loss(x)
        slope = tape.gradient(value, x)
    expected = derivatives(x, scale, forgetful=False)[1]
    np.testing.assert_allclose(slope, expected, rtol=1e-12)
    np.testing.assert_allclose(tape.gradient(value, x), expected, rtol=1e-12)
    with tf.GradientTape() as plain:
        plain.watch(x)
        slope_of_plain = derivatives(x, scale, forgetful=False)[1]
    np.testing.assert_allclose(tape.gradient(slope, x), plain.gradient(slope_of_plain, x), rtol=1e-12)


def test_nothing_behind_the_forward_pass_reads_the_value(tensors):
    x, scale = tensors
    with tf.Graph().as_default() as graph:
        x = tf.identity(x.numpy())
        y = features(x, scale.numpy())
        again_of_y, _ = remade(y, features, x, tf.constant(scale.numpy()))
        before = len(y.consumers())
        (slope,) = tf.gradients(tf.reduce_sum(tf.exp(again_of_y)), [x])
        assert len(y.consumers()) == before
        # Made again, and behind what comes from above: not at once, when the forward pass has only begun.
        fresh = [op for op in graph.get_operations() if op.type == "Sin"][1]
        assert fresh.inputs[0].op.control_inputs
        assert slope is not None
