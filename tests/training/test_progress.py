import io
import re
import time

import keras
import numpy as np
import pytest

from keras_sknet.training.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """Time that passes by a second a training step and by ten in a validation."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)


def run(bar, clock, epochs, steps, before=0, compiling=0):
    """What `fit` tells a callback, the first epoch taken up after `before` of its steps."""
    clock.now += compiling
    for epoch in epochs:
        bar.on_epoch_begin(epoch)
        for batch in range(steps - before):
            clock.now += 1
            bar.on_train_batch_end(batch, {"loss": 2.0, "accuracy": 0.25})
        before = 0
        clock.now += 10
        bar.on_epoch_end(epoch, {"loss": 2.0, "accuracy": 0.5, "val_loss": 1.5, "learning_rate": 0.1})


def test_lines_where_the_output_is_no_terminal(monkeypatch):
    stream = io.StringIO()
    run(ProgressBar(3, 21, 64, stream=stream), Clock(monkeypatch), range(3), 21, compiling=500)
    # An epoch is 31 s; the first lacks its first step, in which it is compiled.
    assert stream.getvalue().splitlines() == [
        "Epoch 1/3: loss 2, accuracy 0.5, val_loss 1.5, 64 images/s, 1:03 left",
        "Epoch 2/3: loss 2, accuracy 0.5, val_loss 1.5, 64 images/s, 0:32 left",
        "Epoch 3/3: loss 2, accuracy 0.5, val_loss 1.5, 64 images/s",
    ]


def test_a_training_is_taken_up_in_the_midst_of_an_epoch(monkeypatch):
    stream, clock = io.StringIO(), Clock(monkeypatch)
    bar = ProgressBar(4, 100, 8, first_step=150, stream=stream)
    # As the training loop does: the rest of an epoch, then whole ones.
    run(bar, clock, [1], 100, before=50)
    run(bar, clock, [2, 3], 100)
    lines = stream.getvalue().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["Epoch 2/4", "Epoch 3/4", "Epoch 4/4"]
    # 49 steps and a validation took 59 s, so that 200 steps take 241.
    assert lines[0].endswith("8 images/s, 4:01 left")
    assert bar.step == 400


def test_hours_are_told(monkeypatch):
    stream = io.StringIO()
    run(ProgressBar(2, 9000, 1, stream=stream), Clock(monkeypatch), [0], 9000)
    assert stream.getvalue().endswith(", 1 images/s, 2:30:11 left\n")


def test_several_steps_in_one_call(monkeypatch):
    clock, stream = Clock(monkeypatch), io.StringIO()
    bar = ProgressBar(1, 20, 4, stream=stream)
    bar.on_epoch_begin(0)
    for batch in (4, 9, 14, 19):  # steps_per_execution=5
        clock.now += 5
        bar.on_train_batch_end(batch, {"loss": 1.0})
    bar.on_epoch_end(0, {"loss": 1.0})
    assert bar.step == 20 and stream.getvalue() == "Epoch 1/1: loss 1, 4 images/s\n"


def test_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("LINES", "40")
    terminal = Terminal()
    bar = ProgressBar(3, 10, 64, first_step=5, stream=terminal)
    clock = Clock(monkeypatch)
    run(bar, clock, [0], 10, before=5)
    run(bar, clock, [1, 2], 10)
    # What is left standing is what was written last in each line.
    lines = [line.rpartition("\r")[2].rstrip() for line in terminal.getvalue().rstrip("\n").split("\n")]
    assert len(lines) == 3
    for number, line in enumerate(lines, 1):
        assert line.startswith(f"Epoch {number}/3 100%|{'#' * 20}| loss 2, accuracy 0.5, val_loss 1.5")
        assert "64 images/s" in line
    assert re.search(r"Epoch 1/3  50%\|#{10} {10}\| ", terminal.getvalue())


def test_an_unfinished_bar_can_be_closed(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    bar = ProgressBar(1, 10, 64, stream=terminal)
    bar.close()
    assert terminal.getvalue() == ""
    bar.on_epoch_begin(0)
    bar.on_train_batch_end(0, {"loss": 2.0})
    bar.close()
    assert terminal.getvalue().endswith("\n")


def test_fit_calls_it_with_accumulated_gradients(capsys):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01, gradient_accumulation_steps=2), "mse", metrics=["mae"])
    bar = ProgressBar(2, 8, 4)
    x = np.ones((32, 2))
    model.fit(x, x[:, :1], 4, epochs=2, verbose=0, validation_data=(x, x[:, :1]), callbacks=[bar])
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert bar.step == 16 and len(lines) == 2 and printed.err == ""
    assert re.fullmatch(
        r"Epoch 1/2: loss \S+, mae \S+, val_loss \S+, val_mae \S+, [\d,]+ images/s, 0:\d\d left", lines[0]
    )
    assert not re.search(r"[\r\x1b\x08]", printed.out)


def test_numbers_that_cannot_be():
    with pytest.raises(ValueError, match="`steps_per_epoch` must be a positive integer. Received: .*=0"):
        ProgressBar(1, 0, 4)
    with pytest.raises(ValueError, match="`first_step` must be an integer of 0 or more. Received: .*=-1"):
        ProgressBar(1, 1, 4, first_step=-1)
