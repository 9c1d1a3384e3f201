"""Where the time of a training step or of an inference goes: milliseconds by kind of operation.

    python benchmarks/operations.py [--job train|infer] [--network NAME] [--dtype POLICY] [--slowest N]

TensorFlow's profiler records the operations, run one after another (one thread between operations, all
cores within one), so that their times add up.
"""

import argparse
import collections
import os
import re
import sys
import tempfile
from pathlib import Path

os.environ["TF_NUM_INTEROP_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jobs  # noqa: E402

KERNEL = re.compile(r"(.+):(\w+)")


def main():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--job", choices=("train", "infer"), default="train")
    parser.add_argument("--network", choices=jobs.NETWORKS, default="sknet50")
    parser.add_argument("--batch", type=int, default=8, help="images (8)")
    parser.add_argument("--size", type=int, default=224, help="height and width of the images (224)")
    parser.add_argument("--dtype", default="float32", help="dtype policy, e.g. mixed_bfloat16 (float32)")
    parser.add_argument("--runs", type=int, default=5, help="runs to average over (5)")
    parser.add_argument("--slowest", type=int, default=0, help="also so many of the slowest operations (0)")
    parser.add_argument("--small", action="store_true", help="a small network, for a trial of this script")
    options = parser.parse_args()
    settings = {"dtype": options.dtype, "small": options.small}
    run = getattr(jobs, options.job)(options.network, options.batch, options.size, **settings)
    milliseconds, counts, operations = profile(run, options.runs)
    print("| operation | ms | share | times |\n|---|---|---|---|")
    total = sum(milliseconds.values())
    for kind, value in milliseconds.most_common():
        print(f"| {kind} | {value:.1f} | {value / total:.1%} | {counts[kind] / options.runs:.0f} |")
    print(f"| all | {total:.1f} | | |")
    for name, value in operations.most_common(options.slowest):
        print(f"{value:8.2f} ms  {name}")


def profile(run, runs):
    """Returns, by kind of operation and by single operation, the milliseconds of one run; and the counts."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

    run(3)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            run(runs)
        (file,) = Path(folder).rglob("*.xplane.pb")
        space = XSpace.FromString(file.read_bytes())
    milliseconds, counts, operations = (collections.Counter() for _ in range(3))
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                # An operation is called "scope/name:Kernel#attributes"; what surrounds it has other names.
                name = plane.event_metadata[event.metadata_id].name.partition("#")[0]
                found = KERNEL.fullmatch(name)
                if found and "Execute" not in name and "::" not in name and not name.startswith("$"):
                    milliseconds[found[2]] += event.duration_ps / 1e9 / runs
                    counts[found[2]] += 1
                    operations[found[1]] += event.duration_ps / 1e9 / runs
    return milliseconds, counts, operations


if __name__ == "__main__":
    main()
