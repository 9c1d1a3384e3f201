import warnings

import numpy as np
import pytest
import tensorflow as tf

from keras_sknet.ops import batch_norm

SETTINGS = dict(axis=-1, momentum=0.9, epsilon=1e-3)
MODES = {
    "eager": lambda f: f,
    "graph": tf.function,
    "xla": lambda f: tf.function(f, jit_compile=True),
}


def statistics(channels, dtype="float32"):
    rng = np.random.default_rng(1)
    return [tf.constant(v, dtype) for v in (rng.normal(size=channels), rng.uniform(0.5, 2, channels))]


def image(*shape, dtype="float32"):
    return tf.constant(np.random.default_rng(0).normal(1.0, 2.0, shape), dtype)


def plain(x, gamma, beta, epsilon=1e-3):
    """The definition in float64 and with every derivative."""
    axes = list(range(len(x.shape) - 1))
    mean = tf.reduce_mean(x, axes)
    variance = tf.reduce_mean(tf.square(x - mean), axes)
    return gamma * (x - mean) / tf.sqrt(variance + epsilon) + beta


def test_fuses_only_what_the_kernel_takes():
    assert batch_norm.fuses(image(1, 2, 2, 3), -1)
    assert batch_norm.fuses(image(1, 2, 2, 3), 3)
    assert batch_norm.fuses(image(1, 2, 2, 3, dtype="bfloat16"), -1)
    assert not batch_norm.fuses(image(1, 2, 2, 3), 1)
    assert not batch_norm.fuses(image(1, 2, 2, 3, dtype="float64"), -1)
    assert not batch_norm.fuses(image(4, 3), -1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(4, 3), (4, 5, 5, 3), (6, 1, 1, 3)])
def test_normalize_batch_follows_the_definition(mode, shape):
    x, (beta, gamma) = image(*shape), statistics(3)

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch([x, gamma, beta])
            y, mean, variance, count = batch_norm.normalize_batch(
                x, gamma, beta, tf.zeros(3), tf.zeros(3), **SETTINGS, synchronized=True
            )
            loss = tf.reduce_sum(tf.sin(y))
        return y, mean, variance, tape.gradient(loss, [x, gamma, beta]), tf.cast(count, "int32")

    y, mean, variance, gradients, count = MODES[mode](run)(x)
    exact = [tf.cast(v, "float64") for v in (x, gamma, beta)]
    with tf.GradientTape() as tape:
        tape.watch(exact)
        expected = plain(*exact)
        loss = tf.reduce_sum(tf.sin(expected))
    np.testing.assert_allclose(y, expected, atol=1e-5)
    axes = tuple(range(len(shape) - 1))
    np.testing.assert_allclose(mean, 0.1 * x.numpy().mean(axes), atol=1e-6)
    np.testing.assert_allclose(variance, 0.1 * x.numpy().var(axes), atol=1e-5)
    for got, want in zip(gradients, tape.gradient(loss, exact), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5 * max(1, np.abs(want).max()))
    assert count == np.prod(shape[:-1])


@pytest.mark.parametrize("shape, training", [((4, 3), True), ((3, 2, 2, 3), True), ((3, 2, 2, 3), False)])
def test_second_derivatives_follow_the_definition(shape, training):
    x, direction, (beta, gamma) = image(*shape), image(*shape)[..., ::-1], statistics(3)

    def second(f, *arguments):
        with tf.GradientTape() as outer:
            outer.watch(arguments)
            with tf.GradientTape() as inner:
                inner.watch(arguments)
                loss = tf.reduce_sum(tf.sin(f(*arguments)))
            # An arbitrary direction: along the gradient itself wrong second derivatives can hide.
            along = tf.reduce_sum(inner.gradient(loss, arguments[0]) * tf.cast(direction, arguments[0].dtype))
        return outer.gradient(along, arguments)

    mean, variance = statistics(3)

    def ours(x, gamma, beta):
        if training:
            return batch_norm.normalize_batch(x, gamma, beta, mean, variance, **SETTINGS, synchronized=True)[
                0
            ]
        return batch_norm.normalize_fixed(x, mean, variance, gamma, beta, 1e-3)

    def definition(x, gamma, beta):
        if training:
            return plain(x, gamma, beta)
        m, v = tf.cast(mean, "float64"), tf.cast(variance, "float64")
        return gamma * (x - m) / tf.sqrt(v + 1e-3) + beta

    exact = second(definition, *(tf.cast(v, "float64") for v in (x, gamma, beta)))
    for got, want in zip(second(ours, x, gamma, beta), exact, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5 * max(1, np.abs(want).max()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(0, 3), (0, 2, 2, 3)])
def test_empty_batch_changes_nothing(shape, dtype):
    mean, variance = statistics(3, dtype)
    gamma = tf.ones(3, dtype)
    with tf.GradientTape() as tape:
        tape.watch(gamma)
        y, new_mean, new_variance, _ = batch_norm.normalize_batch(
            image(*shape, dtype=dtype), gamma, None, mean, variance, **SETTINGS, synchronized=True
        )
    assert y.shape == shape
    np.testing.assert_array_equal(new_mean, mean)
    np.testing.assert_array_equal(new_variance, variance)
    np.testing.assert_array_equal(tape.gradient(y, gamma), np.zeros(3))


def test_values_per_channel_of_known_and_unknown_shapes():
    assert batch_norm.values_per_channel(image(2, 3, 4, 5), -1) == 24
    assert batch_norm.values_per_channel(image(2, 3, 4, 5), 1) == 40
    counted = tf.function(
        lambda x: batch_norm.values_per_channel(x, -1), input_signature=[tf.TensorSpec((None, 3, None, 5))]
    )
    assert counted(image(2, 3, 4, 5)) == 24


def test_big_maps_and_compiled_graphs_pay_nothing_for_the_check():
    def operations(shape, **options):
        def check(x):
            batch_norm.when_one_value(tf.shape(x)[0], x, -1, lambda: None)
            return x

        function = tf.function(check, input_signature=[tf.TensorSpec(shape)], **options)
        return {op.type for op in function.get_concrete_function().graph.get_operations()}

    assert "If" in operations((None, 3))
    assert "If" in operations((None, 1, 1, 3))
    assert "If" not in operations((None, 7, 7, 3))
    assert "If" not in operations((None, None, None, 3))
    assert "If" not in operations((2, 1, 1, 3))
    assert "If" not in operations((None, 3), jit_compile=True)


# A process of its own: TensorFlow's collectives of one strategy are in the way of the next one's.
REPLICAS = """
import itertools
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_sknet.ops import batch_norm

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

def check(synchronized, dtype, masked):
    tolerance = 1e-12 if dtype == "float64" else 2e-6
    rng = np.random.default_rng(2)
    x, mask = rng.normal(100, 2, (5, 2, 2, 3)).astype(dtype), rng.uniform(size=(5, 2, 2)) < 0.6
    keep = mask if masked else np.ones_like(mask)

    def one(share, counted):
        return batch_norm.normalize_batch(
            share, None, None, tf.constant([100.0] * 3, dtype), tf.ones(3, dtype), axis=-1, momentum=0.9,
            epsilon=1e-3, synchronized=synchronized, mask=counted if masked else None,
        )

    both = tf.function(lambda *shares: strategy.run(one, shares), reduce_retracing=True)
    for split in (2, 1, 5):
        halves = slice(None, split), slice(split, None)

        def share(values):
            return strategy.experimental_distribute_values_from_function(
                lambda context: tf.constant(values[halves[context.replica_id_in_sync_group]])
            )

        y, *results = both(share(x), share(mask))
        (mean, same_mean), (variance, same_variance), _ = map(strategy.experimental_local_results, results)
        np.testing.assert_array_equal(mean, same_mean)
        np.testing.assert_array_equal(variance, same_variance)
        shares = [x[h][keep[h]].astype("float64") for h in halves]
        whole = np.concatenate(shares)
        spread = whole.var(0)
        if not synchronized:
            spread = sum(s.var(0) * len(s) for s in shares if len(s)) / len(whole)
        np.testing.assert_allclose(mean, 0.9 * 100 + 0.1 * whole.mean(0), rtol=tolerance)
        np.testing.assert_allclose(variance, 0.9 + 0.1 * spread, rtol=tolerance)
        for h, got, values in zip(halves, strategy.experimental_local_results(y), shares):
            own = whole if synchronized else values
            if len(own):
                expected = (x[h] - own.mean(0)) / np.sqrt(own.var(0) + 1e-3)
                np.testing.assert_allclose(got, expected, atol=20 * tolerance)

for case in itertools.product([True, False], ["float64", "float32"], [False, True]):
    check(*case)
    print("equal", *case)
"""


def test_replicas_share_statistics(run_python):
    """Two shares, even, uneven and empty, far from zero, against NumPy on the whole batch."""
    assert run_python(REPLICAS).count("equal") == 8


def test_action_runs_only_for_one_value():
    calls = []
    for count in (0, 1, 2):
        batch_norm.when_one_value(count, image(1, 3), -1, lambda count=count: calls.append(count))
    assert calls == [1]

    @tf.function(input_signature=[tf.TensorSpec((None, 3))])
    def check(x):
        batch_norm.when_one_value(tf.shape(x)[0], x, -1, lambda: calls.append("run"))
        return x

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in (0, 2, 1, 3):
            check(image(n, 3))
    assert calls == [1, "run"]
