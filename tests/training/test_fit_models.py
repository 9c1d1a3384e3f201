"""Which models `fit` takes, in which precision, and what it says of others."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from fit_runs import RECIPE, tiny, train
from keras_sknet import ImageNormalization, in_precision
from keras_sknet.data import Digits

pytestmark = pytest.mark.usefixtures("few_digits")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_float32_model_put_in_mixed_precision_trains_in_it(tmp_path, policy):
    def make():
        return in_precision(tiny(), policy)

    for precision in ("float32", policy):
        recipe = dataclasses.replace(RECIPE, epochs=1, precision=precision)
        model, *_ = train(tmp_path / precision, recipe=recipe, make=make)
        # Else small gradients would be nothing in float16.
        scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        assert scaled == (policy == "mixed_float16")
    with pytest.raises(ValueError, match=rf"`model` must be built under .* precision='{policy}', policies="):
        train(tmp_path / "other", recipe=recipe, make=tiny)


def test_a_sequential_model_trains_and_one_that_cannot_be_kept_is_refused_first(tmp_path):
    def sequential():
        return keras.Sequential([keras.Input((32, 32, 3)), keras.layers.RandomFlip(seed=0), tiny()])

    model, history, best = train(
        tmp_path / "run", recipe=dataclasses.replace(RECIPE, epochs=1), make=sequential
    )
    assert best == 1
    images, _ = Digits("validation").arrays()
    kept = keras.models.load_model(tmp_path / "run" / "model.keras")
    np.testing.assert_allclose(kept.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-6)

    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match=r"`model` must be a functional keras.Model, or a Seq.* model='Own'"):
        train(tmp_path / "own", make=Own)
    assert list((tmp_path / "own").iterdir()) == []


def test_a_network_inside_another_model_remembers_the_crop(tmp_path):
    network = tiny()
    (layer,) = (layer for layer in network.layers if isinstance(layer, ImageNormalization))
    assert layer.crop_fraction != 0.5

    def make():
        x = keras.Input((32, 32, 3))
        return keras.Model(x, network(keras.layers.RandomFlip(seed=0)(x)))

    recipe = dataclasses.replace(RECIPE, epochs=1, crop_fraction=0.5)
    train(tmp_path / "run", recipe=recipe, make=make)
    assert layer.crop_fraction == 0.5


def test_a_lack_of_memory_is_no_images_fault(tmp_path):
    class Full(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    with pytest.raises(RuntimeError, match=r"memory is too small .* batch_size=16, accumulation=1$"):
        train(tmp_path / "run", callbacks=[Full()])
    assert not (tmp_path / "run" / "checkpoints").exists()
