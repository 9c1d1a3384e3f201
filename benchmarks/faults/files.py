"""Model files and weights that are cut or have a bit flipped: found, harmless, or read as something else?

    python benchmarks/faults/files.py [KIND ...] [--flips 400] [--cuts 100] [--seed 0]

Writes the files of a small network, flips one bit at each of many random places of them, cuts them at others,
and loads each in another process, under guard: no crash, no hang, no process started, no connection, no file
removed. The kinds, and what is promised of each:

  keras        a .keras file, as the commands load it: every one is found
  keras_weights  the same as the argument `weights`: every one is found
  cache        converted weights in the cache, and their checksum: every one is found and made anew
  h5           a .weights.h5 file: damage to the structure is found; a flip in a value gives another value
  safetensors  likewise

A file that is found gives one error, and it names the file. What is not found must be loaded bit-equal
(harmless), or, of the last two, have one number that is another.
"""

import argparse
import collections
import json
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from checkpoints import cut, flipped  # noqa: E402
from tally import Tally  # noqa: E402

from keras_sknet.weights.hub import file_checksum  # noqa: E402

KINDS = ("keras", "keras_weights", "cache", "h5", "safetensors")
# Where a value may change and nobody knows.
WITHOUT_CHECKSUM = ("h5", "safetensors")
SECONDS = 600
LOADS = Path(__file__).resolve().parent / "loads.py"


def arguments():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)} (all)")
    parser.add_argument(
        "--flips", type=int, default=400, metavar="N", help="bits to flip, one at a time (400)"
    )
    parser.add_argument("--cuts", type=int, default=100, metavar="N", help="places to cut at (100)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(0)")
    options = parser.parse_args()
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return options


def main():
    options = arguments()
    codes = []
    with tempfile.TemporaryDirectory() as folder:
        files = write(Path(folder))
        for kind in options.kinds or KINDS:
            codes.append(damage(kind, files[kind], options, Path(folder)))
    return max(codes)


def write(folder):
    """Writes the files, and the hub's folder with the cache; returns `{kind: path}`."""
    from huggingface_hub import constants
    from loads import HUB, build
    from safetensors.numpy import save_file

    from keras_sknet.weights import cache, to_timm

    model = build(stem_padding="torch")
    model.set_weights([array + 0.01 for array in model.get_weights()])
    model.save(folder / "net.keras")
    model.save_weights(folder / "net.weights.h5")
    save_file(to_timm(model), folder / "net.safetensors", {"format": "pt"})
    checksum = file_checksum(folder / "net.safetensors")
    hub = folder / "home" / "hub" / f"models--{HUB.replace('/', '--')}"
    (hub / "blobs").mkdir(parents=True)
    (hub / "refs").mkdir()
    commit = hub / "snapshots" / ("0" * 40)
    commit.mkdir(parents=True)
    (hub / "refs" / "main").write_text(commit.name)
    shutil.copy(folder / "net.safetensors", hub / "blobs" / checksum)
    (commit / "model.safetensors").symlink_to(hub / "blobs" / checksum)
    (commit / "config.json").write_text("{}")
    os.environ["KERAS_HOME"] = str(folder / "home")
    os.environ["HF_HUB_CACHE"] = constants.HF_HUB_CACHE = str(folder / "home" / "hub")
    os.environ["HF_HUB_OFFLINE"] = "1"
    kept = cache.keep(f"{HUB.partition('/')[2]}-{checksum}", model.save_weights)
    return {
        "keras": folder / "net.keras",
        "keras_weights": folder / "net.keras",
        "cache": kept,
        "h5": folder / "net.weights.h5",
        "safetensors": folder / "net.safetensors",
    }


class Worker:
    """A process that loads files, started anew after a crash or a hang."""

    def __init__(self):
        self.process = None

    def load(self, kind, path):
        """What came of a load: loads.py's answer, or `{"crash": ...}` or `{"hang": ...}`."""
        if self.process is None:
            command = [sys.executable, str(LOADS)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self.process = subprocess.Popen(command, text=True, **pipes)
        self.process.stdin.write(f"{kind} {path}\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], SECONDS)
        answer = self.process.stdout.readline() if ready else None
        if answer:
            return json.loads(answer)
        code = self.stop()
        return {"crash": f"exit code {code}"} if ready else {"hang": f"no answer in {SECONDS} s"}

    def stop(self):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        code = self.process.wait()
        self.process = None
        return code


def damage(kind, path, options, folder):
    """Damages a file of one kind in many ways; returns the exit code."""
    draw, worker = random.Random(options.seed), Worker()
    tally, came = Tally(kind), collections.defaultdict(collections.Counter)
    targets = [path, path.with_name(path.name + ".sha256")] if kind == "cache" else [path]
    contents = {target: target.read_bytes() for target in targets}
    whole = worker.load(kind, path)
    if whole.get("changed") != 0 or whole["forbidden"]:
        sys.exit(f"files.py: error: the undamaged file is not loaded: {whole}")
    for name, change, count in (("flip", flipped, options.flips), ("cut", cut, options.cuts)):
        for number in range(count):
            target = targets[number % 10 == 9 and len(targets) - 1]
            place, changed = change(contents[target], draw)
            # The cache is damaged in its place.
            damaged = target if kind == "cache" else folder / f"damaged-{target.name}"
            damaged.write_bytes(changed)
            found = worker.load(kind, path if kind == "cache" else damaged)
            outcome = judge(kind, found, damaged, path)
            came[name][outcome] += 1
            if kind == "cache":
                for target, content in contents.items():
                    target.write_bytes(content)
            good = outcome in promised(kind, name)
            tally.count(f"{name} at byte {place:,} of {target.name}: {outcome} {describe(found)}", good)
        counts = ", ".join(f"{n:,} {outcome}" for outcome, n in sorted(came[name].items()))
        print(f"{kind}, {name}s in {len(contents[path]):,} bytes: {counts}", flush=True)
    worker.stop()
    return tally.end()


def promised(kind, name):
    if kind not in WITHOUT_CHECKSUM:
        return {"found"}
    return {"found", "harmless", "one number another"} if name == "flip" else {"found"}


def judge(kind, found, damaged, path):
    """What came of a load, in a word or two."""
    if found.get("forbidden"):
        return "forbidden"
    for outcome in ("crash", "hang"):
        if outcome in found:
            return outcome
    if "other" in found:
        return "another exception"
    if kind == "cache":
        named = "is damaged" in found["printed"] and str(damaged.parent) in found["printed"]
        anew = path.with_name(path.name + ".sha256").read_text() == file_checksum(path) + "\n"
        return "found" if named and anew and found.get("changed") == 0 else "not made anew"
    if "error" in found:
        return "found" if str(damaged) in found["error"] else "found, file not named"
    return {0: "harmless", 1: "one number another"}.get(found["changed"], "other numbers")


def describe(found):
    return found.get("error") or found.get("other") or found.get("crash") or ""


if __name__ == "__main__":
    sys.exit(main())
