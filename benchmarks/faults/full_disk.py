"""A full disk under everything that writes: one clear error, and nothing that was there is lost?

    sudo .venv/bin/python benchmarks/faults/full_disk.py [--only NAME ...] [--shares 0 0.5 0.9]

Mounts a small tmpfs (which takes root; `unshare --map-root-user --mount python …` does without) and runs
`keras-sknet` commands that write to it: once with room enough, and then with room for shares of what was
written. Each must end with exit code 2 and one line on stderr that names the file; all files that were there,
an older version of the export among them, must be as they were, and nothing half-written be left. A training
must keep its checkpoints and its best model, and go on when there is room again, to the same weights, to the
bit, as on a disk that was never full.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path[:0] = [str(Path(__file__).resolve().parents[number]) for number in (1, 2)]

from disk import mounted  # noqa: E402
from runs import Run, add_options, differing, uninterrupted  # noqa: E402
from tally import Tally  # noqa: E402
from worker import Worker, WorkerError  # noqa: E402

MEGABYTES = 64
EXPORT = ("export", "{model}", "--format")
COMMANDS = {
    "export to SavedModel": (*EXPORT, "saved-model", "--version", "2", "-o", "{disk}/served"),
    "export to LiteRT": (*EXPORT, "tflite", "-o", "{disk}/new.tflite"),
    "export to LiteRT, float16": (*EXPORT, "tflite", "--quantize", "float16", "-o", "{disk}/new.tflite"),
    "export to LiteRT, dynamic": (*EXPORT, "tflite", "--quantize", "dynamic", "-o", "{disk}/new.tflite"),
    "export to LiteRT, int8": (
        *(*EXPORT, "tflite", "--quantize", "int8", "--data", "{images}"),
        *("-o", "{disk}/new.tflite"),
    ),
    "export to ONNX": (*EXPORT, "onnx", "-o", "{disk}/new.onnx"),
    "export to OpenVINO": (*EXPORT, "openvino", "-o", "{disk}/new"),
    "analyze": ("analyze", "{model}", "--data", "folder:{images}", "--images", "16", "-o", "{disk}/new"),
    "evaluate": ("evaluate", "{model}", "--data", "folder:{images}", "-o", "{disk}/new"),
    "convert to timm": ("convert", "{timm}", "-o", "{disk}/new.safetensors"),
    "convert to Keras": ("convert", "{checkpoint}", "--model", "SKResNet18", "-o", "{disk}/new.keras"),
}
TRAININGS = {"train, a checkpoint": 0.2, "train, the best model": 1000}  # and seconds between checkpoints
LINE = re.compile(r"keras-sknet: error: [^\n]*(No space left|disk full|disk is full|ENOSPC)[^\n]*\n?", re.I)


def arguments():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    names = (*COMMANDS, *TRAININGS)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument(
        "--shares", nargs="+", type=float, default=[0, 0.5, 0.9], metavar="X", help="(0 0.5 0.9)"
    )
    add_options(parser)
    return parser.parse_args()


def main():
    options, tally = arguments(), Tally("full disks")
    try:
        with tempfile.TemporaryDirectory() as folder, mounted(Path(folder, "disk"), MEGABYTES) as disk:
            whole, *_ = uninterrupted(options, Path(folder))
            print("a training on a disk with room: done", flush=True)
            for name in options.only:
                if name in COMMANDS:
                    run_command(tally, name, disk, whole, options.shares)
                else:
                    train(tally, name, disk, whole, TRAININGS[name], options.shares)
                shutil.rmtree(disk.root / "run", ignore_errors=True)
    except PermissionError as error:
        sys.exit(f"full_disk.py: error: {error}")
    return tally.end()


def run_command(tally, name, disk, whole, shares):
    """Runs a command with room enough, and then with less."""
    root = whole.output.parent
    places = {"disk": disk.root, "model": whole.output / "model.keras", "images": root / "images"}
    places |= {"timm": root / "timm.keras", "checkpoint": root / "checkpoint.safetensors"}
    with Worker("faults/command.py") as worker:

        def ask(arguments):
            try:
                return worker.ask(make="command", arguments=[part.format(**places) for part in arguments])
            except WorkerError as error:
                return {"code": None, "stderr": f"{error}\n"}

        if "convert" in COMMANDS[name] and not places["timm"].exists():
            import keras_sknet

            keras_sknet.SKResNet18(classes=10).save(places["timm"])
            ask(("convert", "{timm}", "-o", "{checkpoint}"))
        before = older(disk)
        answer = ask(COMMANDS[name])
        new = {key for key in disk.contents() if key not in before}
        size = sum((disk.root / key).stat().st_size for key in new if (disk.root / key).is_file())
        good = answer["code"] == 0 and size > 0
        if not tally.add(f"{name}, with room", good, f"{size:,} bytes" if good else answer["stderr"].strip()):
            return
        for share in shares:
            before = older(disk)
            disk.fill(int(share * size))
            answer = ask(COMMANDS[name])
            disk.empty()
            judge(tally, f"{name}, room for {share:.0%}", answer, before, disk.contents())


def older(disk):
    """Empties the disk but for a file and an older version of a model; returns what lies there."""
    for path in disk.root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in ("mine.txt", "served/1/saved_model.pb"):
        path = disk.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n" * 1000)
    return disk.contents()


def judge(tally, name, answer, before, after):
    complaints = [] if answer["code"] == 2 else [f"exit code {answer['code']}"]
    if not LINE.fullmatch(answer["stderr"]):
        complaints.append("not one clear line")
    lost = sorted(key for key in before if after.get(key) != before[key])
    left = sorted(key for key in after if key not in before)
    complaints += [f"changed: {lost}"] * bool(lost) + [f"left behind: {left}"] * bool(left)
    said = answer["stderr"].strip()[-600:]
    tally.add(name, not complaints, f"{said}{'  <-- ' + '; '.join(complaints) if complaints else ''}")


def train(tally, name, disk, whole, seconds, shares):
    """Kills a training on the disk, goes on with less room, and again with enough."""
    older(disk)
    run = Run(whole.command, disk.root / "run", seconds, whole.output.with_name(name))
    write = 3 if seconds < 1 else 2
    if not run.kill_in_checkpoint(write, "half"):
        sys.exit(f"full_disk.py: error: there was no {write}. checkpoint\n{run.printed()[-3000:]}")
    # What a killed process leaves is written over; here it would be in the way of counting bytes.
    next((run.output / "checkpoints").glob(".*")).unlink()
    kept = run.checkpoints()[0] if seconds < 1 else run.output / "model.keras"
    for share in shares:
        before, printed = good_files(run), len(run.printed())
        disk.fill(int(share * kept.stat().st_size))
        code = run.finish()
        disk.empty()
        lines = run.printed()[printed:].splitlines()
        said = [line for line in lines if line.startswith(("keras-sknet: error", "Traceback"))]
        answer = {"code": code, "stderr": "\n".join(said)}
        judge(tally, f"{name}, room for {share:.0%}", answer, before, good_files(run))
    code = run.finish()
    different = differing(run, whole) if code == 0 else [f"exit code {code}: {run.printed()[-1000:]}"]
    came = f"{different} differ" if different else "equal to a training on a disk with room"
    tally.add(f"{name}, room again", not different, came)


def good_files(run):
    """What must stay as it is, and all that is hidden or unfinished."""
    return {
        str(path.relative_to(run.output)): path.read_bytes()
        for path in run.output.rglob("*")
        if path.is_file() and "tensorboard" not in path.parts
    }


if __name__ == "__main__":
    sys.exit(main())
