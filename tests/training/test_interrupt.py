import os
import signal
import threading

import keras
import numpy as np
import pytest

from keras_sknet.training import GentleInterrupt


@pytest.fixture(autouse=True)
def ctrl_c():
    """Ctrl-C as in a terminal, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_a_step_ends_before_the_interrupt(ctrl_c, capsys):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    steps = []

    class PressDuringTheSecondStep(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 1:
                ctrl_c()

        def on_train_batch_end(self, batch, logs=None):
            steps.append(batch)

    with pytest.raises(KeyboardInterrupt), GentleInterrupt() as interrupt:
        callbacks = [PressDuringTheSecondStep(), interrupt]
        model.fit(np.ones((8, 2)), np.ones((8, 1)), batch_size=2, verbose=0, callbacks=callbacks)
    assert steps == [0, 1]
    assert "Stopping after this step" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("end", ["on_train_batch_end", "on_test_batch_end", "on_predict_batch_end"])
def test_each_kind_of_batch_lets_it_through(ctrl_c, end):
    with GentleInterrupt() as interrupt:
        getattr(interrupt, end)(0)
        ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            getattr(interrupt, end)(1)


def test_leaving_the_context_lets_it_through(ctrl_c):
    reached = False
    with pytest.raises(KeyboardInterrupt):
        with GentleInterrupt() as interrupt:
            ctrl_c()
            reached = interrupt.pressed
    assert reached


def test_an_error_in_the_context_stays_what_it_is(ctrl_c):
    with pytest.raises(OSError, match="disk"):
        with GentleInterrupt():
            ctrl_c()
            raise OSError("disk")


def test_the_second_is_not_held_back(ctrl_c):
    reached = False
    with pytest.raises(KeyboardInterrupt):
        with GentleInterrupt():
            ctrl_c()
            reached = True
            ctrl_c()
            pytest.fail("held back twice")
    assert reached


def test_a_handler_of_the_program_stays(ctrl_c):
    received = []
    own = lambda number, frame: received.append(number)  # noqa: E731
    signal.signal(signal.SIGINT, own)
    with GentleInterrupt() as interrupt:
        ctrl_c()
    assert received == [signal.SIGINT] and not interrupt.pressed
    assert signal.getsignal(signal.SIGINT) is own


def test_other_threads_have_no_handler():
    errors = []

    def work():
        try:
            with GentleInterrupt():
                pass
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert errors == []
