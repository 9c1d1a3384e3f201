import dataclasses
import json
import os

import keras
import numpy as np
import pytest

from fit_runs import RECIPE, assert_equal, tiny, train, values
from keras_sknet.data import Digits, digits
from keras_sknet.training import Recipe, accuracy_by_scale, fit, keep_model

pytestmark = pytest.mark.usefixtures("few_digits")


def test_the_same_seed_gives_the_same_weights(finished, tmp_path):
    folder, first, history, best = finished
    again, history_again, _ = train(tmp_path / "b")
    other, *_ = train(tmp_path / "c", seed=1)
    assert history == history_again and json.loads(json.dumps(history)) == history
    assert [logs["epoch"] for logs in history] == [1, 2, 3] and best in (1, 2, 3)
    assert_equal(first, again)
    assert any(np.any(a != b) for a, b in zip(values(first), values(other), strict=True))
    # The kept model is that of the best epoch.
    loaded = keras.models.load_model(folder / "model.keras")
    assert not loaded.compiled
    images, labels = Digits("validation").arrays()
    right = loaded.predict(images, verbose=0).argmax(-1) == labels
    assert right.mean() == pytest.approx(history[best - 1]["val_accuracy"])


def test_other_classes_than_the_models_or_the_sources_are_refused(tmp_path):
    class Others(Digits):
        class_names = Digits.class_names[::-1]

    (tmp_path / "run").mkdir()
    with pytest.raises(ValueError, match="`validation` must be a source of the same classes in the same"):
        fit(tiny(), Digits("train"), Others("validation"), RECIPE, tmp_path / "run")
    with pytest.raises(
        ValueError, match=r"`model` must be one with an output for .* output_shape=\(None, 7\)"
    ):
        fit(tiny(classes=7), Digits("train"), Digits("validation"), RECIPE, tmp_path / "run")
    assert os.listdir(tmp_path / "run") == []


def test_the_kept_model_is_that_of_the_lowest_validation_loss(tmp_path):
    _, history, best = train(tmp_path / "run", recipe=dataclasses.replace(RECIPE, learning_rate=0.5))
    losses = [logs["val_loss"] for logs in history]
    assert best == int(np.argmin(losses)) + 1


def test_the_validation_loss_counts_every_image_once(finished):
    # 30 images in batches of 16: the last batch is padded.
    _, model, history, _ = finished
    images, labels = Digits("validation").arrays()
    scores = model.predict(images, verbose=0).astype("float64")
    targets = np.eye(10)[labels] * 0.9 + 0.01
    assert history[-1]["val_loss"] == pytest.approx(-(targets * np.log(scores)).sum(1).mean(), rel=1e-5)
    assert history[-1]["val_accuracy"] == pytest.approx((scores.argmax(1) == labels).mean())


def test_the_kept_model_is_called_as_the_own_one(tmp_path):
    model = tiny()
    keep_model(model, tmp_path / "model.keras")
    kept = keras.models.load_model(tmp_path / "model.keras")
    images = np.zeros((1, *model.input_shape[1:]), "float32")
    # Keras warns where a model of a list of inputs is called with a tensor; warnings are errors here.
    np.testing.assert_array_equal(kept(images), model(images))


def test_an_interrupted_save_leaves_the_model_before(tmp_path, monkeypatch):
    model = tiny()
    path = tmp_path / "model.keras"
    keep_model(model, path)
    before = path.read_bytes()
    save = keras.Model.save

    def interrupted(self, path):
        save(self, path)
        path.write_bytes(path.read_bytes()[:1000])
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.Model, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        keep_model(model, path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    assert path.read_bytes() == before


@pytest.mark.slow
def test_a_loss_that_explodes_is_an_error(tmp_path):
    with pytest.raises(
        RuntimeError, match=r"not finite from step \d on, in epoch 1: .*learning_rate=[\d.]+e"
    ):
        train(tmp_path / "run", recipe=Recipe(epochs=3, batch_size=16, learning_rate=1e38, warmup=0))


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_a_float32_model(tmp_path, precision):
    keras.config.set_dtype_policy(precision)
    model, history, _ = train(tmp_path / "run", recipe=dataclasses.replace(RECIPE, epochs=1))
    keras.config.set_dtype_policy("float32")
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")
    loaded = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert {layer.dtype_policy.name for layer in loaded.layers} == {"float32"}
    images, _ = Digits("validation").arrays()
    expected = model.predict(images, verbose=0).astype("float32")
    np.testing.assert_allclose(loaded.predict(images, verbose=0), expected, atol=0.02)


@pytest.mark.slow
def test_a_step_compiled_by_xla_trains_alike(tmp_path):
    losses = []
    for jit_compile in (False, True):
        recipe = Recipe(epochs=1, batch_size=16, learning_rate=0.01, jit_compile=jit_compile)
        _, history, _ = train(tmp_path / str(jit_compile), recipe=recipe)
        losses.append([history[0]["loss"], history[0]["val_loss"]])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_accuracy_by_scale_counts(monkeypatch):
    monkeypatch.setitem(digits.SPLITS, "test", (1437, 1457))
    source = Digits("test")
    images, labels = source.arrays()
    model = tiny()
    right = model.predict(images, verbose=0).argmax(-1) == labels
    accuracy, by_scale = accuracy_by_scale(model, source)
    assert accuracy == pytest.approx(right.mean())
    assert by_scale == {scale: pytest.approx(right[i::3].mean()) for i, scale in enumerate((1.0, 1.5, 2.0))}
