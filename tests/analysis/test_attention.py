import keras
import numpy as np
import pytest
import tensorflow as tf

from checks import randomize
from keras_sknet import Branch, ImageNormalization, SelectiveKernel, attention_scores
from keras_sknet.analysis import attention_batches
from keras_sknet.analysis.attention import kernel_sizes, named
from keras_sknet.data import Digits, Subset, evaluation_batches, evaluation_transform
from nets import tiny

IMAGES = np.random.default_rng(0).uniform(0, 255, (5, 32, 32, 3)).astype("float32")
THREE = tuple(Branch(3, d, 2) for d in (1, 2, 3))


def tapped(model, name):
    """The attention of one block, by a sub-model that ends at the block's input."""
    block = model.get_layer(name)
    return block.attention(keras.Model(model.input, block.input)(IMAGES, training=False))


@pytest.mark.parametrize("branches", [THREE[:2], THREE])
def test_equals_each_blocks_own_attention(branches):
    model = tiny(depths=(1, 2, 1, 1), branches=branches)
    scores = attention_scores(model, IMAGES, batch_size=2)
    assert list(scores) == ["sk_2_1", "sk_3_1", "sk_3_2", "sk_4_1", "sk_5_1"]
    for name, a in scores.items():
        assert a.shape == (5, len(branches), model.get_layer(name).width)
        np.testing.assert_allclose(a, tapped(model, name), atol=1e-5)
        np.testing.assert_allclose(a.sum(1), 1, atol=1e-5)


def convolved(x, kernel, dilation, groups):
    """A grouped convolution with zeros around, tap by tap."""
    side = kernel.shape[0] // 2 * dilation
    padded = np.pad(x, [(0, 0), (side, side), (side, side), (0, 0)])
    y = np.zeros((*x.shape[:3], kernel.shape[-1]))
    share, out = x.shape[-1] // groups, kernel.shape[-1] // groups
    for row, column in np.ndindex(kernel.shape[:2]):
        tap = padded[:, row * dilation :, column * dilation :][:, : x.shape[1], : x.shape[2]]
        for group in range(groups):
            inputs = tap[..., group * share : (group + 1) * share]
            outputs = slice(group * out, (group + 1) * out)
            y[..., outputs] += inputs @ kernel[row, column][:, outputs]
    return y


def normalized(x, norm):
    gamma, beta, mean, variance = (
        np.asarray(value, "float64")
        for value in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    return np.maximum((x - mean) / np.sqrt(variance + norm.epsilon) * gamma + beta, 0)


def test_equals_the_papers_equations_in_numpy():
    inputs = keras.Input((9, 7, 4))
    unit = SelectiveKernel(8, THREE, min_units=4, name="unit")
    model = keras.Model(inputs, unit(inputs))
    rng = np.random.default_rng(1)
    for weight in model.weights:
        draw = (
            rng.uniform(0.5, 2, weight.shape) if "variance" in weight.path else rng.normal(0, 1, weight.shape)
        )
        weight.assign(draw)
    x = rng.normal(size=(3, 9, 7, 4))
    branches = []
    for block, branch in zip(unit.convolutions, unit.branches, strict=True):
        kernel = np.asarray(block.conv.kernel, "float64")
        branches.append(normalized(convolved(x, kernel, branch.dilation_rate, branch.groups), block.norm))
    s = sum(branches).mean(axis=(1, 2))
    z = normalized(s @ np.asarray(unit.squeeze.kernel, "float64"), unit.norm)
    logits = (z @ np.asarray(unit.projection.kernel, "float64")).reshape(3, 3, 8)
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    assert expected.min() < 0.05 and expected.max() > 0.9
    np.testing.assert_allclose(attention_scores(model, x.astype("float32"))["unit"], expected, atol=1e-5)


def one_unit(size=32):
    """A network of one unit, compiled in no time."""
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(4, 1)(ImageNormalization()(inputs))
    model = keras.Model(inputs, SelectiveKernel(8, THREE, strides=4, name="unit")(x))
    randomize(model)
    return model


@pytest.fixture(scope="module")
def network():
    return one_unit()


def padded_dataset(images, labels):
    """Batches of three; the last is filled up with an image of weight 0."""
    images, labels = np.concatenate([images, images[:1] * 0]), np.append(labels, 0)
    weights = np.append(np.ones(len(images) - 1), 0)
    return tf.data.Dataset.from_tensor_slices((images, labels, weights)).batch(3)


@pytest.mark.parametrize(
    "given",
    [
        (IMAGES, np.arange(5)),
        tf.data.Dataset.from_tensor_slices((IMAGES, np.arange(5))).batch(2),
        padded_dataset(IMAGES, np.arange(5)),
        [(IMAGES[:3], np.arange(3)), (IMAGES[3:], np.arange(3, 5))],
    ],
    ids=["arrays", "labelled", "weighted", "loader"],
)
def test_takes_labelled_images_in_any_form(given, network):
    given = iter(given) if isinstance(given, list) else given
    batches = list(attention_batches(network, given, batch_size=2))
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in batches]), np.arange(5))
    for name, a in attention_scores(network, IMAGES).items():
        found = np.concatenate([scores[name] for scores, _ in batches])
        np.testing.assert_allclose(found, a, atol=1e-5)


def test_a_subclassed_model_takes_images_with_labels(network):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.network = network

        def call(self, images):
            return self.network(images)

    model = Subclassed()
    model.build((None, *IMAGES.shape[1:]))
    ((scores, labels),) = attention_batches(model, (IMAGES, np.arange(5)))
    np.testing.assert_array_equal(labels, np.arange(5))
    for name, a in attention_scores(network, IMAGES).items():
        np.testing.assert_allclose(scores[name], a, atol=1e-5)


def test_scores_are_float32_in_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert {a.dtype.name for a in attention_scores(tiny(), IMAGES).values()} == {"float32"}


def test_takes_sources_and_prepares_their_images_as_for_evaluation(network):
    digits = Subset(Digits("test"), range(5))
    pixels = np.stack([digits.source.render(index) for index in range(5)])
    expected = attention_scores(network, pixels)
    for given in (digits, evaluation_batches(digits, 4)):
        for name, a in attention_scores(network, given, batch_size=3).items():
            np.testing.assert_allclose(a, expected[name], atol=1e-5)
    # Of another size than the network's, they are resized and cropped.
    larger = one_unit(48)
    transform = evaluation_transform(larger)
    expected = attention_scores(larger, np.stack([transform(image) for image in pixels]))
    for name, a in attention_scores(larger, digits).items():
        np.testing.assert_allclose(a, expected[name], atol=1e-5)


def test_a_unit_called_twice_has_scores_of_both_calls():
    inputs = keras.Input((8, 8, 8))
    unit = SelectiveKernel(8, THREE[:2], name="shared")
    other = SelectiveKernel(8, THREE, name="other")
    model = keras.Model(inputs, other(unit(unit(inputs))))
    randomize(keras.Sequential([keras.Input((8, 8, 8)), unit]))
    x = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 8)).astype("float32")
    scores = attention_scores(model, x)
    assert list(scores) == ["shared", "shared_1", "other"]
    np.testing.assert_allclose(scores["shared"], unit.attention(x), atol=1e-5)
    np.testing.assert_allclose(scores["shared_1"], unit.attention(unit(x, training=False)), atol=1e-5)
    assert np.abs(scores["shared"] - scores["shared_1"]).max() > 0.01
    sizes = {"shared": (3, 5), "shared_1": (3, 5), "other": (3, 5, 7)}
    assert kernel_sizes(model, scores) == sizes


def test_kernels_that_cannot_be_told_are_refused():
    inputs = keras.Input((8, 8, 8))
    parts = [
        keras.Sequential([keras.Input((8, 8, 8)), SelectiveKernel(8, branches, name="unit")])
        for branches in (THREE[:2], THREE)
    ]
    model = keras.Model(inputs, parts[1](parts[0](inputs)))
    with pytest.raises(ValueError, match="units of the same name, 'unit', have the same kernels"):
        kernel_sizes(model, ["unit", "unit_1"])
    alike = keras.Model(inputs, SelectiveKernel(8, (Branch(5, 1, 2), Branch(3, 2, 2)), name="alike")(inputs))
    with pytest.raises(ValueError, match="have kernels of different sizes, also 'alike'"):
        kernel_sizes(alike, ["alike"])


def test_names_that_may_be_of_two_units_are_refused():
    inputs = keras.Input((8, 8, 8))
    twice = SelectiveKernel(8, THREE[:2], name="unit")
    other = SelectiveKernel(8, (THREE[0], THREE[2]), name="unit_1")
    model = keras.Model(inputs, other(twice(twice(inputs))))
    units = list(attention_scores(model, np.ones((1, 8, 8, 8), "float32")))
    with pytest.raises(ValueError, match=r"`model` must be one whose units have unlike names.*unit='unit_1'"):
        kernel_sizes(model, units)
    once = keras.Model(inputs, other(twice(inputs)))
    assert kernel_sizes(once, ["unit", "unit_1"]) == {"unit": (3, 5), "unit_1": (3, 7)}
    with pytest.raises(ValueError, match=r"`model` must be one whose units have unlike names.*unit='hidden'"):
        kernel_sizes(once, ["hidden"])


def test_near_names_are_offered():
    with pytest.raises(
        ValueError, match=r"`unit` must be one of the 3 there are, such as \['sk_2_1'.*unit='sk_21'"
    ):
        named("unit", ["sk_21"], ["sk_2_1", "sk_3_1", "mine"])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(run_python):
    code = """
import resource, sys
import numpy as np
import keras_sknet
from keras_sknet.analysis import attention_batches
from nets import tiny

model = tiny(input_shape=(32, 32, 3))
batch = np.random.default_rng(0).uniform(0, 255, (100, 32, 32, 3)).astype("float32")

def peak(count):
    stream = ((batch, np.zeros(100, "int64")) for _ in range(count // 100))
    response = keras_sknet.scale_response(model, stream)
    assert len(response) == count
    stream = (batch for _ in range(count // 100))
    assert sum(len(scores["sk_2_1"]) for scores, _ in attention_batches(model, stream)) == count
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

first = peak(1000)
print(first, peak(10000))
"""
    few, many = map(float, run_python(code).split())
    # The images alone would be 123 MB more, those at three scales 368.
    assert many - few < 30


def test_takes_datasets_and_leaves_training_mode_alone():
    model = tiny()
    scores = attention_scores(model, tf.data.Dataset.from_tensor_slices(IMAGES).batch(3))
    for name, a in attention_scores(model, IMAGES).items():
        np.testing.assert_allclose(scores[name], a, atol=1e-6)


def test_finds_units_in_nested_models_subclasses_and_reloaded_files(tmp_path):
    network = tiny(include_top=False, pooling="avg")
    expected = attention_scores(network, IMAGES)
    nested = keras.Sequential([keras.Input((32, 32, 3)), network, keras.layers.Dense(3)])

    class Subclass(keras.Model):
        def __init__(self):
            super().__init__()
            self.network = network

        def call(self, x):
            return self.network(x)

    nested.save(tmp_path / "nested.keras")
    for model in (nested, Subclass(), keras.saving.load_model(tmp_path / "nested.keras")):
        found = attention_scores(model, IMAGES)
        assert list(found) == list(expected)
        for name, a in expected.items():
            np.testing.assert_allclose(found[name], a, atol=1e-6)


def test_names_units_of_a_users_own_model():
    inputs = keras.Input((16, 16, 4))
    x = SelectiveKernel(8, THREE[:2], name="mine")(inputs)
    outputs = SelectiveKernel(8, THREE[:1], name="plain")(x)
    scores = attention_scores(keras.Model(inputs, outputs), np.zeros((2, 16, 16, 4), "float32"))
    assert {name: a.shape for name, a in scores.items()} == {"mine": (2, 2, 8)}


def test_refuses_models_without_selection():
    for model in (tiny("ResNeXt50"), tiny(use_attention=False), tiny(branches=THREE[:1])):
        with pytest.raises(ValueError, match="`model` must be one with SK units of two branches or more"):
            attention_scores(model, IMAGES)
