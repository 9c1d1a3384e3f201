"""Tables of what was measured, in Markdown."""

import statistics

from rows import IMPORT_SECONDS, MEMORY, STARTUP, TIMES, TITLES


def summary(seconds):
    """Median and quartiles of times, in milliseconds."""
    quartiles = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else seconds * 3
    low, middle, high = (round(value * 1e3, 3) for value in quartiles)
    return {"median_ms": middle, "quartiles_ms": [low, high], "runs": len(seconds)}


def ratios(measured):
    """The ratios of which both rows were measured.

    Args:
        measured: Dictionary of row ids and dictionaries with `median_ms`, and `training_mb` where it counts.

    Returns:
        List of dictionaries: `of` ("time" or "memory"), `row`, `against`, `ratio`, `target` (or `None`) and
        `reached` (`None` without a target).
    """
    found = []
    for of, key, pairs in (("time", "median_ms", TIMES), ("memory", "training_mb", MEMORY)):
        for row, against, target in pairs:
            ours, theirs = (measured.get(name, {}).get(key) for name in (row, against))
            if ours and theirs:
                found.append(_ratio(of, row, against, ours / theirs, target))
    return found


def startup_ratios(startup):
    """As `ratios`, for the medians that speed.py takes of `jobs.startup`."""
    ours, theirs = startup["sknet50"], startup["ResNet50"]
    found = [_ratio("import, s", "keras_sknet", "", ours["import"], IMPORT_SECONDS)]
    for stage, target in STARTUP.items():
        found.append(_ratio(stage, "sknet50", "ResNet50", ours[stage] / theirs[stage], target))
    return found


def _ratio(of, row, against, ratio, target):
    ratio = round(ratio, 3)
    reached = None if target is None else ratio <= target
    return {"of": of, "row": row, "against": against, "ratio": ratio, "target": target, "reached": reached}


def times_table(measured):
    lines = []
    for group, title in TITLES.items():
        rows = {name: row for name, row in measured.items() if name.partition("/")[0] == group}
        if rows:
            lines += ["", *_header(title, "median ms", "quartiles", "runs", "memory MB")]
        for name, row in rows.items():
            if "note" in row:
                lines.append(f"| {name} | – | {row['note']} | | |")
                continue
            spread = "–".join(f"{value:,.1f}" for value in row["quartiles_ms"])
            memory = f"{row['training_mb']:,.0f}" if "training_mb" in row else ""
            lines.append(f"| {name} | {row['median_ms']:,.1f} | {spread} | {row['runs']} | {memory} |")
    return "\n".join(lines)


def startup_table(startup):
    lines = ["", *_header("Starting up, seconds", "import beyond Keras", "build", "first step")]
    for name, row in startup.items():
        lines.append(f"| {name} | {row['import']:.3f} | {row['build']:.2f} | {row['first step']:.2f} |")
    return "\n".join(lines)


def ratios_table(found):
    lines = ["", *_header("Ratio", "of", "against", "ratio", "target", "reached")]
    for ratio in found:
        target = "" if ratio["target"] is None else f"≤ {ratio['target']:.2f}"
        reached = {True: "yes", False: "no", None: ""}[ratio["reached"]]
        cells = (ratio["row"], ratio["of"], ratio["against"], f"{ratio['ratio']:.3f}", target, reached)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _header(*cells):
    return f"| {' | '.join(cells)} |", f"|{'---|' * len(cells)}"
