import keras
import numpy as np
import pytest

from keras_sknet.training import SGD
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
