"""Where a training stands, and what happens to it between its steps."""

import dataclasses
import hashlib
import json
import math
import time

import keras

from keras_sknet.training.averages import averaged_weights
from keras_sknet.training.curves import write_history
from keras_sknet.training.distribution import this_process
from keras_sknet.training.state import has_checkpoints, load_state, save_state
from keras_sknet.validation import require

HISTORY = "history.csv"


@dataclasses.dataclass
class Progress:
    """Where a training stands: what a checkpoint tells beside the values of variables.

    Args:
        step: Integer, steps that are done.
        history: List of a dictionary for each epoch that is done.
        best_epoch: Integer, the epoch of the kept model. `None`: there is none.
        best_loss: Float, its loss in validation.
        pending: Logs of an epoch that is trained and not validated yet, or `None`.
    """

    step: int = 0
    history: list = dataclasses.field(default_factory=list)
    best_epoch: int | None = None
    best_loss: float = math.inf
    pending: dict | None = None


class Loop(keras.callbacks.Callback):
    """Counts steps, stops at a loss that is not finite, validates, keeps the best model, writes checkpoints.

    Of several processes that train together, each counts and validates, and the first one writes.

    Args:
        model: Compiled `keras.Model` whose optimizer is built.
        schedule: Schedule of the learning rate.
        steps: Integer, of an epoch.
        validation: `tf.data.Dataset` of images, one-hot labels and weights.
        keep: Callable `(model)` that keeps the best one.
        folder: `Path` of the checkpoints.
        settings: Dictionary of what makes the training what it is.
        seconds: Float, time between checkpoints within an epoch.
        interrupt: `GentleInterrupt`, which is let through where a checkpoint can be written.
    """

    def __init__(self, model, schedule, steps, validation, keep, folder, settings, seconds, interrupt):
        super().__init__()
        self.set_model(model)
        self.progress = Progress()
        self._schedule, self._steps = schedule, steps
        self._validation, self._keep = validation, keep
        self._folder, self._seconds, self._interrupt = folder, seconds, interrupt
        self._settings = json.loads(json.dumps(settings))  # as it comes back from a file
        self._saved = time.monotonic()
        self._running = None
        self._this = this_process()

    def restore(self):
        """Takes the training up where its last whole checkpoint is; returns complaints about damaged ones.

        Raises:
            ValueError: if the checkpoint is of a training with other settings, or another process found
                another one.
        """
        found, complaints = load_state(self._folder)
        self._this.require_same(settings=self._settings, checkpoint=found and found[1].get("step"))
        if found is not None:
            self._take_up(*found)
        if not self._this.is_alone:
            self._this.require_same(weights=self._digest())
        return complaints

    def _take_up(self, arrays, document):
        received = document.pop("settings")
        different = [key for key in self._settings if received.get(key) != self._settings[key]]
        require(
            not different,
            "output",
            "the folder of a training with the same settings, or a new one",
            output=str(self._folder.parent),
            **{key: self._settings[key] for key in different},
            **{f"{key}_there": received.get(key) for key in different},
        )
        self.progress = Progress(**document)
        variables = self._variables()
        for variable, array in zip(variables, arrays, strict=False):
            variable.assign(array)
        if self.progress.step % self._steps:
            self._running = arrays[len(variables) :]

    def save(self):
        """Writes a checkpoint."""
        if not self._this.is_first:
            return
        self._synchronize()
        running = [variable.numpy() for variable in self._metric_variables()]
        arrays = [variable.numpy() for variable in self._variables()] + running
        document = {**dataclasses.asdict(self.progress), "settings": self._settings}
        save_state(self._folder, self.progress.step, arrays, document)
        self._saved = time.monotonic()

    def finish_epoch(self, logs):
        """Validates, keeps the model if it is the best so far, and writes a checkpoint."""
        progress = self.progress
        progress.pending = logs
        try:
            with averaged_weights(self.model):
                results = self.model.evaluate(
                    self._validation, return_dict=True, verbose=0, callbacks=[self._interrupt]
                )
            logs = {**logs, **{f"val_{name}": value for name, value in results.items()}}
            self._require_finite(logs["val_loss"])
            if logs["val_loss"] < progress.best_loss:
                self._keep_best()
                progress.best_epoch, progress.best_loss = len(progress.history) + 1, logs["val_loss"]
        except KeyboardInterrupt:
            self.save()
            raise
        progress.history.append({"epoch": len(progress.history) + 1, **logs})
        progress.pending = None
        if self._this.is_first:
            write_history(progress.history, self._folder.parent / HISTORY)
        self.save()
        return logs

    def on_train_batch_end(self, batch, logs=None):
        if self._running:
            # Sums over the part of the epoch that was trained before.
            self._synchronize()
            for variable, value in zip(self._metric_variables(), self._running, strict=True):
                variable.assign(variable + value)
            self._running = None
        self.progress.step += 1
        self._require_finite(logs["loss"])
        if self.progress.step % self._steps:  # the last step of an epoch is followed by its validation
            if self._interrupt.pressed or time.monotonic() - self._saved >= self._seconds:
                self.save()
            self._interrupt.on_train_batch_end(batch)

    def on_epoch_end(self, epoch, logs=None):
        if self.progress.step % self._steps:
            # A callback has stopped it in its midst: it goes on there.
            self.save()
            return
        values = {name: float(value) for name, value in sorted(logs.items())}
        # The callbacks behind this one see what validation gave.
        logs.update(self.finish_epoch({**values, "learning_rate": self._rate()}))

    def _keep_best(self):
        if not has_checkpoints(self._folder):
            self.save()  # by which the run is known, before there is a model that might be anybody's
        # All processes together: what one alone assigns, the others would wait for.
        with averaged_weights(self.model):
            if self._this.is_first:
                self._keep(self.model)

    def _require_finite(self, loss):
        if not math.isfinite(loss):
            raise RuntimeError(
                f"The loss is not finite from step {self.progress.step} on, in epoch "
                f"{(self.progress.step - 1) // self._steps + 1}: train at a lower learning rate. "
                f"Received: learning_rate={self._rate():.3g}"
            )

    def _rate(self):
        """The learning rate of the last step."""
        return float(keras.ops.convert_to_numpy(self._schedule(self.progress.step - 1)))

    def _synchronize(self):
        """Gives variables the values of the last step, which JAX keeps apart from them within an epoch."""
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()

    def _digest(self):
        """Checksum of all that is trained."""
        digest = hashlib.sha256()
        for variable in self._variables():
            digest.update(variable.numpy().tobytes())
        return digest.hexdigest()

    def _variables(self):
        return [*self.model.variables, *self.model.optimizer.variables]

    def _metric_variables(self):
        return [variable for metric in self.model.metrics for variable in metric.variables]
