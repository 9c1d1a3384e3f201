import keras
import numpy as np
import pytest

import keras_sknet
from keras_sknet.training import SGD, Schedule
from nets import tiny

IMAGES = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3)).astype("float32")


def trained(optimizer, options):
    keras.utils.set_random_seed(0)
    model = tiny(depths=(1, 1, 1))
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    model.compile(optimizer(schedule, **options), "sparse_categorical_crossentropy")
    model.fit(IMAGES, np.arange(8) % 5, batch_size=4, epochs=3, shuffle=False, verbose=0)
    return [np.asarray(w) for w in model.get_weights() + [v.numpy() for v in model.optimizer.variables]]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        *(
            pytest.param({"momentum": 0.9, **others}, marks=pytest.mark.slow)
            for others in (
                {"weight_decay": 1e-2, "global_clipnorm": 1.0},
                {"gradient_accumulation_steps": 2},
                {"use_ema": True},
            )
        ),
    ],
    ids=str,
)
def test_trains_as_keras_does(options):
    # One multiply-add is rounded once where Keras rounds twice.
    for ours, theirs in zip(trained(SGD, options), trained(keras.optimizers.SGD, options), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5 * max(np.abs(theirs).max(), 1))


def test_survives_saving_with_its_state(tmp_path):
    model = tiny(depths=(1, 1, 1))
    model.compile(SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    model.fit(IMAGES, np.arange(8) % 5, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is SGD
    for ours, theirs in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def numpy_sgd(weights, gradients, rates, momentum, l2, decays):
    """Caffe's rule: the decay is a part of the gradient, the rate of the velocity."""
    velocity = [np.zeros_like(w) for w in weights]
    for gradient, rate in zip(gradients, rates, strict=True):
        for i, g in enumerate(gradient):
            g = g + l2 * weights[i] if decays[i] else g
            velocity[i] = momentum * velocity[i] - rate * g
            weights[i] = weights[i] + velocity[i]
    return weights


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_ten_steps_of_weight_decay_equal_numpy(momentum):
    layers = [
        keras.Input((8, 8, 4)),
        keras_sknet.GroupedConv2D(4, 3, groups=2, use_bias=True),
        keras_sknet.BatchNormalization(),
        keras_sknet.Classifier(3),
    ]
    variables = keras.Sequential(layers).trainable_variables
    decays = [name == "kernel" for name in ("kernel", "bias", "gamma", "beta", "kernel", "bias")]
    random = np.random.default_rng(0)
    gradients = [[random.normal(size=v.shape) for v in variables] for _ in range(10)]
    for variable in variables:
        variable.assign(random.normal(size=variable.shape))
    expected = [v.numpy().astype("float64") for v in variables]
    start = [w.copy() for w in expected]
    schedule = Schedule(0.1, 10)
    rates = [float(schedule(step)) for step in range(10)]
    expected = numpy_sgd(expected, gradients, rates, momentum, 0.03, decays)
    optimizer = SGD(schedule, momentum=momentum, l2=0.03)
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(g, "float32") for g in gradient], variables)
    plain = numpy_sgd(start, gradients, rates, momentum, 0, decays)
    for variable, value, undecayed, decay in zip(variables, expected, plain, decays, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-4, atol=1e-5)
        assert (np.abs(variable.numpy() - undecayed).max() > 1e-3) == decay


def test_a_negative_decay_is_refused():
    with pytest.raises(ValueError, match="`l2` must be 0 or more. Received: l2=-1"):
        SGD(l2=-1)


def test_the_decay_survives_saving():
    assert SGD.from_config(SGD(0.1, l2=1e-4).get_config()).l2 == 1e-4


LOAD = """
import sys

import keras

import keras_sknet

assert "keras_sknet.training" not in sys.modules
optimizer = keras.saving.load_model(sys.argv[1]).optimizer
print(type(optimizer).__name__, optimizer.l2, type(optimizer._learning_rate).__name__)
"""


def test_a_compiled_model_loads_after_the_plain_import(tmp_path, run_python):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile(SGD(Schedule(0.1, 10), momentum=0.9, l2=0.5), "mse")
    model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)
    model.save(tmp_path / "model.keras")
    assert run_python(LOAD, tmp_path / "model.keras") == "SGD 0.5 Schedule\n"
