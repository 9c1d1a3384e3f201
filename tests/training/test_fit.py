import dataclasses
import json
import os

import keras
import numpy as np
import pytest

from keras_sknet import Branch, SKNetSmall
from keras_sknet.data import Augmentation, Digits, digits
from keras_sknet.training import Recipe, accuracy_by_scale, fit, keep_model
from keras_sknet.training import state as state_file

RECIPE = Recipe(epochs=3, batch_size=16, learning_rate=0.05)


@pytest.fixture(autouse=True, scope="module")
def few_digits():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(digits.SPLITS, "train", (0, 16))
        patch.setitem(digits.SPLITS, "validation", (1300, 1310))
        yield


def tiny(**options):
    branches = (Branch(3, groups=1), Branch(3, 2, groups=1))
    sizes = {"depths": (1, 1, 1), "widths": (4, 4, 4), "filters": (8, 8, 8), "stem_filters": 4}
    return SKNetSmall(**sizes, branches=branches, **options)


def dropout(seed):
    """A net with a random layer, whose seed generator is a part of the state."""
    net = tiny(include_top=False, pooling="avg")
    x = keras.layers.Dropout(0.3, seed=seed)(net.output)
    return keras.Model(net.input, keras.layers.Dense(10, "softmax")(x))


def train(output, seed=0, recipe=RECIPE, make=tiny, **options):
    output.mkdir(exist_ok=True)
    keras.utils.set_random_seed(seed)
    model = make()
    return model, *fit(
        model, Digits("train"), Digits("validation"), recipe, output, seed=seed, verbose=False, **options
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a training, its model, history and best epoch."""
    folder = tmp_path_factory.mktemp("fit") / "run"
    return folder, *train(folder)


def values(model):
    return [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]


def assert_equal(first, second):
    for one, other in zip(values(first), values(second), strict=True):
        np.testing.assert_array_equal(one, other)


class Killed(BaseException):
    """As good as `kill -9`: nothing catches it."""


class Killer(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        self.step -= 1
        if self.step == 0:
            raise Killed


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


AVERAGED = dataclasses.replace(RECIPE, average=0.9, accumulation=2)


@pytest.mark.parametrize(
    "recipe, killed_at",
    # Three steps an epoch, or six: within the first, at its end, and in the third.
    [
        (RECIPE, 7),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in ((RECIPE, 2), (RECIPE, 3), (AVERAGED, 5), (AVERAGED, 12))
        ),
    ],
    ids=str,
)
def test_a_killed_training_ends_with_the_same_weights(tmp_path, killed_at, recipe):
    def make():
        return dropout(seed=3)

    whole, history, best = train(tmp_path / "whole", recipe=recipe, make=make)
    with pytest.raises(Killed):
        train(
            tmp_path / "killed",
            recipe=recipe,
            make=make,
            callbacks=[Killer(killed_at)],
            checkpoint_seconds=0,
        )
    left = sorted(os.listdir(tmp_path / "killed" / "checkpoints"))
    assert left and len(left) <= 2
    resumed, history_resumed, best_resumed = train(tmp_path / "killed", recipe=recipe, make=make)
    assert_equal(whole, resumed)
    assert (history_resumed, best_resumed) == (history, best)
    kept = [keras.models.load_model(tmp_path / name / "model.keras") for name in ("whole", "killed")]
    for one, other in zip(*(model.get_weights() for model in kept), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_damaged_checkpoint_is_passed_over(finished, tmp_path, capsys):
    _, whole, *_ = finished
    with pytest.raises(Killed):
        train(tmp_path / "killed", callbacks=[Killer(5)], checkpoint_seconds=0)
    last = sorted((tmp_path / "killed" / "checkpoints").iterdir())[-1]
    last.write_bytes(last.read_bytes()[:1000])
    resumed, *_ = train(tmp_path / "killed")
    assert (
        f"{last} is damaged (its checksum does not match): the one before is taken" in capsys.readouterr().out
    )
    assert_equal(whole, resumed)


class Stopper(keras.callbacks.Callback):
    """Stops at the end of the epoch of this number, counted from 0."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == self.epoch


@pytest.mark.parametrize("recipe", [RECIPE, dataclasses.replace(RECIPE, average=0.9)], ids=["own", "average"])
def test_a_callback_stops_it_and_another_call_goes_on(tmp_path, recipe):
    stopped, history, _ = train(tmp_path / "run", recipe=recipe, callbacks=[Stopper(1)])
    assert [logs["epoch"] for logs in history] == [1, 2]
    resumed, whole, _ = train(tmp_path / "run", recipe=recipe)
    assert whole[:2] == history and len(whole) == 3
    straight, *_ = train(tmp_path / "straight", recipe=recipe)
    assert_equal(straight, resumed)


class StopperWithin(keras.callbacks.Callback):
    """Stops after a step, as a limit of time may."""

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = batch == 1


def test_a_callback_stops_it_within_an_epoch_and_another_call_goes_on(finished, tmp_path):
    _, whole, history, best = finished
    _, stopped, best_stopped = train(tmp_path / "run", callbacks=[StopperWithin()])
    assert (stopped, best_stopped) == ([], None)
    assert len(os.listdir(tmp_path / "run" / "checkpoints")) == 1
    resumed, history_resumed, best_resumed = train(tmp_path / "run")
    assert_equal(whole, resumed)
    assert (history_resumed, best_resumed) == (history, best)


def test_where_every_checkpoint_is_damaged_it_starts_anew(finished, tmp_path, capsys):
    _, whole, *_ = finished
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "step-0000000009.state").write_bytes(b"damaged")
    again, *_ = train(tmp_path / "run")
    assert "it does not begin as a checkpoint does): training starts anew" in capsys.readouterr().out
    assert_equal(whole, again)


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


def test_a_finished_training_is_not_trained_again(finished):
    folder, model, *result = finished
    again, *same = train(folder, callbacks=[Killer(1)])
    assert same == result
    assert_equal(model, again)


@pytest.mark.slow
def test_another_training_is_not_resumed(tmp_path):
    train(tmp_path / "run")
    longer = dataclasses.replace(RECIPE, epochs=4)
    with pytest.raises(ValueError, match="`output` must be .* Received: .*epochs=4, .*epochs_there=3"):
        train(tmp_path / "run", recipe=longer)
    with pytest.raises(ValueError, match="network='b', network_there=None"):
        train(tmp_path / "run", settings={"network": "b"})

    def frozen():
        model = tiny()
        model.get_layer("stem").trainable = False
        return model

    with pytest.raises(ValueError, match="`output` must be .* Received: .*trainable="):
        train(tmp_path / "run", make=frozen)


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
def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    def full(file):
        raise OSError(28, "No space left on device")

    class Fill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                monkeypatch.setattr(state_file.os, "fsync", full)

    with pytest.raises(OSError, match="Cannot write a checkpoint .No space left on device."):
        train(tmp_path / "run", callbacks=[Fill()])
    monkeypatch.undo()
    assert os.listdir(tmp_path / "run" / "checkpoints") == ["step-0000000003.state"]
    resumed, *_ = train(tmp_path / "run")
    assert_equal(train(tmp_path / "whole")[0], resumed)


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


@pytest.mark.slow
def test_augmented_trainings_resume_too(tmp_path):
    augmentation = Augmentation(erasing=0.5, mixup=0.2)
    recipe = dataclasses.replace(RECIPE, crop="padded", augmentation=augmentation)
    whole, history, _ = train(tmp_path / "whole", recipe=recipe)
    with pytest.raises(Killed):
        train(tmp_path / "killed", recipe=recipe, callbacks=[Killer(5)], checkpoint_seconds=0)
    resumed, history_resumed, _ = train(tmp_path / "killed", recipe=recipe)
    assert_equal(whole, resumed)
    assert history_resumed == history


def test_accuracy_by_scale_counts(monkeypatch):
    monkeypatch.setitem(digits.SPLITS, "test", (1437, 1457))
    source = Digits("test")
    images, labels = source.arrays()
    model = tiny()
    right = model.predict(images, verbose=0).argmax(-1) == labels
    accuracy, by_scale = accuracy_by_scale(model, source)
    assert accuracy == pytest.approx(right.mean())
    assert by_scale == {scale: pytest.approx(right[i::3].mean()) for i, scale in enumerate((1.0, 1.5, 2.0))}
