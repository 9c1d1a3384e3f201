import dataclasses

import keras
import numpy as np
import pytest

import keras_sknet
from keras_sknet.data import Digits, digits
from keras_sknet.training import Recipe, finetune
from nets import tiny

HEAD = Recipe(epochs=1, batch_size=16, learning_rate=0.05)
WHOLE = dataclasses.replace(HEAD, learning_rate=0.005)


@pytest.fixture(autouse=True)
def few_digits(monkeypatch):
    monkeypatch.setitem(digits.SPLITS, "train", (0, 16))
    monkeypatch.setitem(digits.SPLITS, "validation", (1300, 1310))


def weights(model, frozen):
    """Of the stem and stages 2 to 4, or of what is behind them, by path."""
    behind = ("sk_5", "predictions")
    return {
        weight.path: weight.numpy() for weight in model.weights if weight.path.startswith(behind) != frozen
    }


def test_frozen_stages_stay_first_and_move_later(tmp_path):
    keras.utils.set_random_seed(0)
    base = tiny()
    before = base.get_weights()
    model = keras_sknet.replace_classifier(base, Digits.class_names)
    start = weights(model, frozen=True)
    (first, second), best = finetune(
        model, Digits("train"), Digits("validation"), tmp_path, head=HEAD, whole=WHOLE, verbose=False
    )
    assert len(first) == len(second) == best == 1
    head = keras.models.load_model(tmp_path / "frozen" / "model.keras")
    assert head.get_layer("predictions").class_names == Digits.class_names
    for path, value in weights(head, frozen=True).items():
        np.testing.assert_array_equal(value, start[path])  # moving statistics too
    whole = keras.models.load_model(tmp_path / "model.keras")
    moved = [np.any(value != start[path]) for path, value in weights(whole, frozen=True).items()]
    assert len(moved) > 30 and np.mean(moved) > 0.9
    # The second part starts where the first one ends.
    kernels = [model.get_layer("predictions").kernel.numpy() for model in (head, whole)]
    assert 0 < np.abs(kernels[0] - kernels[1]).max() < 0.02 < np.abs(kernels[0]).max()
    assert len(base.get_weights()) == len(before)


def test_a_callback_that_stops_the_first_part_stops_all_of_it_until_the_next_call(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    def run(folder, *callbacks):
        folder.mkdir(exist_ok=True)
        keras.utils.set_random_seed(0)
        model = keras_sknet.replace_classifier(tiny(), Digits.class_names)
        sources = Digits("train"), Digits("validation")
        options = {"head": HEAD, "whole": WHOLE, "verbose": False}
        return model.get_weights, finetune(model, *sources, folder, callbacks=callbacks, **options)

    _, stopped = run(tmp_path / "stopped", Stop())
    assert stopped == (([], []), None)
    resumed, result = run(tmp_path / "stopped")
    whole, expected = run(tmp_path / "whole")
    assert result == expected
    for one, other in zip(resumed(), whole(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_new_classifier_shares_the_rest():
    base = tiny(class_names=list("abcde"))
    model = keras_sknet.replace_classifier(base, ["cat", "dog"], activation=None)
    assert model.output_shape == (None, 2) and base.output_shape == (None, 5)
    assert model.get_layer("predictions").class_names == ("cat", "dog")
    assert model.layers[:-1] == base.layers[:-1]
    assert keras_sknet.replace_classifier(base, np.int64(3)).output_shape == (None, 3)
    features = tiny(include_top=False)
    assert keras_sknet.replace_classifier(features, 3).output_shape == (None, 3)
    pooled = tiny(include_top=False, pooling="avg")
    assert keras_sknet.replace_classifier(pooled, 3).output_shape == (None, 3)


def test_a_head_that_another_model_called_first_is_replaced_too():
    dense = keras.layers.Dense(7)
    models = [keras.Model(x, dense(keras.layers.Dense(4)(x))) for x in (keras.Input((3,)), keras.Input((3,)))]
    for model in models:
        new = keras_sknet.replace_classifier(model, 2)
        assert new.count_params() == 3 * 4 + 4 + 4 * 2 + 2


def test_a_model_with_layers_in_front_of_the_network_keeps_them():
    inputs = keras.Input((32, 32, 3))
    flipped = keras.layers.RandomFlip()(inputs)
    model = keras_sknet.SKNetThin(weights="cifar10", input_tensor=flipped, classes=3)
    trained = keras_sknet.SKNetThin(weights="cifar10")
    for layer in trained.layers[1:-1]:
        assert all(map(np.array_equal, model.get_layer(layer.name).get_weights(), layer.get_weights()))
    again = keras_sknet.replace_classifier(keras.Model(inputs, model(flipped)), 4)
    assert again.output_shape == (None, 4)
    assert again.layers[-1].kernel.shape == model.layers[-1].kernel.shape[:1] + (4,)  # of its features
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    features = keras.Model(model.input, model.layers[-1].input)(images, training=False)
    np.testing.assert_allclose(again(images, training=False), again.layers[-1](features), atol=1e-6)


@pytest.mark.parametrize("behind", ["softmax", "operation", "sequential", "names"])
def test_a_classifier_is_found_behind_and_inside(behind):
    """The features before it are what the new one is given, and names are free."""
    base = tiny(classifier_activation=None)
    width = base.layers[-1].kernel.shape[0]
    if behind == "softmax":
        model = keras.Model(base.input, keras.layers.Activation("softmax", dtype="float32")(base.output))
    elif behind == "operation":
        model = keras.Model(base.input, keras.ops.sigmoid(base.output))
    elif behind == "sequential":
        model = keras.Sequential([base.input, keras.layers.RandomFlip(), base, keras.layers.Softmax()])
    else:
        second = keras.layers.Dense(7, "relu", name="second")(base.output)
        model = keras.Model(base.input, keras.layers.Dense(3)(second))
        width = 7
    new = keras_sknet.replace_classifier(model, 2)
    assert new.layers[-1].kernel.shape == (width, 2)
    assert new.layers[-1].name == ("predictions_1" if behind == "names" else "predictions")
    new.compile("sgd", "sparse_categorical_crossentropy")
    images = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3))
    before = [weight.numpy() for weight in base.layers[4].trainable_weights]
    new.fit(images, np.arange(4) % 2, verbose=0)
    assert any(np.any(w != b) for w, b in zip(base.layers[4].trainable_weights, before, strict=True))
