"""timm's own answers, kept in tests/data: tests/data/make_timm_fixtures.py made them."""

import importlib.util
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

import keras_sknet
from checks import relative_difference
from keras_sknet import Branch

DATA = Path(__file__).resolve().parent.parent / "data"
BOTTLENECK = {"depths": (1, 2, 1, 1), "widths": (4, 8, 8, 16), "filters": (8, 16, 16, 32)}
BASIC = {**BOTTLENECK, "filters": (4, 8, 8, 16)}
SK = {"reduction": 2, "min_units": 4}
NETS = {
    "tiny_sknet": ("SKNet50", {**BOTTLENECK, **SK, "branches": (Branch(3, 1, 2), Branch(3, 2, 2))}),
    "tiny_skresnet": ("SKResNet18", {**BASIC, **SK}),
    "tiny_resnext": ("ResNeXt50", {**BOTTLENECK, "cardinality": 2}),
    "tiny_senet": ("SENet50", {**BOTTLENECK, "cardinality": 2, "reduction": 4}),
}
EVERY = 8  # the files hold only so many channels of the stages
LEARNING_RATE = 0.1
SIZES = {1: (16, 12), 2: (8, 6), 3: (4, 3), 4: (2, 2)}  # of timm's stages for images of 64×48


def network(name, **options):
    function, own = NETS[name]
    defaults = {
        "input_shape": (None, None, 3),
        "classes": 5,
        "classifier_activation": None,
        "stem_padding": "torch",
    }
    return getattr(keras_sknet, function)(**{**defaults, **own, **options})


@pytest.fixture(scope="module", params=NETS)
def peer(request):
    """Name, timm's weights, timm's answers, and the network here with these weights."""
    name = request.param
    weights = load_file(DATA / f"{name}.safetensors")
    with np.load(DATA / f"{name}.npz") as file:
        answers = dict(file)
    model = network(name)
    keras_sknet.load_timm(model, weights)
    return name, weights, answers, model


@pytest.mark.parametrize("size", ["", "odd "])
def test_logits_and_every_stage_equal_timms(peer, size):
    _, _, answers, model = peer
    pyramid = keras_sknet.feature_pyramid(model)
    whole = keras.Model(
        model.input, {"stem": model.get_layer("stem").output, **pyramid.output, "logits": model.output}
    )
    images = answers[f"{size}images"]
    assert images.shape == ((1, 97, 131, 3) if size else (4, 64, 48, 3))
    outputs = whole(images, training=False)
    assert set(outputs) == {"stem", "P2", "P3", "P4", "P5", "logits"}
    for name, output in outputs.items():
        output = output if name == "logits" else output[..., ::EVERY]
        assert relative_difference(output, answers[size + name]) < 1e-5, name


def test_attention_is_spread_out(peer):
    name, _, answers, model = peer
    if "sk" in name:
        scores = keras_sknet.attention_scores(model, answers["images"])
        assert len(scores) == 5
        for unit, a in scores.items():
            assert a.min() < 0.35 and a.max() > 0.65, unit
            assert np.ptp(a, axis=0).max() > 0.1, unit  # it depends on the image


def test_a_step_of_training_equals_timms(peer):
    name, weights, answers, model = peer
    keras_sknet.load_timm(model, weights)
    images, labels = answers["images"], answers["labels"]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        value = loss(labels, model(images, training=True))
    assert relative_difference(value, answers["loss 0"]) < 1e-5

    # Gradients have the names and layouts of the weights.
    holder = network(name)
    gradients = tape.gradient(value, [weight.value for weight in model.trainable_weights])
    for weight, gradient in zip(holder.trainable_weights, gradients, strict=True):
        weight.assign(gradient)
    gradients = keras_sknet.to_timm(holder)
    wanted = [key.removeprefix("gradient ") for key in answers if key.startswith("gradient ")]
    assert {"bn1.weight", "fc.weight", "fc.bias"} < set(wanted)
    assert ("sk" in name) == any(".attn.fc_select" in key for key in wanted)
    for key in wanted:
        assert relative_difference(gradients[key], answers[f"gradient {key}"]) < 1e-4, key

    keras_sknet.load_timm(model, weights)
    model.compile(keras.optimizers.SGD(LEARNING_RATE), loss)
    losses = [model.train_on_batch(images, labels)]
    _assert_statistics(weights, keras_sknet.to_timm(model), answers, "skresnet" not in name)
    losses.append(model.train_on_batch(images, labels))
    assert relative_difference(losses, [answers["loss 0"], answers["loss 1"]]) < 1e-4
    keras_sknet.load_timm(model, weights)


def _assert_statistics(before, after, answers, bottleneck):
    """Means as timm's. Of variances, timm keeps the unbiased ones, Keras the biased."""
    compared = 0
    for key in after:
        if key.endswith("running_mean"):
            assert relative_difference(after[key], answers[f"statistics {key}"]) < 1e-4, key
        elif key.endswith("running_var"):
            count = _values_per_channel(key, bottleneck)
            unbiased = answers[f"statistics {key}"] - 0.9 * before[key]
            wanted = 0.9 * before[key] + unbiased * (count - 1) / count
            assert relative_difference(after[key], wanted) < 1e-4, key
            compared += 1
    assert compared == sum(key.endswith("running_var") for key in before) > 15


def _values_per_channel(name, bottleneck):
    if name.startswith("bn1."):
        return 4 * 32 * 24
    if ".attn." in name:
        return 4
    stage, block, layer = re.match(r"layer(\d)\.(\d)\.(\w+)", name).groups()
    # A bottleneck's first convolution comes before the stride.
    before_stride = bottleneck and block == "0" and layer in ("conv1", "bn1")
    height, width = SIZES[max(int(stage) - before_stride, 1)]
    return 4 * height * width


def test_there_and_back_is_equal_to_the_bit(peer):
    name, weights, _, model = peer
    keras_sknet.load_timm(model, weights)
    back = keras_sknet.to_timm(model)
    assert set(back) == set(weights)
    for key, array in back.items():
        assert array.dtype == weights[key].dtype and array.flags.c_contiguous and array.flags.owndata, key
        np.testing.assert_array_equal(array, weights[key], strict=True)
    twin = network(name)
    keras_sknet.load_timm(twin, back)
    for ours, theirs in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_network_without_top_takes_a_checkpoint_with_one(peer):
    name, weights, answers, _ = peer
    trunk = network(name, include_top=False)
    keras_sknet.load_timm(trunk, weights)
    features = trunk(answers["images"], training=False)[..., ::EVERY]
    assert relative_difference(features, answers["P5"]) < 1e-5
    assert set(weights) - set(keras_sknet.to_timm(trunk)) == {"fc.weight", "fc.bias"}


def test_a_classifier_of_other_classes_keeps_its_own_weights(peer):
    name, weights, _, model = peer
    other = network(name, classes=3)
    fresh = other.get_layer("predictions").get_weights()
    keras_sknet.load_timm(other, weights, skip_classifier=True)
    for ours, old in zip(other.get_layer("predictions").get_weights(), fresh, strict=True):
        np.testing.assert_array_equal(ours, old)
    for ours, loaded in zip(other.get_weights()[:-2], model.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(ours, loaded)


def test_half_precision_and_views_are_taken(peer):
    name, weights, answers, _ = peer
    half = {key: array.astype("float16")[...] for key, array in weights.items()}
    model = network(name)
    keras_sknet.load_timm(model, half)
    assert relative_difference(model(answers["images"], training=False), answers["logits"]) < 0.01


SCRIPT = """
import sys
sys.modules["tensorflow"] = None  # an import of it fails
import numpy as np
from safetensors.numpy import load_file
import keras_sknet
data = sys.argv[1]
model = keras_sknet.SKResNet18(
    input_shape=(None, None, 3), classes=5, classifier_activation=None,
    depths=(1, 2, 1, 1), widths=(4, 8, 8, 16), filters=(4, 8, 8, 16), reduction=2, min_units=4,
)
weights = load_file(data + "/tiny_skresnet.safetensors")
keras_sknet.load_timm(model, weights)
back = keras_sknet.to_timm(model)
assert all(np.array_equal(back[name], weights[name]) for name in weights)
answers = np.load(data + "/tiny_skresnet.npz")
difference = np.abs(np.asarray(model(answers["odd images"])) - answers["odd logits"]).max()
print(difference / np.abs(answers["odd logits"]).max() < 1e-5)
"""


@pytest.mark.slow  # compiles every block
def test_the_same_on_jax_without_tensorflow(require, run_python):
    require(importlib.util.find_spec("jax"), "JAX")
    # Compiled in half the time, to slower code.
    flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    environment = {"KERAS_BACKEND": "jax", "CUDA_VISIBLE_DEVICES": "", "XLA_FLAGS": flags}
    assert run_python(SCRIPT, DATA, **environment).split() == ["True"]
