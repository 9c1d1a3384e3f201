import math
import sys
import time

import keras

from keras_sknet.extras import import_extra
from keras_sknet.validation import positive_integer, whole_number

BAR = "{desc} {percentage:3.0f}%|{bar:20}| {postfix[0]}"


class ProgressBar(keras.callbacks.Callback):
    """Shows speed, time left of the whole training, and loss and metrics so far.

    On a terminal it is a bar for each epoch, elsewhere a line. Steps are batches as `fit` counts them,
    of which gradient accumulation takes several for one step of the optimizer. Images a second are those of
    this epoch's steps; the time left goes by all that has passed since the first step, validation too,
    which is left out because it compiles.

    Args:
        epochs: Integer, of the whole training.
        steps_per_epoch: Integer.
        batch_size: Integer, the images of a step on all devices together.
        first_step: Integer, steps that were done before, counted from the first epoch on. Defaults to `0`.
        stream: Text stream. Defaults to `None`: standard output.

    Raises:
        ValueError: for a number that cannot be.
        ImportError: when training starts on a terminal without tqdm.

    Example:

    ```python
    from keras_sknet.training.progress import ProgressBar

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    bar = ProgressBar(epochs=2, steps_per_epoch=4, batch_size=2)
    model.fit(np.ones((8, 2)), np.ones((8, 1)), 2, epochs=2, verbose=0, callbacks=[bar])
    ```
    """

    def __init__(self, epochs, steps_per_epoch, batch_size, first_step=0, stream=None):
        super().__init__()
        self.epochs = positive_integer("epochs", epochs)
        self.steps_per_epoch = positive_integer("steps_per_epoch", steps_per_epoch)
        self.batch_size = positive_integer("batch_size", batch_size)
        self.step = whole_number("first_step", first_step)
        self._stream = stream
        self._whole, self._epoch = _Clock(), _Clock()
        self._bar = None

    def on_epoch_begin(self, epoch, logs=None):
        # `fit` counts batches from 0 also where it takes up an epoch in its midst.
        self._before = self.step
        self._epoch = _Clock()
        stream = self._stream or sys.stdout
        if stream.isatty():
            # One that takes an epoch up starts where that was left.
            self._bar = import_extra("tqdm").tqdm(
                desc=self._name(self.step // self.steps_per_epoch),
                total=self.steps_per_epoch,
                initial=self.step % self.steps_per_epoch,
                bar_format=BAR,
                postfix=[""],
                file=stream,
                dynamic_ncols=True,
            )

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        done = self._before + batch + 1
        steps, self.step = done - self.step, done
        self._whole.tick(self.step, now)
        self._epoch.tick(self.step, now)
        if self._bar is not None:
            self._bar.postfix[0] = self._text(logs)
            self._bar.update(steps)

    def on_epoch_end(self, epoch, logs=None):
        # The time left knows of the validation, too.
        self._whole.tick(self.step, time.perf_counter())
        text = self._text(logs)
        if self._bar is None:
            name = self._name((self.step - 1) // self.steps_per_epoch)
            print(f"{name}: {text}", file=self._stream, flush=True)
        else:
            self._bar.postfix[0] = text
            self._bar.refresh()
            self.close()

    def close(self):
        """Leaves the bar's line, for what is printed next; to be called where training ends in an error."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _name(self, epoch):
        return f"Epoch {epoch + 1}/{self.epochs}"

    def _text(self, logs):
        parts = [f"{name} {value:.4g}" for name, value in (logs or {}).items() if name != "learning_rate"]
        if self._epoch.seconds_per_step:
            parts.append(f"{self.batch_size / self._epoch.seconds_per_step:,.0f} images/s")
        steps_left = self.epochs * self.steps_per_epoch - self.step
        if steps_left > 0 and self._whole.seconds_per_step:
            parts.append(f"{_duration(steps_left * self._whole.seconds_per_step)} left")
        return ", ".join(parts)


class _Clock:
    """Seconds a step, from the end of the first one on."""

    def __init__(self):
        self._start = self.seconds_per_step = None

    def tick(self, step, now):
        if self._start is None:
            self._start = step, now
        elif step > self._start[0]:
            self.seconds_per_step = (now - self._start[1]) / (step - self._start[0])


def _duration(seconds):
    """1:02:03, or 2:03 below an hour."""
    minutes, seconds = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
