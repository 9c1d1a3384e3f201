import json

import keras
import numpy as np
import pytest

from keras_sknet import Branch, SKNetSmall
from keras_sknet.data import Digits, digits
from keras_sknet.training import BestCheckpoint, Recipe, accuracy_by_scale, fit

RECIPE = Recipe(epochs=3, batch_size=16, learning_rate=0.05)


@pytest.fixture(autouse=True)
def few_digits(monkeypatch):
    monkeypatch.setitem(digits.SPLITS, "train", (0, 16))
    monkeypatch.setitem(digits.SPLITS, "validation", (1300, 1310))


def tiny():
    branches = (Branch(3, groups=1), Branch(3, 2, groups=1))
    sizes = {"depths": (1, 1, 1), "widths": (4, 4, 4), "filters": (8, 8, 8), "stem_filters": 4}
    return SKNetSmall(**sizes, branches=branches)


def train(path, seed=0, recipe=RECIPE):
    keras.utils.set_random_seed(seed)
    model = tiny()
    return model, *fit(model, Digits("train"), Digits("validation"), recipe, path, seed=seed, verbose=0)


def test_the_same_seed_gives_the_same_weights(tmp_path):
    first, history, best = train(tmp_path / "a.keras")
    again, history_again, _ = train(tmp_path / "b.keras")
    other, *_ = train(tmp_path / "c.keras", seed=1)
    assert history == history_again and json.loads(json.dumps(history)) == history
    assert [logs["epoch"] for logs in history] == [1, 2, 3] and best in (1, 2, 3)
    for weight, equal in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, equal)
    assert any(np.any(a != b) for a, b in zip(first.get_weights(), other.get_weights(), strict=True))


def test_the_file_holds_the_epoch_of_the_lowest_validation_loss(tmp_path):
    model = tiny()
    RECIPE.compile(model, 1)
    checkpoint = BestCheckpoint(tmp_path / "model.keras")
    checkpoint.set_model(model)
    saved = {}
    for epoch, loss in enumerate((2.0, 1.0, 3.0, float("nan"), 0.5, 0.5)):
        model.weights[0].assign(keras.ops.full_like(model.weights[0], epoch))
        checkpoint.on_epoch_end(epoch, {"val_loss": loss})
        loaded = keras.models.load_model(tmp_path / "model.keras")
        saved[epoch] = int(np.max(loaded.get_weights()[0]))
        assert not loaded.compiled
        assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    assert saved == {0: 0, 1: 1, 2: 1, 3: 1, 4: 4, 5: 4}
    assert (checkpoint.epoch, checkpoint.loss) == (5, 0.5)


def test_an_interrupted_save_leaves_the_model_before(tmp_path, monkeypatch):
    model = tiny()
    checkpoint = BestCheckpoint(tmp_path / "model.keras")
    checkpoint.set_model(model)
    checkpoint.on_epoch_end(0, {"val_loss": 2.0})
    before = (tmp_path / "model.keras").read_bytes()
    save = keras.Model.save

    def interrupted(self, path):
        save(self, path)
        path.write_bytes(path.read_bytes()[:1000])
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.Model, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.on_epoch_end(1, {"val_loss": 1.0})
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    assert (tmp_path / "model.keras").read_bytes() == before
    assert checkpoint.epoch == 1


def test_the_recipe_warms_up_and_ends_at_zero():
    model = tiny()
    Recipe(epochs=10, batch_size=8, learning_rate=0.4, warmup=0.2).compile(model, steps_per_epoch=10)
    rates = []
    for step in (0, 10, 20, 60, 100):
        model.optimizer.iterations.assign(step)
        rates.append(float(model.optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0, 0.2, 0.4, 0.2, 0], atol=1e-6)
    assert model.optimizer.momentum == 0.9
    assert model.loss.label_smoothing == 0.1


def test_a_loss_that_explodes_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="The loss is not finite from epoch 1 on: .* learning_rate=1e.30"):
        train(tmp_path / "model.keras", recipe=Recipe(epochs=3, batch_size=16, learning_rate=1e30, warmup=0))


def test_accuracy_by_scale_counts(monkeypatch):
    monkeypatch.setitem(digits.SPLITS, "test", (1437, 1457))
    source = Digits("test")
    images, labels = source.arrays()
    model = tiny()
    right = model.predict(images, verbose=0).argmax(-1) == labels
    accuracy, by_scale = accuracy_by_scale(model, source)
    assert accuracy == pytest.approx(right.mean())
    assert by_scale == {scale: pytest.approx(right[i::3].mean()) for i, scale in enumerate((1.0, 1.5, 2.0))}
