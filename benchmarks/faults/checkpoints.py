"""Checkpoints that are cut or have a bit flipped: found, named, and the one before taken?

    python benchmarks/faults/checkpoints.py [--flips 500] [--cuts 500] [--data digits] [--epochs 12]

Kills a training, damages its last checkpoint and starts it again by the same command, once with a cut file
and once with a flipped bit: it must name the file and end with the same weights, to the bit, as a run without
a fault. Then flips one bit at each of many random places of that checkpoint, and cuts it at others:
every one must be found, and the one before be what is read.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from runs import Run, add_options, differing, uninterrupted  # noqa: E402
from tally import Tally  # noqa: E402


def arguments():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument(
        "--flips", type=int, default=500, metavar="N", help="bits to flip, one at a time (500)"
    )
    parser.add_argument("--cuts", type=int, default=500, metavar="N", help="places to cut at (500)")
    add_options(parser)
    return parser.parse_args()


def main():
    options, tally = arguments(), Tally("damaged checkpoints")
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        whole, *_ = uninterrupted(options, folder)
        print("without a fault: done", flush=True)
        run = Run(whole.command, folder / "killed", options.seconds)
        # In its fourth write, so that there are two to choose from.
        if not run.kill_in_checkpoint(4, "half") or len(run.checkpoints()) != 2:
            sys.exit(
                f"checkpoints.py: error: no two checkpoints in time; train longer\n{run.printed()[-3000:]}"
            )
        for name, damage in (("cut", cut), ("flipped", flipped)):
            again = Run(run.command, folder / name, run.seconds)
            shutil.copytree(run.output, again.output)
            last = again.checkpoints()[0]
            place, contents = damage(last.read_bytes(), draw)
            last.write_bytes(contents)
            tally.add(f"{name} at byte {place:,}, training goes on", *resumed(again, whole, last))
        every_one(tally, run.output / "checkpoints", options, draw)
    return tally.end()


def resumed(run, whole, last):
    """Whether a run goes on as it should, and what came of it."""
    code = run.finish()
    if code:
        return False, f"exit code {code}: {run.printed()[-1000:]}"
    named = f"{last} is damaged (its checksum does not match): the one before is taken" in run.printed()
    different = differing(run, whole)
    said = "named, the one before taken" if named else "NOT NAMED"
    return named and not different, f"{said}, {f'{different} differ' if different else 'end equal'}"


def every_one(tally, folder, options, draw):
    """Damages the last checkpoint in many ways, and reads it after each."""
    from keras_sknet.training.state import load_state

    before, last = sorted(folder.glob("step-*.state"))
    step, whole = int(before.stem.partition("-")[2]), last.read_bytes()
    for name, damage, count in (("flip", flipped, options.flips), ("cut", cut, options.cuts)):
        found = 0
        for _ in range(count):
            place, contents = damage(whole, draw)
            last.write_bytes(contents)
            state, complaints = load_state(folder)
            good = state is not None and state[1]["step"] == step and len(complaints) == 1
            good = good and complaints[0].startswith(f"{last} is damaged (")
            tally.count(f"{name} at byte {place:,}", good)
            found += good
        print(f"{name}s: {found:,} of {count:,} found in a file of {len(whole):,} bytes", flush=True)
    last.write_bytes(whole)
    state, complaints = load_state(folder)
    tally.add("the file as it was", state[1]["step"] > step and not complaints, "read")


def flipped(contents, draw):
    """Place and contents with one bit changed."""
    place = draw.randrange(len(contents))
    changed = bytearray(contents)
    changed[place] ^= 1 << draw.randrange(8)
    return place, bytes(changed)


def cut(contents, draw):
    """Place and contents up to there."""
    place = draw.randrange(len(contents))
    return place, contents[:place]


if __name__ == "__main__":
    sys.exit(main())
