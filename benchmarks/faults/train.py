"""`keras-sknet train` as the scripts here run it: checkpoints are frequent, and it can kill itself in one.

    python benchmarks/faults/train.py SECONDS DIGEST KILL -- train --epochs 3 --output run

It is the command itself but for this: within an epoch it writes a checkpoint every SECONDS; when the
training is done it writes the SHA-256 of all variables of model and optimizer to the file DIGEST; and if KILL
is a number and a place, as in `4:half`, the process gets its `kill -9` in the 4th checkpoint that it writes:
when `half` of the bytes are in the unfinished file, when all are (`whole`), or when they are on the disk and
the file does not have its name yet (`unnamed`). KILL `never` is never.
"""

import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from runs import digest  # noqa: E402

PLACES = ("half", "whole", "unnamed")


def main():
    seconds, path, kill, separator, *command = sys.argv[1:]
    if separator != "--":
        sys.exit(__doc__)
    from keras_sknet.cli import main, train

    if kill != "never":
        number, _, place = kill.partition(":")
        kill_in_checkpoint(int(number), place)
    fit = train.fit

    def fit_and_tell(model, *args, **options):
        result = fit(model, *args, **{**options, "checkpoint_seconds": float(seconds)})
        variables = [*model.variables, *model.optimizer.variables]
        Path(path).write_text(digest(variable.numpy() for variable in variables))
        return result

    train.fit = fit_and_tell
    return main(command)


def kill_in_checkpoint(number, place):
    """Has the writer of checkpoints killed the `number`-th time that it comes to `place`."""
    from keras_sknet.training import state

    if place not in PLACES:
        sys.exit(f"train.py: error: the place must be one of {', '.join(PLACES)}, not {place!r}")
    left = [number]

    def die_if_it_is_time():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    class File:
        """A file that is half on the disk when the process dies."""

        def __init__(self, *args):
            self.file = open(*args)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, contents):
            middle = len(contents) // 2
            self.file.write(contents[:middle])
            self.file.flush()
            die_if_it_is_time()
            self.file.write(contents[middle:])

    class System:
        """Module `os` whose `fsync` or `replace` is the last thing that the process does not do."""

        def __getattr__(self, name):
            if name == {"whole": "fsync", "unnamed": "replace"}[place]:
                die_if_it_is_time()
            return getattr(os, name)

    # The names that the module looks up; what it does between them stays its own.
    if place == "half":
        state.open = File
    else:
        state.os = System()


if __name__ == "__main__":
    sys.exit(main())
