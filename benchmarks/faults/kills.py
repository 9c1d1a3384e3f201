"""A training that is killed again and again, against the same one in one go: equal to the last bit?

    python benchmarks/faults/kills.py [--kills 10] [--checkpoint-kills 3] [--data digits] [--epochs 12]

Runs `keras-sknet train` once without a fault. Then again in another folder, where it gets `kill -9` before
its first checkpoint, at random moments, and in the midst of a checkpoint's write: with half of its bytes in
the unfinished file, with all of them, and before it gets its name. Each time the same command is given again.
At the end the variables of model and optimizer, the best model and the history of both must be the same.
(Checkpoints are written each second here, not every five minutes, so that kills fall between them.)
"""

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from runs import Run, add_options, differing, uninterrupted  # noqa: E402
from tally import Tally  # noqa: E402
from train import PLACES  # noqa: E402


def arguments():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--kills", type=int, default=10, metavar="N", help="at random moments (10)")
    parser.add_argument(
        "--checkpoint-kills", type=int, default=3, metavar="N", help="within a checkpoint's write (3)"
    )
    add_options(parser)
    return parser.parse_args()


def main():
    options, tally = arguments(), Tally("kills")
    with tempfile.TemporaryDirectory() as folder:
        whole, starting, training = uninterrupted(options, Path(folder))
        print(f"without a fault: {starting:.0f} s to the first checkpoint, {training:.0f} s more", flush=True)
        run = Run(whole.command, Path(folder, "killed"), options.seconds)
        for name, kill in plan(options, starting, training):
            before = run.step()
            killed = kill(run)
            tally.add(name, killed, came(run, before) if killed else "it had ended before")
        code, good = run.finish(), len(tally.bad) == 0
        different = differing(run, whole) if code == 0 else [f"exit code {code}"]
        print(f"equal to the run without a fault: {'NO: ' + ', '.join(different) if different else 'yes'}")
        for name, value in whole.result().items():
            print(f"  {name}: {value if name != 'history' else 'of ' + str(value.count(chr(10)) - 1)}")
        if different or not good:
            print(run.printed()[-3000:])
    return max(tally.end(), bool(different))


def plan(options, starting, training):
    """Yields name and function of each kill, those in a checkpoint between the random ones."""
    yield "kill 1, before the first checkpoint", lambda run: run.kill_before_checkpoints()
    draw = random.Random(options.seed)
    kinds = ["moment"] * options.kills + ["checkpoint"] * options.checkpoint_kills
    draw.shuffle(kinds)
    moments = places = 0
    for number, kind in enumerate(kinds, 2):
        if kind == "checkpoint":
            write, place, places = draw.randint(1, 3), PLACES[places % len(PLACES)], places + 1
            yield (
                f"kill {number}, in write {write} of a checkpoint ({place})",
                lambda run, write=write, place=place: run.kill_in_checkpoint(write, place),
            )
            continue
        # Every third one falls into the start, so that most are between steps, however fast the machine is.
        trains, moments = moments % 3 != 0, moments + 1
        # All together they leave something to be killed.
        after = draw.uniform(0, training / (options.kills + 1) if trains else starting)
        yield (
            f"kill {number}, {after:.1f} s after {'it trains' if trains else 'the start'}",
            lambda run, after=after, trains=trains: run.kill_after(after, trains),
        )


def came(run, before):
    now = run.step()
    return f"from step {before} to step {now}" if now > before else f"still at step {now}"


if __name__ == "__main__":
    sys.exit(main())
