"""Trainings as processes: started, killed, and compared to the bit."""

import dataclasses
import hashlib
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
TRAIN = FOLDER / "train.py"
UNFINISHED = ".unfinished.state"


def digest(arrays):
    """SHA-256 of arrays: dtypes, shapes and values."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype}{array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def add_options(parser):
    """Adds the options of the training that faults are done to."""
    parser.add_argument("--data", help="as for `keras-sknet train` (160 images that are drawn)")
    parser.add_argument("--epochs", type=int, default=12, metavar="N", help="(12)")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="(8)")
    parser.add_argument(
        "--seconds", type=float, default=1, metavar="X", help="between checkpoints in an epoch (1)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the faults (0)")


def command(options, folder):
    """The arguments of `keras-sknet` without `--output`; draws images into `folder` if there are none."""
    data = options.data or draw(folder / "images")
    return [
        *("train", "--model", "SKNetSmall", "--size", "32", "--no-export", "--data", data),
        *("--epochs", str(options.epochs), "--batch-size", str(options.batch_size)),
    ]


def draw(folder):
    """Writes noise on two colours, for a training that takes a minute; returns what `--data` takes."""
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(0)
    for split, count in (("train", 160), ("validation", 32)):
        for number in range(count if not folder.joinpath(split).exists() else 0):
            image = rng.integers(0, 200, (32, 32, 3))
            image[..., number % 2] += 20
            path = folder / split / "ab"[number % 2] / f"{number:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tf.io.encode_png(image.astype("uint8")).numpy())
    return f"folder:{folder}"


@dataclasses.dataclass
class Run:
    """A training in an output folder, which goes on each time that it is started.

    Args:
        command: List of strings, `train` and its options.
        output: `Path` of the output folder.
        seconds: Float, between checkpoints within an epoch.
        notes: `Path`, beside which there are files of what the runs print and of the digest. Defaults to
            `None`: the output folder.
    """

    command: list
    output: Path
    seconds: float
    notes: Path | None = None

    def start(self, kill="never"):
        """Starts it; `kill` is as train.py takes it."""
        command = [sys.executable, TRAIN, str(self.seconds), self._beside("digest"), kill, "--"]
        command += [*self.command, "--output", self.output]
        with open(self._beside("log"), "ab") as log:
            return subprocess.Popen([*map(str, command)], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def finish(self):
        """Runs it to its end; returns the exit code."""
        return self.start().wait()

    def kill_after(self, seconds, trains=False):
        """Starts it and kills it after a time, from when it `trains` on; returns whether it still ran."""
        step, process = self.step(), self.start()
        while trains and process.poll() is None and self.step() == step:
            time.sleep(0.02)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        return process.wait() == -signal.SIGKILL

    def kill_before_checkpoints(self):
        """Starts it and kills it when it has begun to write, but no checkpoint; returns whether it could."""
        process = self.start()
        while process.poll() is None and not (self.output / "tensorboard").exists():
            time.sleep(0.02)
        process.kill()
        return process.wait() == -signal.SIGKILL and not self.checkpoints()

    def kill_in_checkpoint(self, number, place):
        """Starts it and has it killed in a checkpoint; returns whether it was."""
        code = self.start(f"{number}:{place}").wait()
        return code == -signal.SIGKILL and (self.output / "checkpoints" / UNFINISHED).exists()

    def checkpoints(self):
        """Checkpoints that have their name, the last one first."""
        return sorted((self.output / "checkpoints").glob("step-*.state"), reverse=True)

    def step(self):
        """The step of the last checkpoint; 0 before the first one."""
        found = self.checkpoints()
        return int(found[0].stem.partition("-")[2]) if found else 0

    def printed(self):
        """All that it has printed, from the first start on."""
        path = self._beside("log")
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def result(self):
        """What must be equal to the bit: variables at the end, the best model's weights, the history."""
        with zipfile.ZipFile(self.output / "model.keras") as model:
            best = hashlib.sha256(model.read("model.weights.h5")).hexdigest()
        return {
            "final variables": self._beside("digest").read_text(),
            "best model's weights": best,
            "history": (self.output / "history.csv").read_text(encoding="utf-8"),
        }

    def _beside(self, kind):
        notes = self.notes or self.output
        return notes.with_name(f"{notes.name}.{kind}")


def uninterrupted(options, folder):
    """Trains in one go.

    Returns:
        The finished `Run`, the seconds until its first checkpoint, and those from there to its end.
    """
    run, start = Run(command(options, folder), folder / "whole", options.seconds), time.monotonic()
    process = run.start()
    while process.poll() is None and not run.checkpoints():
        time.sleep(0.05)
    first = time.monotonic()
    if process.wait() != 0:
        sys.exit(f"The training without a fault does not end well:\n{run.printed()[-3000:]}")
    return run, first - start, time.monotonic() - first


def differing(run, whole):
    """Names of what is not equal between two finished runs."""
    expected, got = whole.result(), run.result()
    return [name for name in expected if got[name] != expected[name]]
