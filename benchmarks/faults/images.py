"""Damaged and odd image files among good ones: named, counted, and no other's answer changed?

    python benchmarks/faults/images.py [--files 200] [--good 200] [--seed 0]

Writes a folder of good image files and the same folder with files of 28 other kinds among them (pictures.py),
and gives both to `train`, `evaluate` and `analyze` with --skip-corrupt, to `predict` (a .keras file, a LiteRT
file and a SavedModel) and to the signature `classify_jpeg`. Each file that cannot be read must be named with
its reason, nothing else be, the command end as documented, and what is said of all other files be equal to
the last bit to what is said of them alone.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402
from pictures import encoded, odd_files, picture  # noqa: E402
from tally import Tally  # noqa: E402

CLASSES = ("a", "b")
SIZE = BATCH = 32
SMALL = f"has 1x1 pixels, fewer than {SIZE}x{SIZE}"


def arguments():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--files", type=int, default=200, metavar="N", help="of other kinds (200)")
    parser.add_argument("--good", type=int, default=200, metavar="N", help="good ones (200)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(0)")
    options = parser.parse_args()
    if options.good < BATCH:
        parser.error(f"argument --good: at least {BATCH}, a batch")
    return options


def main():
    options, tally = arguments(), Tally("image files, in each command")
    with tempfile.TemporaryDirectory() as folder:
        test = Faults(Path(folder), options, tally)
        print(f"{len(test.files):,} odd files, {len(test.bad):,} of which cannot be read", flush=True)
        for step in (test.train, test.evaluate, test.analyze, test.predict, test.serve):
            step()
    return tally.end()


class Faults:
    """Two folders, `mixed` and `alone`, and what the commands say of them."""

    def __init__(self, folder, options, tally):
        self.folder, self.tally = folder, tally
        self.files = odd_files(options.files, options.seed)
        self.bad = {name: reason for name, (_, reason) in self.files.items() if reason}
        good = {f"good-{n:03}.jpg": encoded(picture(10_000 + n)) for n in range(options.good)}
        readable = {name: contents for name, (contents, reason) in self.files.items() if not reason}
        whole = {**good, **{name: contents for name, (contents, _) in self.files.items()}}
        self._write("mixed", whole, whole)
        # What training leaves out for being too small is left out here.
        fit = {name: contents for name, contents in readable.items() if not name.startswith("one_pixel")}
        self._write("alone", {**good, **fit}, {**good, **readable})

    def _write(self, name, training, validation):
        for split, files in (("train", training), ("validation", validation)):
            for file, contents in files.items():
                path = self.folder / name / split / CLASSES[len(file) % 2] / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(contents)

    def paths(self, name):
        return sorted((self.folder / name / "validation").glob("*/*"))

    def run(self, *command):
        """Exit code, and what was printed to standard output and to standard error."""
        from keras_sknet.cli import main

        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(part) for part in command])
        return code, out.getvalue(), err.getvalue()

    def named(self, command, printed, splits, extra=()):
        """Counts every file that must be named, in every split, and that no other one is."""
        said = {}
        for line in printed.splitlines():
            if line.startswith("Skipped: "):
                path, _, reason = line.removeprefix("Skipped: ").partition(", which ")
                said[path] = reason
        expected = {}
        for split in splits:
            for name, reason in {**self.bad, **(dict(extra) if split == "train" else {})}.items():
                path = self.folder / "mixed" / split / CLASSES[len(name) % 2] / name
                expected[str(path)] = reason
        for path, reason in expected.items():
            told = said.get(path, "NOT NAMED")
            self.tally.count(f"{command}: {path}, which {reason}: {told}", told == reason)
        others = {path: reason for path, reason in said.items() if path not in expected}
        self.tally.add(
            f"{command}: {len(expected):,} to name", not others, f"{len(said):,} named {others or ''}"
        )

    def train(self):
        options = (
            "--model",
            "SKNetSmall",
            "--size",
            SIZE,
            "--epochs",
            1,
            "--batch-size",
            BATCH,
            "--no-export",
        )
        small = {name: SMALL for name in self.files if name.startswith("one_pixel")}
        weights = []
        for name in ("alone", "mixed"):
            output = self.folder / f"run-{name}"
            data = f"folder:{self.folder / name}"
            code, _, err = self.run("train", "--data", data, "--skip-corrupt", *options, "-o", output)
            if code:
                sys.exit(f"images.py: error: training ends with exit code {code}: {err}")
            weights.append(self._weights(output / "model.keras"))
        # Without a test split, validation stands for it.
        self.named("train", err, ("train", "validation"), small)
        same = all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
        self.tally.add("train: weights", same, "equal to the last bit" if same else "differ")
        skipped = json.loads((output / "metrics.json").read_text())["skipped"]
        self.tally.add("train: metrics.json", skipped == 2 * len(self.bad) + len(small), f"{skipped} skipped")

    def _weights(self, path):
        from keras_sknet.models.keras_file import load_keras_file

        self.model = load_keras_file(path)
        return self.model.get_weights()

    def evaluate(self):
        results = []
        for name in ("alone", "mixed"):
            output, data = self.folder / f"evaluation-{name}", f"folder:{self.folder / name}"
            model = self.folder / "run-mixed" / "model.keras"
            code, _, err = self.run("evaluate", model, "--data", data, "--skip-corrupt", "-o", output)
            found = json.loads((output / "evaluation.json").read_text()) if not code else {"code": code}
            results.append([found.get(key) for key in ("images", "top1_error", "loss")])
        self.named("evaluate", err, ("validation",))
        same = results[0] == results[1] and None not in results[0]
        self.tally.add("evaluate: images, error and loss", same, "equal" if same else f"differ: {results}")

    def analyze(self):
        rows = []
        for name in ("alone", "mixed"):
            output, data = self.folder / f"report-{name}", f"folder:{self.folder / name}"
            model = self.folder / "run-mixed" / "model.keras"
            options = ("--skip-corrupt", "--images", 10**6, "--scales", 1, 1.5, "-o", output)
            code, _, err = self.run("analyze", model, "--data", data, *options)
            if code:
                return self.tally.add("analyze", False, f"exit code {code}: {err[-1000:]}")
            with open(output / "images.csv", newline="", encoding="utf-8") as file:
                rows.append({Path(row[0]).name: row[1:] for row in csv.reader(file)})
        self.named("analyze", err, ("validation",))
        same = rows[0] == rows[1]
        what = f"equal for {len(rows[0]) - 1:,} images" if same else "differ"
        return self.tally.add("analyze: images.csv", same, what)

    def predict(self):
        from keras_sknet.cli import predict
        from keras_sknet.export import export_saved_model, export_tflite

        models = {".keras": self.folder / "run-mixed" / "model.keras"}
        models |= {"LiteRT": self.folder / "net.tflite", "SavedModel": self.folder / "served"}
        export_tflite(self.model, models["LiteRT"])
        export_saved_model(self.model, models["SavedModel"])
        printed = predict.print_best
        for format, model in models.items():
            found = {}

            def keep(file, scores, *others, found=found):
                # All of it, where the command prints four digits.
                found[file.name] = scores.copy()
                printed(file, scores, *others)

            predict.print_best = keep
            paths, code_alone = self.paths("mixed"), 0
            # The good ones of a batch together: a kernel may round batches of other sizes in other ways.
            for start in range(0, len(paths), predict.BATCH):
                batch = [path for path in paths[start : start + predict.BATCH] if path.name not in self.bad]
                code_alone = max(code_alone, self.run("predict", model, *batch)[0]) if batch else code_alone
            alone = dict(found)
            found.clear()
            code, out, err = self.run("predict", model, *paths)
            predict.print_best = printed
            mixed, files = found, sum(not line.startswith(" ") for line in out.splitlines())
            self.named(f"predict, {format}", err, ("validation",))
            same = alone.keys() == mixed.keys() and len(mixed) == files
            same = same and all(np.array_equal(alone[file], mixed[file]) for file in alone)
            came = "equal to the last bit" if same else "differ"
            self.tally.add(f"predict, {format}: {len(mixed):,} answers", same, came)
            self.tally.add(f"predict, {format}: exit code", (code_alone, code) == (0, 2), f"{code}")
            last = err.splitlines()[-1]
            count = f"{len(self.bad):,} of {len(self.paths('mixed')):,} files"
            self.tally.add(f"predict, {format}: last line", count in last, last)

    def serve(self):
        import tensorflow as tf

        classify = tf.saved_model.load(str(self.folder / "served")).signatures["classify_jpeg"]
        good = [path for path in self.paths("mixed") if path.name not in self.bad]

        def answers():
            # One by one: a kernel may round a batch of one image in another way than a larger one.
            return [classify(tf.constant([path.read_bytes()]))["probabilities"].numpy() for path in good]

        before = answers()
        for others in ([], [good[0]], good[:30]):
            refused = 0
            for name in self.bad:
                (path,) = (self.folder / "mixed" / "validation").glob(f"*/{name}")
                request = tf.constant([file.read_bytes() for file in (*others, path)])
                try:
                    classify(request)
                    fails = False
                except tf.errors.InvalidArgumentError:
                    fails = True
                refused += fails
                self.tally.count(f"classify_jpeg: {name} and {len(others)} good ones", fails)
            what = f"requests of a bad file and {len(others)} good ones"
            print(f"classify_jpeg: {refused:,} of {len(self.bad):,} {what} refused", flush=True)
        for path, expected, answer in zip(good, before, answers(), strict=True):
            self.tally.count(f"classify_jpeg: {path.name} after them", np.array_equal(answer, expected))
        print(f"classify_jpeg: {len(good):,} good files before and after that")


if __name__ == "__main__":
    sys.exit(main())
