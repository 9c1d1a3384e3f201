import keras
import numpy as np
import pytest

from keras_sknet import feature_pyramid, freeze_stages
from nets import tiny

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 64, 64, 3)).astype("float32")


@pytest.mark.parametrize("name", ["SKNet50", "ResNeXt50", "SENet50"])
@pytest.mark.parametrize("include_top", [True, False])
def test_pyramid_has_one_level_a_halving(name, include_top):
    model = tiny(name, include_top=include_top, depths=(1, 2, 1, 1), input_shape=(None, None, 3))
    levels = feature_pyramid(model)(IMAGES)
    assert {level: y.shape[1:] for level, y in levels.items()} == {
        "P2": (16, 16, 8),
        "P3": (8, 8, 16),
        "P4": (4, 4, 16),
        "P5": (2, 2, 32),
    }


def test_pyramid_ends_in_the_models_own_features():
    model = tiny(include_top=False)
    np.testing.assert_array_equal(
        feature_pyramid(model)(IMAGES[:, :32, :32])["P5"], model(IMAGES[:, :32, :32])
    )


def test_pyramid_levels_follow_the_stride_where_the_stem_has_none():
    pyramid = feature_pyramid(tiny(depths=(1, 1, 1), stem="cifar"))
    assert {level: y.shape[1] for level, y in pyramid.output.items()} == {"P0": 32, "P1": 16, "P2": 8}


def test_a_network_whose_layers_are_called_again_has_a_pyramid_of_its_own():
    network = tiny()
    inputs = x = keras.Input((64, 64, 3))
    for layer in network.layers[1:]:
        x = layer(x)
    levels = feature_pyramid(keras.Model(inputs, x))(IMAGES)
    assert levels["P5"].shape == (4, 2, 2, 32)
    for level, y in feature_pyramid(tiny(input_shape=(64, 64, 3)))(IMAGES).items():
        assert levels[level].shape == y.shape


def stage_of(weight):
    for part in weight.path.split("/"):
        if part == "stem":
            return 1
        if part.startswith("sk_"):
            return int(part.split("_")[1])
    return 6


SOME = ((None, 0, False), ("stem", 1, False), (4, 4, False), (4, 4, True))
MORE = ((2, 2, False), (5, 5, False), (None, 0, True), ("stem", 1, True), (2, 2, True), (5, 5, True))


@pytest.mark.parametrize(
    "through, last, nested", [*SOME, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)]
)
def test_frozen_stages_keep_weights_and_statistics_in_a_fit(through, last, nested):
    network = tiny(include_top=not nested, pooling="avg" if nested else None)
    model = network
    if nested:
        model = keras.Sequential([keras.Input((32, 32, 3)), network, keras.layers.Dense(5, "softmax")])
    freeze_stages(model, through)
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.fit(IMAGES[:, :32, :32], np.arange(4), epochs=2, batch_size=4, verbose=0)
    changed = {False: set(), True: set()}
    for old, weight in zip(before, model.weights, strict=True):
        changed[stage_of(weight) <= last].add(not np.array_equal(old, weight))
    assert changed[False] == {True}
    assert changed[True] <= {False}


@pytest.mark.parametrize("nested", [False, True])
def test_a_model_that_was_frozen_as_a_whole_thaws_but_for_its_head(nested):
    model = network = tiny(include_top=not nested, pooling="avg" if nested else None)
    if nested:
        model = keras.Sequential([keras.Input((32, 32, 3)), network, keras.layers.Dense(5)])
    every = model.trainable_weights
    model.trainable = False
    freeze_stages(model, 3)
    stages = {stage_of(weight) for weight in model.trainable_weights}
    assert stages == {4, 5} and not model.layers[-1].trainable
    freeze_stages(model, None)
    assert not model.layers[-1].trainable
    model.layers[-1].trainable = True
    assert len(model.trainable_weights) == len(every)


def test_freezing_again_moves_the_border():
    model = tiny()
    freeze_stages(model, 4)
    freeze_stages(model, "stem")
    assert [layer.name for layer in model.layers if not layer.trainable] == ["normalization", "stem"]
    freeze_stages(model, None)
    assert all(layer.trainable for layer in model.layers)
