import dataclasses

import keras
import numpy as np
import pytest

from keras_sknet.training import DIGITS, Recipe, Schedule
from nets import tiny

RECIPE = Recipe(epochs=10, batch_size=8, learning_rate=0.4)


def rates(schedule, steps):
    return [float(schedule(step)) for step in steps]


def test_the_cosine_warms_up_and_ends_at_zero():
    schedule = dataclasses.replace(RECIPE, warmup=0.2).schedule(80)
    np.testing.assert_allclose(rates(schedule, (0, 10, 20, 60, 100)), [0, 0.2, 0.4, 0.2, 0], atol=1e-6)


def test_milestones_divide_by_ten():
    recipe = Recipe(epochs=100, batch_size=256, learning_rate=0.1, warmup=0, milestones=(30, 60, 90))
    found = rates(recipe.schedule(2560), (0, 299, 300, 599, 600, 899, 900, 999))
    np.testing.assert_allclose(found, [0.1, 0.1, 1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4], rtol=1e-5)
    warm = dataclasses.replace(recipe, warmup=0.1).schedule(2560)
    np.testing.assert_allclose(rates(warm, (0, 50, 100, 300)), [0, 0.05, 0.1, 1e-2], atol=1e-7)


@pytest.mark.parametrize("epochs, milestones", [(50, (15, 30, 45)), (10, (3, 6, 9)), (1, (0.3, 0.6, 0.9))])
def test_milestones_keep_their_share_of_the_epochs(epochs, milestones):
    recipe = Recipe(epochs=100, batch_size=8, learning_rate=0.1, warmup=0, milestones=(30, 60, 90))
    recipe = recipe.with_epochs(epochs)
    assert recipe.milestones == pytest.approx(milestones)
    found = rates(recipe.schedule(80), (0, 3 * epochs - 1, 3 * epochs, 9 * epochs, 10 * epochs - 1))
    np.testing.assert_allclose(found, [0.1, 0.1, 1e-2, 1e-4, 1e-4], rtol=1e-5)


def test_a_schedule_survives_saving():
    schedule = Schedule(0.3, 100, 5, (40, 80))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert rates(again, range(0, 100, 9)) == rates(schedule, range(0, 100, 9))


def test_the_linear_rule():
    doubled = DIGITS.with_batch_size(2 * DIGITS.batch_size)
    assert doubled.learning_rate == 2 * DIGITS.learning_rate
    assert dataclasses.replace(doubled, batch_size=64, learning_rate=0.2) == DIGITS


def test_compiles_what_it_says():
    model = tiny()
    recipe = Recipe(10, 8, 0.4, weight_decay=1e-4, average=0.99, accumulation=2)
    recipe.compile(model, images=87)
    optimizer = model.optimizer
    # Keras averages twice an update: that makes 0.99.
    assert (optimizer.momentum, optimizer.l2, optimizer.ema_momentum) == (0.9, 1e-4, 0.99**0.5)
    assert optimizer.use_ema and optimizer.gradient_accumulation_steps == 2
    assert recipe.steps(87) == 21 and recipe.step_size == 4
    assert model.loss.label_smoothing == 0.1 and not model.loss.from_logits
    assert RECIPE.compile(tiny(classifier_activation=None), 8) is None


def test_logits_and_probabilities_have_the_same_loss():
    losses = []
    for activation in (None, "softmax"):
        keras.utils.set_random_seed(0)
        model = tiny(classifier_activation=activation)
        RECIPE.compile(model, 8)
        x = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3))
        losses.append(model.evaluate(x, np.eye(5)[np.arange(8) % 5], verbose=0)[0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize(
    "options, text",
    [
        ({"epochs": 0}, "`epochs` must be a positive integer. Received: epochs=0"),
        ({"batch_size": 1.5}, "`batch_size` must be"),
        ({"learning_rate": 0}, "`learning_rate` must be above 0"),
        ({"warmup": 1}, "`warmup` must be from 0 to below 1. Received: warmup=1"),
        ({"average": 1.0}, "`average` must be from 0 to below 1"),
        ({"weight_decay": -1}, "`weight_decay` must be 0 or more"),
        ({"precision": "float16"}, "`precision` must be one of"),
        ({"milestones": (6, 3)}, "`milestones` must be rising epochs below `epochs`"),
        ({"milestones": (3, 10)}, "Received: milestones=\\(3, 10\\), epochs=10"),
        ({"accumulation": 3}, "`accumulation` must be a divisor of `batch_size`"),
    ],
)
def test_mistakes_are_named(options, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(RECIPE, **options)


def test_more_images_a_batch_than_there_are():
    with pytest.raises(ValueError, match="`batch_size` must be no more than .* batch_size=8, images=7"):
        RECIPE.steps(7)


@pytest.mark.parametrize("accumulation", [1, 4])
def test_the_average_moves_with_each_update(accumulation):
    layer = keras.layers.Dense(2, use_bias=False, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((1,)), layer, keras.layers.Softmax()])
    Recipe(9, 4, 1.0, average=0.9, accumulation=accumulation).compile(model, images=4)
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    for value in (1.0, 2.0):  # at the first of which the average starts
        layer.kernel.assign([[value, value]])
        for _ in range(accumulation):
            optimizer.apply([np.zeros((1, 2), "float32")])
    (average,) = [v.numpy() for v in optimizer.variables if v.name.endswith("_average")]
    np.testing.assert_allclose(average, 0.9 * 1 + 0.1 * 2, rtol=1e-6)


def test_what_images_must_measure_depends_on_the_crop():
    assert RECIPE.smallest(32) == dataclasses.replace(RECIPE, crop="padded").smallest(32) == 32
    assert dataclasses.replace(RECIPE, crop="resized").smallest((32, 48)) is None


def test_the_loss_takes_probabilities_for_what_they_are():
    """Wherever the softmax stands."""
    network, logits = tiny(), tiny(classifier_activation=None)
    inputs = keras.Input((32, 32, 3))
    linear = keras.layers.Activation("linear", dtype="float32")
    probabilities = [
        network,
        keras.Model(inputs, network(inputs)),
        keras.Model(inputs, keras.layers.Softmax()(logits(inputs))),
        keras.Model(inputs, linear(network(inputs))),
        keras.Sequential([inputs, keras.layers.RandomFlip(), network]),
        keras.Model(inputs, keras.layers.Activation("softmax")(logits(inputs))),
        keras.Model(inputs, keras.ops.softmax(logits(inputs))),
    ]
    others = [logits, keras.Model(inputs, logits(inputs)), keras.Model(inputs, linear(logits(inputs)))]
    for model in probabilities + others:
        RECIPE.compile(model, 8)
        assert model.loss.from_logits == (model in others)
