import signal
import sys
import threading

import keras


class GentleInterrupt(keras.callbacks.Callback):
    """Holds Ctrl-C back until a step has ended, and then raises `KeyboardInterrupt`.

    Python would raise it in the midst of tracing or of a step, where TensorFlow's C++ code that calls back
    into Python may abort the process. As a context manager it holds the signal back from entry to exit; as a
    callback as well, it lets it through after each batch. A second Ctrl-C is not held back. Outside the main
    thread, and where Ctrl-C is ignored or handled by a program's own function, it does nothing.

    Raises:
        KeyboardInterrupt: after the batch, or on leaving the context, within which Ctrl-C was pressed.

    Example:

    ```python
    from keras_sknet.training import GentleInterrupt

    with GentleInterrupt() as interrupt:
        interrupt.pressed  # False; model.fit(..., callbacks=[interrupt])
    ```
    """

    def __init__(self):
        super().__init__()
        self.pressed = False
        self._holds = False

    def __enter__(self):
        self._holds = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._holds:
            signal.signal(signal.SIGINT, self._hold)
        return self

    def __exit__(self, error_type, error, traceback):
        self._let_go()
        if error is None:
            self._raise_if_pressed()

    def on_train_batch_end(self, batch, logs=None):
        self._raise_if_pressed()

    def on_test_batch_end(self, batch, logs=None):
        self._raise_if_pressed()

    def on_predict_batch_end(self, batch, logs=None):
        self._raise_if_pressed()

    def _hold(self, number, frame):
        self.pressed = True
        self._let_go()
        print("\nStopping after this step. Ctrl-C again stops at once.", file=sys.stderr)

    def _let_go(self):
        if self._holds:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._holds = False

    def _raise_if_pressed(self):
        if self.pressed:
            self.pressed = False
            raise KeyboardInterrupt
