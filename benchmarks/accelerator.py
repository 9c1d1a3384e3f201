"""Images a second of SKNet-50 on a GPU or TPU: Keras on JAX against timm under torch.compile.

    python benchmarks/accelerator.py [--peer PYTHON] [--batch N …] [--dtype DTYPE …] [--output FILE]

This interpreter needs JAX for the accelerator, --peer's needs PyTorch for it and timm. Images stay on the
device; every number comes from a process of its own. --profile FOLDER keeps JAX's profiles.
"""

import argparse
import itertools
import json
import statistics
import sys
from pathlib import Path

from machine import facts
from worker import Worker, WorkerError, once

WARM_UP = 3  # runs
DTYPES = ("float32", "bfloat16")


def arguments():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter that has torch and timm")
    parser.add_argument("--peer-device", default="cuda", help="PyTorch's name of the device (cuda)")
    parser.add_argument("--batch", type=int, nargs="+", default=[128, 256, 512], metavar="N")
    parser.add_argument("--dtype", nargs="+", default=DTYPES, choices=DTYPES)
    parser.add_argument("--runs", type=int, default=30, help="runs that are timed (30)")
    parser.add_argument("--size", type=int, default=224, help="height and width of the images (224)")
    parser.add_argument("--small", action="store_true", help="a small network, for a trial of this script")
    parser.add_argument("--profile", metavar="FOLDER", help="where JAX's profiles go")
    parser.add_argument("--output", type=Path, default=Path("accelerator.json"))
    return parser.parse_args()


def main():
    options = arguments()
    machine = facts({"ours": sys.executable, "peer": options.peer})
    machine["jax_device"] = once("jobs_jax.py", make="device")
    print(json.dumps(machine, indent=1), file=sys.stderr, flush=True)
    rows = []
    for make, dtype, batch in itertools.product(("train", "infer"), options.dtype, options.batch):
        command = {"make": make, "network_name": "sknet50", "dtype": dtype, "batch": batch}
        command |= {"size": options.size, "small": options.small}
        row = {"job": make, "dtype": dtype, "batch": batch}
        profile = {}
        if options.profile:
            profile = {"profile": str(Path(options.profile, f"{make}-{dtype}-{batch}"))}
        row["keras"] = rate("jobs_jax.py", sys.executable, options.runs, {**command, **profile})
        if options.peer:
            command |= {"compiled": True, "device": options.peer_device}
            row["timm"] = rate("peer.py", options.peer, options.runs, command)
        rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
        result = json.dumps({"machine": machine, "rows": rows}, indent=1)
        options.output.write_text(result + "\n", encoding="utf-8")
    print(
        f"Keras on JAX computed on: {machine['jax_device']['kind']} ({machine['jax_device']['platform']})\n"
    )
    print(table(rows))


def rate(script, python, runs, command):
    """Images a second, and of how many seconds a run; a `note` where it could not be measured."""
    try:
        with Worker(script, python) as worker:
            worker.ask(**command)
            first = worker.ask(run=WARM_UP)["seconds"][0]
            median = statistics.median(worker.ask(run=runs)["seconds"])
    except WorkerError as error:
        return {"note": str(error)}
    return {"images_per_second": command["batch"] / median, "seconds": median, "first_seconds": first}


def table(rows):
    lines = [
        "| job | dtype | batch | Keras on JAX, images/s | timm compiled, images/s | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        rates = [row.get(name, {}).get("images_per_second") for name in ("keras", "timm")]
        texts = [f"{rate:,.1f}" if rate else "" for rate in rates]
        ratio = f"{rates[0] / rates[1]:.2f}" if all(rates) else ""
        lines.append(f"| {row['job']} | {row['dtype']} | {row['batch']} | {' | '.join(texts)} | {ratio} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
