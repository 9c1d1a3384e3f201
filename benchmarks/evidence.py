"""Evidence: whether attention rises with scale, and how SKNet fares beside SENet and ResNeXt of its size.

    python benchmarks/evidence.py --seeds 3 --epochs 8 -o evidence/

Trains small networks on handwritten digits at three scales (`keras_sknet.data.Digits`) and measures, on
held-out digits, accuracy by scale and how the attention of every SK unit answers to the size of the digit;
beside them the controls: networks trained at one scale only, random weights, larger initial projections,
and twice the training.

Writes to the folder `results.json`, `accuracy.csv`, `response.csv`, `tables.md` and two figures. A run whose
result is there is not repeated, and one that was killed goes on from its last checkpoint: called again with
everything done, it writes the tables anew. `--settings` names those to run, without any none; the tables
have all that is there.
Needs `pip install ".[train]"` in the checkout.
"""

import argparse
from pathlib import Path

from evidence_runs import SETTINGS, result_of
from evidence_tables import write_all


def main(arguments=None):
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--settings", nargs="*", metavar="NAME", default=list(SETTINGS), help="(all)")
    parser.add_argument("--digits", type=int, help="so many digits of each split, for a trial")
    parser.add_argument("-o", "--output", type=Path, default=Path("evidence"))
    options = parser.parse_args(arguments)
    if unknown := set(options.settings) - set(SETTINGS):
        parser.error(f"--settings: no {sorted(unknown)}; there are {list(SETTINGS)}")
    for name in ("seeds", "epochs", "digits"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name}: must be 1 or more. Received: {value}")

    for name in options.settings:
        for seed in range(options.seeds):
            result = result_of(name, seed, options.epochs, options.digits, options.output)
            print(f"{name}, seed {seed}: {result['accuracy']['all']:.1%}", flush=True)
    write_all(options.output)
    print(f"Written to {options.output}")


if __name__ == "__main__":
    main()
