"""What the runs of evidence.py show: effects with intervals, hypotheses, tables and figures."""

import json

import numpy as np
from evidence_runs import SETTINGS, response_of

from keras_sknet.analysis.response import ScaleRow, write_rows
from keras_sknet.analysis.statistics import paired_bootstrap
from keras_sknet.analysis.style import literal_text, plain, scale_legend, scale_style
from keras_sknet.figures import INK, MUTED, new_figure

WAYS = ("drawn", "cropped", "drawn, centred", "cropped, centred")
RIVALS = ("SKNet", "SENet", "ResNeXt")
SPREAD = ("mean", "channels", "images", "near_half")
LOW, MIDDLE, LAST = 2, 3, 4  # stages as the paper counts
# Of the change of a(largest kernel) - a(smallest) from the smallest scale to the largest, mean over the units
# of a stage and over digits. A number is above 0 if its whole 95 % interval is.
HYPOTHESES = {
    1: f"rises in low units: above 0 in stage {LOW}",
    2: f"rises less in middle ones: above 0 in stage {MIDDLE} and in stage {LOW} less stage {MIDDLE}",
    3: f"gone in the last stage: not above 0 in stage {LAST}",
}


def read_results(output):
    """The results of all runs there are, in the order of settings and seeds."""
    paths = output.glob("runs/*/result.json")
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    order = list(SETTINGS)
    return sorted(results, key=lambda result: (order.index(result["setting"]), result["seed"]))


def effects(response):
    """`{unit: (change, low, high)}` from the smallest scale to the largest, with its 95 % interval."""
    last = [row for row in response.rows() if row.scale == response.scales[-1]]
    return {row.unit: (row.change, row.change_low, row.change_high) for row in last}


def stage_changes(response):
    """`{stage: array (digits,)}`: the change of each digit, mean over the units of a stage."""
    by_stage = {}
    for unit in response.units:
        difference = response.difference(unit)
        by_stage.setdefault(int(unit.split("_")[1]), []).append(difference[:, -1] - difference[:, 0])
    return {stage: np.mean(changes, axis=0) for stage, changes in by_stage.items()}


def hypotheses(response):
    """The numbers that they are about, each with its interval, and the list of those that hold."""
    changes = stage_changes(response)
    columns = {
        "low": changes[LOW],
        "middle": changes[MIDDLE],
        "low \N{MINUS SIGN} middle": changes[LOW] - changes[MIDDLE],
        "last": changes[LAST],
    }
    intervals = paired_bootstrap(np.stack(list(columns.values()), axis=1))
    numbers = {
        name: (float(column.mean()), float(low), float(high))
        for (name, column), low, high in zip(columns.items(), *intervals, strict=True)
    }
    rises = {name: low > 0 for name, (_, low, _) in numbers.items()}
    holds = {1: rises["low"], 2: rises["middle"] and rises["low \N{MINUS SIGN} middle"], 3: not rises["last"]}
    return {"numbers": numbers, "holds": [number for number, held in holds.items() if held]}


def write_all(output):
    """Writes everything that evidence.py promises, of all results in its folder."""
    results = read_results(output)
    responses = {
        (result["setting"], result["seed"], way): response_of(result, way, output)
        for result in results
        if "kernels" in result
        for way in WAYS
    }
    found = {key: effects(response) for key, response in responses.items()}
    held = {key: hypotheses(response) for key, response in responses.items()}
    summary = {
        "runs": results,
        "effects": [_labelled(key, effects=values) for key, values in found.items()],
        "hypotheses": [_labelled(key, **values) for key, values in held.items()],
    }
    (output / "results.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    write_rows(
        output / "accuracy.csv",
        ("setting", "seed", "parameters", "multiply_adds", "epoch", *results[0]["accuracy"]),
        [[r["setting"], r["seed"], r["parameters"], r["multiply_adds"], r["best_epoch"],
          *r["accuracy"].values()] for r in results],
        replace=True,
    )  # fmt: skip
    write_rows(
        output / "response.csv",
        ("setting", "seed", "way", *ScaleRow._fields),
        [[*key, *row] for key, response in responses.items() for row in response.rows()],
        replace=True,
    )
    (output / "tables.md").write_text(tables(results, found, held), encoding="utf-8")
    draw_responses(responses, output / "attention-by-scale.png")
    draw_accuracy(results, output / "accuracy-by-scale.png")


def tables(results, found, held):
    """The Markdown tables that docs/results.md holds, one after the other."""
    parts = [f"## {way}\n\n{effect_table(found, 'SKNet', way)}" for way in WAYS]
    by_way = means_table("way", {way: _seeds(found, "SKNet", way) for way in WAYS})
    parts.append(f"## By way\n\n{by_way}")
    parts.append(f"## Accuracy by way\n\n{way_table(results, 'SKNet')}")
    parts.append(f"## Hypotheses\n\n{hypothesis_table(held, 'SKNet')}")
    parts += [f"## Controls, {way}\n\n{control_table(found, way)}" for way in WAYS[:2]]
    parts.append(f"## Deeper, drawn\n\n{effect_table(found, 'deeper', 'drawn')}")
    parts.append(f"## Hypotheses, deeper\n\n{hypothesis_table(held, 'deeper')}")
    parts.append(f"## Where the attention lies\n\n{spread_table(results)}")
    parts.append(f"## Rivals\n\n{accuracy_table(results, RIVALS)}")
    parts.append(f"## Accuracy of the controls\n\n{accuracy_table(results, SETTINGS)}")
    return "\n\n".join(parts) + "\n"


def effect_table(found, setting, way):
    """A row a unit, a column a seed: the effect with its interval; and the mean over seeds."""
    runs = _seeds(found, setting, way)
    rows = [
        [
            unit,
            *[_interval(*run[unit]) for run in runs.values()],
            _mean(run[unit][0] for run in runs.values()),
        ]
        for unit in next(iter(runs.values()), {})
    ]
    return markdown(["unit", *[f"seed {seed}" for seed in runs], "mean ± sd"], rows)


def hypothesis_table(held, setting):
    """A row for each way of enlarging and seed: the numbers, and which hypotheses hold."""
    rows, names = [], []
    for way in WAYS:
        for seed, run in _seeds(held, setting, way).items():
            names = list(run["numbers"])
            numbers = [_interval(*values) for values in run["numbers"].values()]
            rows.append([way, str(seed), *numbers, ", ".join(map(str, run["holds"])) or "none"])
    return markdown(["way", "seed", *names, "hold"], rows)


def means_table(header, rows):
    """A row for each group of runs, but for empty ones: the effect by unit, mean ± sd over seeds."""
    rows = {name: list(runs.values()) for name, runs in rows.items() if runs}
    units = list(next(iter(rows.values()))[0]) if rows else []
    lines = [[name, *[_mean(run[unit][0] for run in runs) for unit in units]] for name, runs in rows.items()]
    return markdown([header, *units], lines)


def control_table(found, way):
    """Effects of all settings that have the same units."""
    same = [name for name, setting in SETTINGS.items() if setting.network == "SKNet"]
    return means_table("network", {name: _seeds(found, name, way) for name in same})


def spread_table(results):
    """A row a setting: where the largest kernel's attention lies and varies, mean over units and seeds."""
    rows = []
    for setting in SETTINGS:
        runs = [result for result in results if result["setting"] == setting and "spread" in result]
        if runs:
            mean, channels, images, near_half = (
                np.mean([unit[key] for run in runs for unit in run["spread"].values()]) for key in SPREAD
            )
            projection = np.mean([list(run["projection"].values()) for run in runs])
            numbers = [f"{value:.3f}" for value in (mean, channels, images)]
            rows.append([setting, *numbers, f"{near_half * 100:.0f} %", f"{projection:.3f}"])
    names = ("mean", "sd over channels", "sd over images", "within 0.05 of 0.5", "sd of projection")
    return markdown(["network", *names], rows)


def accuracy_table(results, settings):
    """A row a setting: size, and accuracy by scale, mean ± sd over seeds."""
    rows = []
    for setting in settings:
        runs = [result for result in results if result["setting"] == setting]
        if runs:
            accuracies = [_percent([run["accuracy"][scale] for run in runs]) for scale in runs[0]["accuracy"]]
            size = f"{runs[0]['parameters']:,}", f"{runs[0]['multiply_adds'] / 1e6:.2f} M"
            rows.append([setting, str(len(runs)), *size, *accuracies])
    scales = [scale if scale == "all" else f"{scale}×" for scale in results[0]["accuracy"]]
    return markdown(["network", "seeds", "parameters", "multiply-adds", *scales], rows)


def way_table(results, setting):
    """A row for each way of enlarging: accuracy by scale, mean ± sd over seeds."""
    runs = [result["accuracy_by_way"] for result in results if result["setting"] == setting]
    scales = [scale for scale in results[0]["accuracy"] if scale != "all"]
    rows = [[way, *[_percent([run[way][scale] for run in runs]) for scale in scales]] for way in WAYS if runs]
    return markdown(["way", *[f"{scale}×" for scale in scales]], rows)


def markdown(header, rows):
    """A table of strings."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw_responses(responses, path):
    """Change of attention by scale: a panel a unit, a row for each of the two ways, a line a run."""
    ways = WAYS[:2]
    shown = [setting for setting in ("SKNet", "one scale") if _seeds(responses, setting, "drawn")]
    if not shown:
        return
    units = next(iter(responses.values())).units
    figure = new_figure(1.7 * len(units) + 0.6, 4.2)
    axes = figure.subplots(len(ways), len(units), sharex=True, sharey="row", squeeze=False)
    for way, row in zip(ways, axes, strict=True):
        for unit, axis in zip(units, row, strict=True):
            axis.axhline(0, color=MUTED, linewidth=0.8, linestyle=":")
            for number, setting in enumerate(shown):
                for seed, response in _seeds(responses, setting, way).items():
                    means = response.difference(unit).mean(axis=0)
                    label = setting if seed == 0 else None
                    style = scale_style(number, markersize=3)
                    axis.plot(response.scales, means - means[0], linewidth=1, label=label, **style)
            axis.set_xticks(response.scales, [f"{scale:g}×" for scale in response.scales])
            plain(axis)
        row[0].set_ylabel(f"change, {way}", fontsize=9, color=INK)
    for unit, axis in zip(units, axes[0], strict=True):
        axis.set_title(unit, fontsize=9, color=INK, fontweight="bold")
    scale_legend(figure, axes[0, 0])
    literal_text(figure).savefig(path, dpi=76, pil_kwargs={"optimize": True})


def draw_accuracy(results, path):
    """Accuracy by scale of the rivals: the mean over seeds, and every seed."""
    rivals = [name for name in RIVALS if any(result["setting"] == name for result in results)]
    figure = new_figure(5, 3.4)
    axis = plain(figure.subplots())
    for number, name in enumerate(rivals):
        runs = [result["accuracy"] for result in results if result["setting"] == name]
        scales = [scale for scale in runs[0] if scale != "all"]
        values = np.array([[run[scale] for scale in scales] for run in runs])
        places = np.arange(len(scales)) + 0.12 * (number - 1)
        style = scale_style(number, markersize=6)
        axis.plot(places, values.mean(axis=0), linestyle="", label=name, **style)
        axis.plot(places, values.T, linestyle="", **{**style, "markersize": 3, "alpha": 0.5})
    axis.set_xticks(range(len(scales)), [f"{scale}×" for scale in scales])
    axis.set_xlabel("scale of the digit", fontsize=9, color=INK)
    axis.set_ylabel("held-out digits right", fontsize=9, color=INK)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    scale_legend(figure, axis)
    figure.savefig(path, dpi=76, pil_kwargs={"optimize": True})


def _seeds(values, setting, way):
    """`{seed: value}` of one setting and way."""
    return {seed: value for (s, seed, w), value in values.items() if (s, w) == (setting, way)}


def _labelled(key, **values):
    return {**dict(zip(("setting", "seed", "way"), key, strict=True)), **values}


def _signed(value, digits=3):
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _interval(mean, low, high):
    return f"{_signed(mean)} [{_signed(low)}, {_signed(high)}]"


def _mean(values):
    values = list(values)
    return _signed(np.mean(values)) + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")


def _percent(values):
    """The deviation, of a sample, in percent too."""
    values = np.multiply(values, 100)
    return f"{values.mean():.1f} %" + (f" ± {values.std(ddof=1):.1f} %" if len(values) > 1 else "")
