"""Shows how cost grows with image size, batch, number of kernels M and depth: this package, Keras' own
convolutions (inference only), and timm.

    python benchmarks/growth.py [--peer PYTHON] [--sweeps size batch M depth] [--output growth.json]

Writes medians as JSON and a figure of the same name as PNG (needs matplotlib). Its dots show what the
multiply-adds alone would make of this package's time at the point that all sweeps share.
"""

import argparse
import contextlib
import json
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

from machine import Others, facts
from worker import Worker, WorkerError

DEPTHS = {26: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
SWEEPS = {
    "size": (128, 192, 224, 320, 512),
    "batch": (1, 4, 8, 32),
    "M": (1, 2, 3, 4),
    "depth": tuple(DEPTHS),
}
BASE = {"size": 224, "batch": 4, "M": 2, "depth": 50}
SMALL_BASE = {"size": 32, "batch": 2, "M": 2, "depth": 50}


class Series(NamedTuple):
    """One line of the figure."""

    label: str
    script: str
    role: str
    options: dict


OURS, PLAIN, PEER = "keras_sknet", "Keras' convolutions", "timm"
COLOURS = {OURS: "C0", PLAIN: "C1", PEER: "C2"}
SERIES = {
    "infer": (
        Series(OURS, "jobs.py", "ours", {}),
        Series(PLAIN, "jobs.py", "ours", {"path": "keras"}),
        Series(PEER, "peer.py", "peer", {}),
    ),
    "train": (Series(OURS, "jobs.py", "ours", {}), Series(PEER, "peer.py", "peer", {})),
}


def main():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter that has torch and timm")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each point (3)")
    parser.add_argument("--limit", type=float, default=120, help="seconds until a point is given up (120)")
    parser.add_argument("--sweeps", nargs="+", choices=list(SWEEPS), default=list(SWEEPS))
    parser.add_argument("--small", action="store_true", help="small networks and images, for a trial")
    parser.add_argument("--output", type=Path, default=Path("growth.json"))
    options = parser.parse_args()

    pythons = {"ours": sys.executable, "peer": options.peer}
    result = {"machine": facts(pythons), "base": SMALL_BASE if options.small else BASE, "points": []}
    with contextlib.ExitStack() as stack:
        crew = Crew(stack, pythons, options)
        points = list(sweep_points(options.sweeps, result["base"]))
        for number, point in enumerate(points, 1):
            measured = {**point, **measure(point, crew)}
            result["points"].append(measured)
            print(f"{number}/{len(points)} {json.dumps(measured, ensure_ascii=False)}", flush=True)
    result["machine"]["share_of_others"] = crew.others.share()
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    figure = options.output.with_suffix(".png")
    draw(result, options.sweeps, figure)
    print(crew.others.warning())
    print(f"Written to {options.output} and {figure}")


def sweep_points(sweeps, base):
    """The settings to measure, each once: those of every sweep, the others as in `base`."""
    small = base["size"] < BASE["size"]
    seen = []
    for sweep in sweeps:
        values = SWEEPS[sweep]
        if small and sweep == "size":
            values = (base["size"], 2 * base["size"])
        for value in values:
            point = {**base, sweep: value}
            if point not in seen:
                seen.append(point)
                yield point


class Crew:
    """Workers that go from point to point; one that fails or takes too long is replaced."""

    def __init__(self, stack, pythons, options):
        self.stack, self.pythons, self.options = stack, pythons, options
        self.workers, self.others = {}, Others()

    def ask(self, script, role, **command):
        if script not in self.workers:
            worker = Worker(script, self.pythons[role])
            self.workers[script] = self.stack.enter_context(worker)
        try:
            return self.workers[script].ask(timeout=self.options.limit, **command)
        except WorkerError:
            self.workers.pop(script).close()
            raise

    def run(self, script, role, runs):
        return self.others.watch(lambda: self.ask(script, role, run=runs))

    def release(self):
        for worker in self.workers.values():
            worker.ask(release=True)


def measure(point, crew):
    """Measures all series at one point.

    Returns:
        `{"multiply_adds": of one image, "infer": {label: median ms, or why there is none}, "train": …}`.
    """
    network = {"network_name": "sknet50", "size": point["size"], "depths": None, "kernels": None}
    if crew.options.small:
        network["small"] = True
    if point["depth"] != BASE["depth"]:
        network["depths"] = DEPTHS[point["depth"]]
    if point["M"] != BASE["M"]:
        network["kernels"] = point["M"]
    found = crew.ask("jobs.py", "ours", make="multiply_adds", **network)
    for make, series in SERIES.items():
        found[make] = {}
        for label, script, role, options in series:
            if not crew.pythons[role]:
                continue
            try:
                crew.ask(script, role, make=make, batch=point["batch"], **network, **options)
                seconds = crew.run(script, role, crew.options.runs + 1)["seconds"][1:]
                found[make][label] = round(statistics.median(seconds) * 1e3, 3)
            except WorkerError as error:
                found[make][label] = str(error)
        # What the last one holds is memory that the next one may need.
        crew.release()
    return found


def draw(result, sweeps, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    base = result["base"]
    figure, rows = pyplot.subplots(
        len(SERIES), len(sweeps), figsize=(3.2 * len(sweeps), 6), squeeze=False, constrained_layout=True
    )
    for axes_of, make, title in zip(rows, SERIES, ("Inference", "Training step"), strict=True):
        for axes, sweep in zip(axes_of, sweeps, strict=True):
            others = [name for name in base if name != sweep]
            points = [p for p in result["points"] if all(p[name] == base[name] for name in others)]
            points.sort(key=lambda point: point[sweep])
            for label, *_ in SERIES[make]:
                line = [(p[sweep], p[make][label]) for p in points if isinstance(p[make].get(label), float)]
                axes.plot(
                    *zip(*line, strict=True) if line else ([], []), COLOURS[label], marker="o", label=label
                )
            line = arithmetic(points, make, base, sweep)
            axes.plot(*zip(*line, strict=True) if line else ([], []), "k:", label="as its multiply-adds")
            axes.set(xlabel=sweep, title=title, yscale="log")
            if sweep in ("size", "batch"):
                axes.set_xscale("log")
            axes.set_xticks([p[sweep] for p in points], [str(p[sweep]) for p in points], minor=False)
            axes.minorticks_off()
        axes_of[0].set_ylabel("ms")
    rows[0][0].legend(fontsize="small")
    pyplot.close(figure)
    figure.savefig(path, dpi=150)


def arithmetic(points, make, base, sweep):
    """Where this package's times would lie if they grew as the multiply-adds do from the base point on."""
    shared = [p for p in points if p[sweep] == base[sweep] and isinstance(p[make].get(OURS), float)]
    if not shared:
        return []
    (start,) = shared
    scale = start[make][OURS] / (start["multiply_adds"] * start["batch"])
    return [(p[sweep], scale * p["multiply_adds"] * p["batch"]) for p in points]


if __name__ == "__main__":
    main()
