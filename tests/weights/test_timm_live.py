"""Full-size networks against timm itself, in an interpreter that has it."""

import os
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file, save_file

import keras_sknet
from checks import randomize, relative_difference

ROOT = Path(__file__).resolve().parents[2]
WITH_GRADIENTS = ("skresnext50_32x4d", "skresnet18", "seresnext50_32x4d")
EVERY = 8  # the answers hold only so many channels of the stages
NETWORKS = {
    "skresnext50_32x4d": "SKNet50",
    "skresnet18": "SKResNet18",
    "skresnet34": "SKResNet34",
    "resnext50_32x4d": "ResNeXt50",
    "resnext101_32x4d": "ResNeXt101",
    "seresnext50_32x4d": "SENet50",
    "seresnext101_32x4d": "SENet101",
}


@pytest.fixture(scope="module")
def run_timm(require):
    """`run_timm(folder, *names)` leaves the weights and answers of timm's networks in a folder."""
    python = os.environ.get("PEER_PYTHON")
    require(python, "PEER_PYTHON, the path of an interpreter with torch and timm")

    def run_timm(folder, *names):
        script = ROOT / "tests" / "data" / "make_timm_fixtures.py"
        subprocess.run([python, script, folder, *names], check=True, timeout=600)

    return run_timm


@pytest.fixture(scope="module")
def drawn(run_timm, tmp_path_factory):
    """The folder with all networks, their weights drawn by timm."""
    folder = tmp_path_factory.mktemp("timm")
    run_timm(folder, *NETWORKS)
    return folder


def network(name):
    return getattr(keras_sknet, NETWORKS[name])(
        input_shape=(None, None, 3), classifier_activation=None, stem_padding="torch"
    )


def assert_equal(model, path):
    """The stages and logits of one image of 224×224 and one of 97×131."""
    with np.load(path) as file:
        answers = dict(file)
    assert answers["images"].shape == (1, 224, 224, 3) and answers["odd images"].shape == (1, 97, 131, 3)
    pyramid = keras_sknet.feature_pyramid(model)
    stem = model.get_layer("stem").output
    whole = keras.Model(model.input, {"stem": stem, **pyramid.output, "logits": model.output})
    for size in ("", "odd "):
        for name, output in whole(answers[f"{size}images"], training=False).items():
            output = output if name == "logits" else output[..., ::EVERY]
            assert relative_difference(output, answers[size + name]) < 1e-4, size + name


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_full_network_of_timms_computes_the_same_here(name, drawn):
    weights = load_file(drawn / f"{name}.safetensors")
    model = network(name)
    keras_sknet.load_timm(model, weights)
    assert_equal(model, drawn / f"{name}.npz")
    back = keras_sknet.to_timm(model)
    assert back.keys() == weights.keys()
    assert all(np.array_equal(back[key], weights[key]) for key in weights)


@pytest.mark.slow
def test_a_network_of_ours_computes_the_same_in_timm(run_timm, tmp_path):
    model = network("skresnet18")
    randomize(model)
    save_file(keras_sknet.to_timm(model), tmp_path / "skresnet18.safetensors")
    run_timm(tmp_path, "skresnet18")  # loads what is there, strictly
    assert_equal(model, tmp_path / "skresnet18.npz")


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_GRADIENTS)
def test_every_gradient_of_a_training_step_equals_timms(name, run_timm, tmp_path):
    """Batch normalization takes the batch's statistics; in float64, as rounding grows with depth."""
    run_timm(tmp_path, name, "--gradients")
    with np.load(tmp_path / f"{name}.npz") as file:
        answers = dict(file)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    model = network(name)
    weights = load_file(tmp_path / f"{name}.safetensors")
    keras_sknet.load_timm(model, weights)
    with tf.GradientTape() as tape:
        logits = model(answers["images"], training=True)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(answers["labels"], logits)
    assert relative_difference(loss, answers["loss"]) < 1e-6

    # Gradients have the names and layouts of the weights.
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        weight.assign(gradient)
    gradients = keras_sknet.to_timm(model)
    names = {key for key in weights if "running_" not in key and "num_batches" not in key}
    assert {f"gradient {key}" for key in names} == answers.keys() - {"images", "labels", "loss"}
    for key in names:
        assert np.any(answers[f"gradient {key}"]), key
        assert relative_difference(gradients[key], answers[f"gradient {key}"]) < 1e-5, key
