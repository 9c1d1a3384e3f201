import inspect
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_sknet
from checks import relative_difference
from nets import tiny

NETWORKS = (
    *("SKNet26", "SKNet50", "SKNet101", "SKNetSmall", "ResNeXt50", "ResNeXt101", "SENet50", "SENet101"),
    *("SKResNet18", "SKResNet34"),
    *("CBAMResNeXt50", "CBAMResNeXt101", "BAMResNeXt50", "BAMResNeXt101"),
    *("SKNet29", "SENet29", "ResNeXt29_8x64d", "ResNeXt29_16x32d", "ResNeXt29_16x64d"),
)
# One of each kind of block; the others differ in depth or width, of which these are the extremes.
DEEP = ("SKNet101", "SKNet29")
QUICK = ("SKNet50", "SKNetSmall", "SENet50", "SKResNet18", "CBAMResNeXt50", "BAMResNeXt50", "ResNeXt29_8x64d")


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in DEEP)])
def test_full_depth_at_tiny_width_gives_every_weight_a_gradient(name):
    depths = inspect.signature(getattr(keras_sknet, name)).parameters["depths"].default
    # With 16 a gate of these few channels has one unit, which may be dead.
    options = {"reduction": 2} if name.startswith("BAM") else {}
    model = tiny(name, depths=depths, input_shape=(64, 64, 3), **options)
    x = np.random.default_rng(0).uniform(0, 255, (4, 64, 64, 3)).astype("float32")

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.math.log(model(x, training=True)) * [1.0, 2.0, 3.0, 4.0, 5.0])
        return tape.gradient(loss, [w.value for w in model.trainable_weights])

    for weight, gradient in zip(model.trainable_weights, gradients(), strict=True):
        assert gradient is not None and np.isfinite(gradient).all(), weight.path
        # Batch normalization takes BAM's biases out again, as in its authors' code.
        idle = "/bam/" in weight.path and weight.path.endswith("/bias")
        assert np.abs(gradient).max() > 0 or idle, weight.path


@pytest.mark.parametrize("name", NETWORKS)
def test_is_a_plain_functional_model_with_its_own_name_and_help(name):
    network = getattr(keras_sknet, name)
    assert inspect.signature(network).parameters["name"].default == name.lower()
    assert network.__name__ == name and f"keras_sknet.{name}(" in network.__doc__
    for parameter in inspect.signature(network).parameters:
        assert f"        {parameter}: " in network.__doc__, parameter
    model = tiny(name)
    assert type(model).__name__ == "Functional" and model.name == name.lower()


def test_signature_begins_as_those_of_keras_applications():
    ours = list(inspect.signature(keras_sknet.SKNet50).parameters)
    theirs = list(inspect.signature(keras.applications.ResNet50).parameters)
    assert ours[: len(theirs)] == theirs


def test_blocks_are_named_by_stage_and_block():
    model = tiny(depths=(1, 2, 3, 1))
    names = [layer.name for layer in model.layers if layer.name.startswith("sk_")]
    assert names == ["sk_2_1", "sk_3_1", "sk_3_2", "sk_4_1", "sk_4_2", "sk_4_3", "sk_5_1"]
    assert [layer.name for layer in model.layers[:3]][1:] == ["normalization", "stem"]


@pytest.mark.parametrize(
    "options, output_shape",
    [
        ({}, (None, 5)),
        ({"include_top": False}, (None, 1, 1, 32)),
        ({"include_top": False, "input_shape": None}, (None, None, None, 32)),
        ({"include_top": False, "pooling": "avg"}, (None, 32)),
        ({"include_top": False, "pooling": "max", "input_shape": (None, 64, 3)}, (None, 32)),
        ({"include_top": False, "input_shape": (97, 131, 3)}, (None, 4, 5, 32)),
        ({"include_top": False, "input_shape": (97, 131, 3), "stem_padding": "torch"}, (None, 4, 5, 32)),
        ({"include_top": False, "depths": (1, 1, 1)}, (None, 2, 2, 16)),
        ({"include_top": False, "stem": "cifar"}, (None, 4, 4, 32)),
        ({"include_preprocessing": False, "input_shape": (32, 32, 7)}, (None, 5)),
        ({"input_shape": (None, None, 3)}, (None, 5)),
    ],
    ids=str,
)
def test_shapes(options, output_shape):
    model = tiny(**options)
    assert model.output_shape == output_shape
    shape = [size or 33 for size in model.input_shape[1:]]
    y = model(np.zeros((2, *shape), "float32"), training=False)
    assert y.shape[1:] == tuple(a or b for a, b in zip(output_shape[1:], y.shape[1:], strict=True))


def test_default_input_is_224_with_a_top():
    assert tiny(input_shape=None).input_shape == (None, 224, 224, 3)


def test_builds_on_a_tensor_of_the_users():
    image = keras.Input((40, 40, 3))
    model = tiny(input_tensor=keras.layers.Resizing(32, 32)(image), input_shape=None)
    assert model.inputs[0] is image
    assert model(np.zeros((1, 40, 40, 3)), training=False).shape == (1, 5)
    nested = keras.Sequential([keras.Input((32, 32, 3)), tiny(include_top=False, pooling="avg")])
    assert nested.output_shape == (None, 32)


def test_class_names_and_preprocessing_travel_in_the_saved_file(run_python, tmp_path):
    model = tiny(class_names=list("abcde"), classifier_activation=None)
    x = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    printed = run_python(
        "import sys, numpy as np, keras, keras_sknet\n"
        "model = keras.saving.load_model(sys.argv[1] + '/model.keras')\n"
        "np.save(sys.argv[1] + '/y.npy', model(np.load(sys.argv[1] + '/x.npy')))\n"
        "print(*model.get_layer('predictions').class_names, model.get_layer('normalization').crop_fraction)",
        tmp_path,
    )
    assert printed.split() == [*"abcde", "0.875"]
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model(x), atol=1e-6)


def test_weights_files_load_by_path(tmp_path):
    model = tiny()
    for file in ("net.weights.h5", "net.keras"):
        path = tmp_path / file
        model.save_weights(path) if file.endswith(".h5") else model.save(path)
        copy = tiny(weights=path)
        for a, b in zip(model.get_weights(), copy.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_probabilities_keep_the_variable_dtype(policy):
    keras.config.set_dtype_policy(policy)
    model = tiny()
    y = model(np.zeros((1, 32, 32, 3)))
    assert keras.backend.standardize_dtype(y.dtype) == keras.config.dtype_policy().variable_dtype
    assert model.get_layer("sk_3_1").compute_dtype == keras.config.dtype_policy().compute_dtype


def test_networks_can_be_sent_to_other_processes():
    for network in (keras_sknet.SKNet50, keras_sknet.ResNeXt29_8x64d, keras_sknet.SKNetThin):
        assert pickle.loads(pickle.dumps(network)) is network


@pytest.mark.parametrize(
    "network, trainable, multiply_adds",
    [("SKNetSmall", 161_058, 16_101_376), ("SKNetThin", 371_890, 9_853_824)],
)
def test_counts_of_the_small_nets(network, trainable, multiply_adds):
    counts = keras_sknet.complexity(getattr(keras_sknet, network)())
    assert (counts.trainable_parameters, counts.multiply_adds) == (trainable, multiply_adds)


@pytest.mark.slow
def test_full_size_network_runs_and_normalizes_raw_images_itself():
    model = keras_sknet.SKNet50(classifier_activation=None)
    bare = keras_sknet.SKNet50(classifier_activation=None, include_preprocessing=False)
    bare.set_weights(model.get_weights())
    x = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype("float32")
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    logits = model.predict(x, verbose=0)
    assert logits.shape == (1, 1000)
    assert relative_difference(bare.predict((x / 255 - mean) / std, verbose=0), logits) < 1e-5
