import importlib
import sys

import keras
import keras_hub
import numpy as np
import pytest
from backbones import NO_NETWORKS, SIZE, X, assert_equal_predictions, layers_that_stay, network

import keras_sknet
from checks import relative_difference
from keras_sknet import feature_pyramid, freeze_stages
from keras_sknet.integrations import keras_cv as cv
from keras_sknet.integrations.keras_hub import SKNetBackbone, SKNetImageClassifier

pytestmark = [
    # It calls its models of listed inputs with a tensor alone, as KerasCV does.
    pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't:UserWarning:keras.src.models"),
    # KerasHub's own: it shuffles data that it has batched, and its tasks compile in their own way.
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning"),
    pytest.mark.filterwarnings("ignore:`compile..` was not called as part of model loading:UserWarning"),
]


def classifier(backbone):
    return SKNetImageClassifier(backbone, num_classes=3, activation="softmax")


def detector(backbone):
    pyramid = keras_hub.models.RetinaNetBackbone(
        backbone, min_level=3, max_level=5, use_p5=False, image_shape=SIZE
    )
    return keras_hub.models.RetinaNetObjectDetector(
        pyramid, num_classes=3, bounding_box_format="xyxy", pre_logits_num_conv_layers=1
    )


def segmenter(backbone):
    decoder = keras_hub.models.DeepLabV3Backbone(
        backbone,
        spatial_pyramid_pooling_key="P5",
        low_level_feature_key="P2",
        upsampling_size=8,
        dilation_rates=[1, 2],
        image_shape=SIZE,
    )
    return keras_hub.models.DeepLabV3ImageSegmenter(decoder, num_classes=4, activation="softmax")


def train(model):
    if isinstance(model, keras_hub.models.ImageClassifier):
        model.compile("sgd", "sparse_categorical_crossentropy")
        labels = np.array([0, 2])
    elif isinstance(model, keras_hub.models.ImageObjectDetector):
        focal = keras.losses.BinaryFocalCrossentropy(from_logits=True, reduction="sum")
        huber = keras.losses.Huber(reduction="sum")
        model.compile("sgd", box_loss=huber, classification_loss=focal)
        boxes = [[[4, 4, 36, 36], [-1] * 4], [[8, 8, 40, 40], [20, 20, 60, 60]]]
        labels = {"boxes": np.array(boxes, "float32"), "labels": np.array([[0, -1], [2, 1]], "float32")}
    else:
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["sparse_categorical_accuracy"])
        labels = np.random.default_rng(0).integers(0, 4, (2, 64, 64))
    (loss,) = model.fit(X, labels, batch_size=2, verbose=0).history["loss"]
    assert np.isfinite(loss)


@pytest.mark.parametrize("include_top", [True, False])
def test_backbone_is_the_network_without_its_top(include_top):
    model = network(include_top=include_top)
    backbone = SKNetBackbone(model)
    assert backbone.name == f"{model.name}_backbone" and backbone.image_shape == SIZE
    assert {id(weight) for weight in backbone.weights} <= {id(weight) for weight in model.weights}
    got = keras.Model(backbone.input, backbone.pyramid_outputs)(X)
    want = feature_pyramid(model)(X)
    assert list(got) == list(want) == ["P2", "P3", "P4", "P5"]
    for level in want:
        np.testing.assert_array_equal(got[level], want[level])
    np.testing.assert_array_equal(backbone(X), want["P5"])


@pytest.mark.parametrize(
    "build", [classifier, segmenter, pytest.param(detector, marks=pytest.mark.slow)], ids=lambda f: f.__name__
)
def test_a_task_trains_and_comes_back_from_a_file_as_frozen_as_it_was(build, tmp_path):
    backbone = SKNetBackbone(network())
    freeze_stages(backbone, 3)
    model = build(backbone)
    train(model)
    model.save(tmp_path / "task.keras")
    loaded = keras.models.load_model(tmp_path / "task.keras")
    assert type(loaded) is type(model)
    assert_equal_predictions(loaded, model)
    assert len(loaded.trainable_weights) == len(model.trainable_weights) < len(model.weights)

    frozen = {"stem", "sk_2_1", "sk_3_1", "sk_3_2"}
    network_inside = getattr(loaded.backbone, "image_encoder", loaded.backbone)
    assert layers_that_stay(network_inside, lambda: train(loaded)) == frozen


def test_a_preset_gives_the_classifier_and_the_backbone_back(tmp_path):
    backbone = SKNetBackbone(network(input_shape=(None, None, 3)), trainable=False)
    model = classifier(backbone)
    model.save_to_preset(str(tmp_path / "preset"))
    loaded = keras_hub.models.ImageClassifier.from_preset(str(tmp_path / "preset"))
    assert type(loaded) is SKNetImageClassifier
    assert_equal_predictions(loaded, model)
    assert len(loaded.trainable_weights) == len(model.trainable_weights) == 2  # the head's
    alone = keras_hub.models.Backbone.from_preset(str(tmp_path / "preset"))
    assert type(alone) is SKNetBackbone and alone.name == backbone.name
    for new, old in zip(alone.layers[1:], backbone.layers[1:], strict=True):
        assert type(new) is type(old) and new.get_config() == old.get_config()
    assert_equal_predictions(alone, backbone)
    # Else it has the policy of the day, as KerasHub has it.
    mixed = keras_hub.models.Backbone.from_preset(str(tmp_path / "preset"), dtype="mixed_bfloat16")
    assert mixed(X).dtype == "bfloat16" and {weight.dtype for weight in mixed.weights} == {"float32"}
    assert relative_difference(keras.ops.cast(mixed(X), "float32"), backbone(X)) < 0.05


def test_precision_is_that_of_the_layers_whatever_the_policy_was(tmp_path):
    plain = network()
    keras.config.set_dtype_policy("mixed_bfloat16")
    backbone = SKNetBackbone(keras.Model(plain.input, plain.output))
    keras.config.set_dtype_policy("float32")
    mixed = SKNetBackbone(keras_sknet.in_precision(plain, "mixed_bfloat16"))
    for made, policy in ((backbone, "float32"), (mixed, "mixed_bfloat16")):
        made.save(tmp_path / "backbone.keras")
        for other in (made, keras.models.load_model(tmp_path / "backbone.keras")):
            assert other.dtype_policy.name == policy
            assert other(X).dtype == policy.removeprefix("mixed_")


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method:UserWarning")
def test_a_quantized_backbone_is_not_saved_as_if_it_came_back(tmp_path):
    backbone = SKNetBackbone(network())
    backbone.quantize("int8")
    with pytest.raises(ValueError, match="`backbone` must be one that is not quantized, to be saved"):
        backbone.save(tmp_path / "backbone.keras")


def test_another_precision_is_a_copy():
    model = network()
    mixed = SKNetBackbone(model, dtype="mixed_bfloat16")
    assert mixed.dtype_policy.name == "mixed_bfloat16" and classifier(mixed)(X).dtype == "bfloat16"
    assert not {id(weight) for weight in mixed.weights} & {id(weight) for weight in model.weights}
    with pytest.raises(ValueError, match="`policy` must be one of .* Received: policy='bfloat16'"):
        SKNetBackbone(model, dtype="bfloat16")


def test_the_backbones_of_keras_cv_and_keras_hub_do_not_mix_their_files_up(tmp_path):
    model = network()
    for backbone in (SKNetBackbone, cv.SKNetBackbone):
        backbone(model).save(tmp_path / "backbone.keras")
        loaded = keras.models.load_model(tmp_path / "backbone.keras")
        assert type(loaded) is backbone
        np.testing.assert_array_equal(loaded(X), model(X))


@pytest.mark.slow
def test_a_classifier_is_exported(tmp_path):
    model = classifier(SKNetBackbone(network()))
    keras_sknet.export_saved_model(model, tmp_path / "served")  # each verifies what it has written
    report = keras_sknet.export_tflite(model, tmp_path / "model.tflite")
    assert report.difference < 1e-5


@NO_NETWORKS
def test_what_is_no_network_of_this_package_is_refused(model, requirement):
    with pytest.raises(ValueError, match=f"`model` must be {requirement}"):
        SKNetBackbone(model())


def test_importing_without_keras_hub_names_the_extra(uninstalled, monkeypatch):
    uninstalled("keras_hub")
    monkeypatch.delitem(sys.modules, "keras_sknet.integrations.keras_hub")
    with pytest.raises(ImportError, match=r'^keras-hub is not installed: pip install "keras_sknet\[hub\]"$'):
        importlib.import_module("keras_sknet.integrations.keras_hub")
