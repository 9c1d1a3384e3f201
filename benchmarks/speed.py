"""Times this package's networks on this machine's CPU, against timm, OpenVINO and Keras' own convolutions.

    python benchmarks/speed.py [--peer PYTHON] [--rounds N] [--only ROW …] [--output speed.json]

Prints tables of medians, quartiles and ratios, and writes all of it, with the machine's facts, as JSON.
Every row lives in a process of its own; the rows of a group take turns, round by round, so that what else
the machine does falls on all of them. Nothing else should run meanwhile.

Peers need an interpreter of their own (--peer), with `pip install torch timm`. OpenVINO runs what this
interpreter exports for it, and so must be here (`pip install openvino`). Rows without what they need are left
out.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from machine import Others, facts
from report import ratios, ratios_table, startup_ratios, startup_table, summary, times_table
from rows import TRAINING_BATCH, chosen, rows
from worker import Worker, WorkerError, once

SCRIPTS = {"ours": "jobs.py", "peer": "peer.py"}
LONGEST_TURN = 30  # runs


def arguments():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter that has torch and timm")
    parser.add_argument("--rounds", type=int, default=10, help="turns of every row (10)")
    parser.add_argument(
        "--turn", type=float, default=0.5, help="seconds that a turn of short runs takes (0.5)"
    )
    parser.add_argument("--only", nargs="+", metavar="ROW", help="groups, rows (* for any) or 'startup'")
    parser.add_argument("--compile", action="store_true", help="also timm under torch.compile")
    parser.add_argument(
        "--plain-training", action="store_true", help="also training with Keras' convolutions: minutes a step"
    )
    parser.add_argument("--size", type=int, default=224, help="height and width of the images (224)")
    parser.add_argument("--small", action="store_true", help="small networks, for a trial of this script")
    parser.add_argument("--output", type=Path, default=Path("speed.json"))
    return parser, parser.parse_args()


def main():
    parser, options = arguments()
    if not options.output.absolute().parent.is_dir():
        parser.error(f"--output: {options.output} is in no folder that exists")
    if options.rounds < 1:
        parser.error(f"--rounds: must be 1 or more, not {options.rounds}")
    with tempfile.TemporaryDirectory() as files:
        try:
            only = [pattern for pattern in options.only or () if pattern != "startup"]
            selected = rows(files, options.compile, options.plain_training)
            selected = chosen(selected, only) if only or not options.only else []
        except ValueError as error:
            parser.error(str(error))
        pythons = {"ours": sys.executable, "peer": options.peer and shutil.which(options.peer)}
        if options.peer and not pythons["peer"]:
            parser.error(f"--peer: {options.peer} is no interpreter")
        result = {"machine": facts(pythons), "settings": settings(options), "rows": {}}
        others = Others()
        print(json.dumps(result["machine"], indent=1), flush=True)
        for network in dict.fromkeys(row.network for row in selected if row.needs_file):
            say(f"exporting {network}")
            try:
                once("jobs.py", make="export", network_name=network, folder=files, **common(options))
            except WorkerError as error:  # its rows say that they miss the files
                say(f"not all of {network} was exported: {error}")
        for group in dict.fromkeys(row.group for row in selected):
            members = [row for row in selected if row.group == group]
            result["rows"].update(measure(members, pythons, options, others))
            write(result, others, options.output)  # what is measured is not lost if a later group is stopped
    if not options.only or "startup" in options.only:
        try:
            result["startup"] = measure_startup(options)
        except WorkerError as error:
            say(f"starting up: left out: {error}")
    write(result, others, options.output)
    print(times_table(result["rows"]))
    if "startup" in result:
        print(startup_table(result["startup"]))
    print(ratios_table(result["ratios"]))
    print(f"\n{others.warning()}")
    print(f"Written to {options.output}")


def write(result, others, output):
    of_startup = startup_ratios(result["startup"]) if "startup" in result else []
    result["ratios"] = ratios(result["rows"]) + of_startup
    result["machine"]["share_of_others"] = others.share()
    output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def settings(options):
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}


def common(options):
    return {"size": options.size, **({"small": True} if options.small else {})}


def measure(members, pythons, options, others):
    """Lets the rows of one group take turns.

    Returns:
        Dictionary of row ids and of what was measured; a row that could not be has a `note` that tells why.
    """
    measured, workers = {}, {}

    def leave_out(row, error):
        measured[row.id] = {"note": str(error)}
        say(f"{row.id}: left out: {error}")

    with contextlib.ExitStack() as stack:
        for row in members:
            try:
                if not pythons[row.role]:
                    raise WorkerError(f"no interpreter has what {row.role} needs")
                worker = stack.enter_context(Worker(SCRIPTS[row.role], pythons[row.role]))
                measured[row.id], runs = prepare(worker, row, options)
                workers[row.id] = row, worker, runs
            except WorkerError as error:
                leave_out(row, error)
        for number in range(options.rounds):
            for row, worker, runs in list(workers.values())[:: -1 if number % 2 else 1]:
                try:
                    take_turn(worker, row, runs, measured[row.id], others)
                except WorkerError as error:
                    del workers[row.id]
                    leave_out(row, error)
            medians = {name: statistics.median(measured[name]["seconds"]) * 1e3 for name in workers}
            text = ", ".join(f"{name} {median:,.1f}" for name, median in medians.items())
            say(f"round {number + 1}/{options.rounds}, medians in ms: {text}")
    for name in workers:
        measured[name].update(summary(measured[name]["seconds"]))
    return measured


def prepare(worker, row, options):
    """Builds and warms up; returns the record of the row, and how many runs make a turn."""
    size = {"size": options.size} if row.needs_file else common(options)
    record = {**worker.ask(**row.command, **size), "seconds": []}
    first, _, last = worker.ask(run=3)["seconds"]
    say(f"{row.id}: first run {first:.1f} s, then {last * 1e3:,.1f} ms")
    return record, max(1, min(LONGEST_TURN, round(options.turn / last)))


def take_turn(worker, row, runs, record, others):
    # The first of several runs only wakes the process up.
    idle = int(runs > 1)
    answer = others.watch(lambda: worker.ask(run=runs + idle))
    record["seconds"] += answer["seconds"][idle:]
    if row.command["make"] == "train":
        record["training_mb"] = answer["peak_mb"] - record["import_mb"]


def measure_startup(options, repeats=3):
    """Medians of starting up, each time in a fresh process, for SKNet-50 and Keras' ResNet-50."""
    runs = {"sknet50": [], "ResNet50": []}
    for number in range(min(repeats, options.rounds)):
        for network, answers in runs.items():
            command = {"network_name": network, "batch": TRAINING_BATCH, **common(options)}
            answers.append(once("jobs.py", make="startup", **command))
            say(f"startup {number + 1}/{repeats}: {network} {answers[-1]}")
    return {
        network: {stage: statistics.median(answer[stage] for answer in answers) for stage in answers[0]}
        for network, answers in runs.items()
    }


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
