"""Trainings that were stopped, killed or damaged go on, and end as if nothing had happened."""

import dataclasses
import importlib
import os

import keras
import numpy as np
import pytest

from fit_runs import RECIPE, Killed, Killer, assert_equal, dropout, tiny, train
from keras_sknet.data import Augmentation
from keras_sknet.training import state as state_file

pytestmark = pytest.mark.usefixtures("few_digits")
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


def test_there_is_a_checkpoint_before_there_is_a_model(finished, tmp_path, monkeypatch):
    """By it the commands know a folder for that of a run, whenever it was killed."""
    _, whole, *result = finished

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(importlib.import_module("keras_sknet.training.fit"), "keep_model", kill)
        with pytest.raises(Killed):
            train(tmp_path / "run")
    assert os.listdir(tmp_path / "run" / "checkpoints") == ["step-0000000003.state"]
    assert not (tmp_path / "run" / "model.keras").exists()
    resumed, *result_resumed = train(tmp_path / "run")
    assert_equal(whole, resumed)
    assert result_resumed == result


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
