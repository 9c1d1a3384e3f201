import keras
import numpy as np
import pytest
import tensorflow as tf

from checks import check_layer
from keras_sknet import K3, K5, K7, BatchNormalization, Branch, ConvNormAct, SelectiveKernel
from keras_sknet.layers import record_attention
from oracles import numpy_conv2d

SMALL = (K3._replace(groups=4), K5._replace(groups=4), K7._replace(groups=2))


def randomized(unit, input_shape):
    unit.build(input_shape)
    random = np.random.default_rng(1)
    for weight in unit.weights:
        least, most = (0.5, 1.5) if weight.name in ("moving_variance", "gamma") else (-0.5, 0.5)
        weight.assign(random.uniform(least, most, weight.shape))
    if unit.has_attention:
        # Far from 1/M, where a wrong attention would not show.
        unit.projection.kernel.assign(random.normal(size=unit.projection.kernel.shape) * 4)
    return unit


def numpy_unit(unit, x, split_input=False):
    """Split, fuse, select in NumPy; returns (V, a)."""
    weights = {weight.path.split("/", 1)[1]: np.asarray(weight, "float64") for weight in unit.weights}
    count = len(unit.branches)

    def norm(name, value):
        gamma, beta, mean, variance = (
            weights[f"{name}/{w}"] for w in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return gamma * (value - mean) / np.sqrt(variance + 1e-5) + beta

    parts = np.split(x, count, -1) if split_input else [x] * count
    features = []
    for m, (branch, part) in enumerate(zip(unit.branches, parts, strict=True)):
        kernel = weights[f"branch_{m}/conv/kernel"]
        y = numpy_conv2d(part, kernel, unit.strides, "symmetric", branch.dilation_rate)
        features.append(np.maximum(norm(f"branch_{m}/norm", y), 0))
    features = np.stack(features, 1)  # (N, M, H, W, C)
    if count == 1 or not unit.use_attention:
        return features.sum(1), None
    s = features.sum(1).mean((1, 2))
    z = np.maximum(norm("norm", s @ weights["squeeze/kernel"]), 0)
    logits = (z @ weights["projection/kernel"]).reshape(len(x), count, unit.filters)
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    a = exponentials / exponentials.sum(1, keepdims=True)
    return (a[:, :, None, None] * features).sum(1), a


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("options", [{}, {"use_attention": False}, {"split_input": True}], ids=str)
def test_equals_the_equations_in_numpy(count, strides, options):
    unit = SelectiveKernel(16, SMALL[:count], strides, reduction=2, min_units=6, **options)
    x = np.random.default_rng(2).normal(size=(2, 9, 8, 24)).astype("float32")
    randomized(unit, x.shape)
    expected, attention = numpy_unit(unit, x, unit.split_input)
    np.testing.assert_allclose(unit(x), expected, atol=1e-5 * np.abs(expected).max())
    if attention is not None:
        assert attention.min() < 0.1 and attention.max() > 0.9
        np.testing.assert_allclose(unit.attention(x), attention, atol=1e-5)


def test_squeezed_units_follow_the_rule():
    assert [SelectiveKernel(c).squeeze.units for c in (128, 256, 512, 1024)] == [32, 32, 32, 64]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_training_keeps_no_features_and_loses_nothing_by_it(count, dtype, monkeypatch):
    x = np.random.default_rng(3).normal(size=(4, 9, 8, 16)).astype("float32")

    def train():
        unit = randomized(SelectiveKernel(16, SMALL[:count], strides=2, dtype=dtype), x.shape)
        traced = tf.function(lambda x: gradients(unit, x)).get_concrete_function(tf.constant(x))
        slopes = [op.inputs[1].op.name for op in traced.graph.get_operations() if op.type == "ReluGrad"]
        kept = [name for name in slopes if "/branch_" in name]
        return [*traced(tf.constant(x)), *unit.non_trainable_variables], len(kept)

    def gradients(unit, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = unit(x, training=True)
            loss = tf.reduce_sum(tf.sin(tf.cast(y, "float32")))
        return [y, *tape.gradient(loss, [x, *(weight.value for weight in unit.trainable_variables)])]

    got, kept = train()
    monkeypatch.setattr(ConvNormAct, "can_forget", lambda *_: False)
    expected, kept_otherwise = train()
    assert (kept, kept_otherwise) == (0, count)
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_gradients_are_of_the_weights_that_the_forward_pass_had(monkeypatch):
    x = tf.constant(np.random.default_rng(3).normal(size=(4, 6, 6, 16)).astype("float32"))

    def gradient():
        unit = randomized(SelectiveKernel(16, SMALL[:2]), x.shape)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(unit(x, training=True) ** 2)
        for convolution in unit.convolutions:
            convolution.norm.gamma.assign(3 * convolution.norm.gamma)  # as an optimizer may
        return tape.gradient(loss, x)

    got = gradient()
    monkeypatch.setattr(ConvNormAct, "can_forget", lambda *_: False)
    np.testing.assert_array_equal(got, gradient())


def test_it_trains_in_a_loop():
    unit = randomized(SelectiveKernel(16, SMALL[:2]), (None, 6, 6, 16))
    x = tf.random.normal((4, 6, 6, 16))

    def gradients(steps):
        with tf.GradientTape() as tape:
            h = x
            for _ in steps:
                h = unit(h, training=True)
            loss = tf.reduce_sum(h**2)
        return tape.gradient(loss, [weight.value for weight in unit.trainable_variables])

    expected = gradients(range(3))
    for got, want in zip(tf.function(gradients)(tf.range(3)), expected, strict=True):
        assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()


@pytest.mark.parametrize(
    "norm",
    [
        keras.layers.GroupNormalization(4),
        keras.layers.LayerNormalization(),
        keras.layers.BatchNormalization(scale=False),
        BatchNormalization(renorm=True),
        keras.layers.Identity(),
    ],
    ids=lambda norm: type(norm).__name__,
)
def test_what_was_put_in_place_of_batch_normalization_has_its_own_gradient(norm, monkeypatch):
    x = tf.constant(np.random.default_rng(3).normal(size=(4, 6, 6, 16)).astype("float32"))

    def gradient():
        keras.utils.set_random_seed(0)
        unit = SelectiveKernel(16, SMALL[:2])
        for convolution in unit.convolutions:
            convolution.norm = type(norm).from_config({**norm.get_config(), "name": "other"})
        unit(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(unit(x, training=True) ** 2)
        return tape.gradient(loss, x)

    got = gradient()
    monkeypatch.setattr(ConvNormAct, "can_forget", lambda *_: False)
    np.testing.assert_allclose(got, gradient(), atol=1e-6)


def test_trains_with_only_its_convolutions_in_bfloat16():
    policy = keras.dtype_policies.DTypePolicyMap(default_policy="float32")
    policy[".*/conv"] = "mixed_bfloat16"
    unit = SelectiveKernel(16, SMALL[:2], dtype=policy, name="unit")
    x = tf.random.normal((4, 9, 8, 16))
    unit.build(x.shape)
    assert unit.convolutions[0].conv.compute_dtype == "bfloat16"
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sin(unit(x, training=True)))
    weights = [weight.value for weight in unit.trainable_variables]
    assert all(np.abs(slope).max() > 0 for slope in tape.gradient(loss, weights))


@pytest.mark.parametrize("count", [2, 3])
def test_attention_sums_to_one_over_the_branches_even_for_huge_logits(count):
    unit = SelectiveKernel(16, SMALL[:count])
    x = keras.random.normal((3, 8, 8, 16))
    unit.build(x.shape)
    unit.projection.kernel.assign(keras.random.normal(unit.projection.kernel.shape) * 1e4)
    attention = np.asarray(unit.attention(x))
    assert attention.shape == (3, count, 16)
    np.testing.assert_allclose(attention.sum(1), 1, atol=1e-6)


def test_one_branch_is_a_plain_convolution_and_has_no_fuse_weights():
    unit, plain = SelectiveKernel(8, [Branch(3, groups=2)]), ConvNormAct(8, 3, groups=2)
    x = keras.random.normal((2, 6, 6, 4))
    unit.build(x.shape)
    plain.build(x.shape)
    assert [w.shape for w in unit.weights] == [w.shape for w in plain.weights]
    plain.set_weights(unit.get_weights())
    np.testing.assert_array_equal(unit(x), plain(x))


def test_plain_sum_has_no_fuse_weights():
    unit = SelectiveKernel(8, SMALL, use_attention=False)
    unit.build((None, 8, 8, 8))
    assert {w.path.split("/")[1] for w in unit.weights} == {"branch_0", "branch_1", "branch_2"}


@pytest.mark.parametrize(
    "options",
    [{}, {"branches": SMALL}, {"strides": 2}, {"use_attention": False}, {"split_input": True}],
    ids=str,
)
def test_survives_saving_and_trains_every_weight(options):
    unit = SelectiveKernel(8, **{"branches": SMALL[:2], "min_units": 8, **options})
    size = 4 if unit.strides == (2, 2) else 8
    channels = 8 * len(unit.branches) if unit.split_input else 8
    check_layer(unit, np.random.default_rng(0).normal(size=(4, 8, 8, channels)), (4, size, size, 8))


def test_branches_may_be_plain_lists_as_in_a_config():
    unit = SelectiveKernel(8, [[3, 1, 2], [3, 2, 2]])
    assert unit.branches == (Branch(3, 1, 2), Branch(3, 2, 2))
    assert SelectiveKernel.from_config(unit.get_config()).branches == unit.branches


@pytest.mark.parametrize("training", [False, True])
def test_an_empty_batch_has_an_output(training):
    unit = SelectiveKernel(8, SMALL, strides=2)
    assert unit(np.zeros((0, 8, 8, 8), "float32"), training=training).shape == (0, 4, 4, 8)


def test_attention_builds_the_unit_and_rejects_what_has_none():
    assert SelectiveKernel(8, SMALL).attention(np.zeros((1, 8, 8, 8))).shape == (1, 3, 8)
    for unit in (SelectiveKernel(8, SMALL[:1]), SelectiveKernel(8, SMALL, use_attention=False)):
        with pytest.raises(ValueError, match="`attention` must be asked of a unit with two branches"):
            unit.attention(np.zeros((1, 8, 8, 8)))


def test_recorder_names_each_call_and_stops_afterwards():
    unit = SelectiveKernel(8, SMALL, name="unit")
    x = keras.random.normal((2, 8, 8, 8))
    with record_attention() as scores:
        unit(x)
        unit(2 * x)
    unit(x)
    assert list(scores) == ["unit", "unit_1"]
    np.testing.assert_allclose(scores["unit"], unit.attention(x), atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_honours_the_dtype_policy(policy):
    unit = SelectiveKernel(8, SMALL, dtype=policy)
    y = unit(keras.random.normal((2, 8, 8, 8)))
    assert keras.backend.standardize_dtype(y.dtype) == unit.compute_dtype == policy.removeprefix("mixed_")
    assert {w.dtype for w in unit.weights} == {unit.variable_dtype}
