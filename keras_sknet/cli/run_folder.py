"""The folder of a training: a new one, or that of a stopped run, in which only its own files are touched."""

import contextlib
import os
import shutil
import sys

from keras_sknet.cli.errors import CommandError
from keras_sknet.cli.output import output_folder
from keras_sknet.training.fit import CHECKPOINTS, LOGS, MODEL
from keras_sknet.training.loop import HISTORY
from keras_sknet.training.state import UNFINISHED, has_checkpoints, remove_checkpoints
from keras_sknet.training.transfer import FROZEN

EVENTS = "events.out.tfevents"


class RunFolder:
    """What becomes of the files of a run.

    Args:
        path: `Path`, the argument `--output`.
        in_two_parts: Boolean, whether a training with frozen stages comes first, in a folder of its own.
    """

    def __init__(self, path, in_two_parts):
        self.path = path
        self._frozen = path / FROZEN if in_two_parts else None
        self._trainings = [path, self._frozen] if in_two_parts else [path]

    @contextlib.contextmanager
    def opened(self):
        """Makes the folder in a `with` block, or takes that of a run that was stopped.

        Raises:
            CommandError: if there is something else, a training of one part for one of two included.
        """
        if self._was_stopped():
            print(f"Going on with what was stopped in {self.path}", file=sys.stderr)
            yield
            return
        with output_folder(self.path):
            yield

    @contextlib.contextmanager
    def in_training(self):
        """A `with` block of which no log remains if it writes no checkpoint."""
        logs = [training / LOGS for training in self._trainings]
        new = [folder for folder in logs if not folder.exists()]
        try:
            yield
        finally:
            if not self.has_checkpoints():
                for folder in new:
                    shutil.rmtree(folder, ignore_errors=True)
                self._remove_frozen()

    def has_checkpoints(self):
        """Whether there is something to go on from."""
        return any(has_checkpoints(training / CHECKPOINTS) for training in self._trainings)

    def what_is_left(self):
        """What a run that is stopped says."""
        if not self.has_checkpoints():
            return "Stopped before the first step ended: nothing is written"
        best = f" The best model so far is {self.path / MODEL}." if (self.path / MODEL).exists() else ""
        return f"Stopped.{best} The same command goes on from here"

    def close(self):
        """Removes what is for going on. The logs of the first part go to those of the second."""
        for training in self._trainings:
            remove_checkpoints(training / CHECKPOINTS)
        if self._frozen is None or not self._frozen.is_dir():
            return
        if (self._frozen / LOGS).is_dir():
            (self.path / LOGS).mkdir(exist_ok=True)
            os.replace(self._frozen / LOGS, self.path / LOGS / FROZEN)
        for name in (MODEL, HISTORY):
            (self._frozen / name).unlink(missing_ok=True)
        self._remove_frozen()

    def _remove_frozen(self):
        if self._frozen is not None:
            with contextlib.suppress(OSError):
                self._frozen.rmdir()  # unless somebody has put something there

    def _was_stopped(self):
        whole, *first = (has_checkpoints(training / CHECKPOINTS) for training in self._trainings)
        if whole and not all(first):
            raise CommandError(
                f"argument --output: {str(self.path)!r} is the folder of another training: name another"
            )
        return self.has_checkpoints() or self._has_only_begun()

    def _has_only_begun(self):
        """Whether nothing is there but what a run makes before its first checkpoint."""
        names = set(os.listdir(self.path)) if self.path.is_dir() else set()
        own = {CHECKPOINTS, LOGS} | ({FROZEN} if self._frozen else set())
        if not names or names - own:
            return False
        files = [path.relative_to(self.path) for path in self.path.rglob("*") if not path.is_dir()]
        return all(
            file.name.startswith(EVENTS) if LOGS in file.parts else file.name == UNFINISHED for file in files
        )
