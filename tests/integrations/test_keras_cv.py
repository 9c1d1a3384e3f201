import importlib
import sys
import warnings

import keras
import keras_cv
import numpy as np
import pytest
from backbones import NO_NETWORKS, X, assert_equal_predictions, layers_that_stay, network

from checks import relative_difference
from keras_sknet import GroupedConv2D, feature_pyramid, freeze_stages, replace_grouped_convolutions
from keras_sknet.integrations.keras_cv import SKNetBackbone
from keras_sknet.ops._private import flatten_layers
from nets import tiny

pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="KerasCV's data and losses need it"),
    # KerasCV calls its models of named or listed inputs with a tensor alone.
    pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't:UserWarning:keras.src.models"),
]
MASKS = np.random.default_rng(0).integers(0, 4, (2, 64, 64))
OBJECTS = {
    "boxes": np.array([[[4, 4, 36, 36], [-1] * 4], [[8, 8, 40, 40], [20, 20, 60, 60]]], "float32"),
    "classes": np.array([[0, -1], [2, 1]], "float32"),
}


def detector(backbone):
    head = keras_cv.models.retinanet.PredictionHead
    zeros = keras.initializers.Zeros()
    return keras_cv.models.RetinaNet(
        backbone, 3, "xyxy", classification_head=head(27, zeros, 1), box_head=head(36, zeros, 1)
    )


def segmenter(backbone):
    return keras_cv.models.DeepLabV3Plus(backbone, num_classes=4)


def train(model):
    if isinstance(model, keras_cv.models.RetinaNet):
        model.compile(optimizer="sgd", box_loss="smoothl1", classification_loss="focal", jit_compile=False)
        labels = OBJECTS
    else:
        model.compile("sgd", "sparse_categorical_crossentropy")
        labels = MASKS
    (loss,) = model.fit(X, labels, batch_size=2, verbose=0).history["loss"]
    assert np.isfinite(loss)


def saved_and_loaded(model, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


@pytest.mark.parametrize("name", ["SKNet50", "SENet50"])
@pytest.mark.parametrize("include_top", [True, False])
def test_backbone_is_the_network_without_its_top(name, include_top):
    model = network(name=name, include_top=include_top)
    backbone = SKNetBackbone(model)
    assert backbone.name == f"{model.name}_backbone"
    levels = feature_pyramid(model)(X)
    extractor = keras.Model(
        backbone.input,
        {level: backbone.get_layer(name).output for level, name in backbone.pyramid_level_inputs.items()},
    )
    assert {level: y.shape[1:] for level, y in extractor(X).items()} == {
        "P2": (16, 16, 8),
        "P3": (8, 8, 16),
        "P4": (4, 4, 16),
        "P5": (2, 2, 32),
    }
    for level, y in extractor(X).items():
        np.testing.assert_array_equal(y, levels[level])
    np.testing.assert_array_equal(backbone(X), levels["P5"])


def test_names_of_levels_follow_the_depths_and_the_stem():
    three = SKNetBackbone(tiny(depths=(1, 1, 2)))
    assert three.pyramid_level_inputs == {"P2": "sk_2_1", "P3": "sk_3_1", "P4": "sk_4_2"}
    cifar = SKNetBackbone(tiny(depths=(1, 1, 1), stem="cifar"), name="mine")
    assert list(cifar.pyramid_level_inputs) == ["P0", "P1", "P2"] and cifar.name == "mine"


def test_backbone_is_saved_with_its_weights_levels_and_preprocessing(tmp_path):
    backbone = SKNetBackbone(network(input_shape=(None, None, 3)))
    loaded = saved_and_loaded(backbone, tmp_path)
    assert type(loaded) is SKNetBackbone and loaded.name == backbone.name
    for new, old in zip(loaded.layers[1:], backbone.layers[1:], strict=True):
        assert type(new) is type(old) and new.get_config() == old.get_config()
    assert loaded.pyramid_level_inputs == backbone.pyramid_level_inputs
    np.testing.assert_array_equal(loaded(X), backbone(X))
    np.testing.assert_array_equal(feature_pyramid(loaded)(X)["P3"], feature_pyramid(backbone)(X)["P3"])


@NO_NETWORKS
def test_what_is_no_network_of_this_package_is_refused(model, requirement):
    with pytest.raises(ValueError, match=f"`model` must be {requirement}"):
        SKNetBackbone(model())


def test_importing_without_keras_cv_names_the_extra(uninstalled, monkeypatch):
    uninstalled("keras_cv")
    monkeypatch.delitem(sys.modules, "keras_sknet.integrations.keras_cv")
    with pytest.raises(ImportError, match=r'^keras-cv is not installed: pip install "keras_sknet\[cv\]"$'):
        importlib.import_module("keras_sknet.integrations.keras_cv")


def freeze_all(backbone):
    backbone.trainable = False
    return {"stem", "sk_2_1", "sk_3_1", "sk_3_2", "sk_4_1", "sk_5_1"}


def freeze_three(backbone):
    freeze_stages(backbone, 3)
    return {"stem", "sk_2_1", "sk_3_1", "sk_3_2"}


@pytest.mark.parametrize(
    "build, freeze",
    [
        pytest.param(detector, freeze_all, marks=pytest.mark.slow),
        pytest.param(detector, freeze_three, marks=pytest.mark.slow),
        (segmenter, freeze_three),
    ],
)
def test_frozen_stages_neither_train_nor_thaw_in_a_file(build, freeze, tmp_path):
    model = build(SKNetBackbone(network()))
    frozen = freeze(model.backbone)
    loaded = saved_and_loaded(model, tmp_path)
    assert_equal_predictions(loaded, model)
    assert len(loaded.trainable_weights) == len(model.trainable_weights)

    assert layers_that_stay(loaded.backbone, lambda: train(loaded)) == frozen


def test_backbone_is_frozen_from_the_start_on_demand():
    model = network()
    freeze_stages(model, 2)
    assert len(SKNetBackbone(model).trainable_weights) == len(model.trainable_weights) > 0
    assert SKNetBackbone(model, trainable=False).trainable_weights == []


def test_two_tasks_share_a_backbone():
    backbone = SKNetBackbone(network())
    segment, detect = segmenter(backbone), detector(backbone)
    before = detect(X)["box"]
    train(segment)
    assert relative_difference(detect(X)["box"], before) > 1e-4
    shared = set(map(id, segment.weights)) & set(map(id, detect.weights))
    assert shared == set(map(id, backbone.weights))


def xla_functions(model):
    """How many parts of a training step XLA must compile."""
    import tensorflow as tf

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x, training=True))
        return tape.gradient(loss, [weight.value for weight in model.trainable_weights])

    graph = step.get_concrete_function(tf.TensorSpec(X.shape)).graph.as_graph_def()
    return sum(function.attr["_XlaMustCompile"].b for function in graph.library.function)


def test_grouped_convolutions_stay_and_training_needs_no_xla():
    model = segmenter(SKNetBackbone(network()))
    grouped = [
        layer
        for layer in flatten_layers(model)
        if isinstance(layer, keras.layers.Conv2D) and layer.groups > 1
    ]
    assert len(grouped) == 10 and {type(layer) for layer in grouped} == {GroupedConv2D}
    assert xla_functions(model) == 0
    # Keras' own grouped convolution is what would need it.
    x = inputs = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(4, 3, groups=4)(keras.layers.Conv2D(4, 1)(x))
    assert xla_functions(keras.Model(inputs, x)) > 0


@pytest.mark.parametrize("build, dilated", [(detector, 0), (segmenter, 3)])
def test_grouped_convolutions_of_a_whole_task_can_be_replaced(build, dilated):
    model = build(SKNetBackbone(network()))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        copy = replace_grouped_convolutions(model)
    # The spatial pyramid makes its dilated convolutions by itself.
    texts = [str(warning.message) for warning in caught]
    assert sum(text.count("(channels_last)") for text in texts if "stay as they are" in text) == dilated
    for got, want in zip(keras.tree.flatten(copy(X)), keras.tree.flatten(model(X)), strict=True):
        assert relative_difference(got, want) < 1e-5


@pytest.mark.parametrize("build", [pytest.param(detector, marks=pytest.mark.slow), segmenter])
def test_mixed_bfloat16_trains_and_predicts(build):
    # Weights of seeds 1 to 3 round the detector's outputs by 0.02, those of seed 0 by 0.05.
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy("mixed_bfloat16")
    mixed = build(SKNetBackbone(network()))
    assert mixed.backbone(X).dtype == "bfloat16"
    assert {weight.dtype for weight in mixed.trainable_weights} == {"float32"}
    keras.config.set_dtype_policy("float32")
    plain = build(SKNetBackbone(network()))
    plain.set_weights(mixed.get_weights())
    for got, want in zip(keras.tree.flatten(mixed(X)), keras.tree.flatten(plain(X)), strict=True):
        assert relative_difference(keras.ops.cast(got, "float32"), want) < 0.05
    train(mixed)
