"""Times another package's model as it is, and with its grouped convolutions replaced.

    python benchmarks/mend.py [--model FILE.keras] [--runs N] [--output mend.json]

Trains zeromodels' ResNeXt-50 (`pip install zeromodels`), or the classifier in a file, on CPU, compares both
models' outputs and exports both. A step of the plain ResNeXt-50 takes about a minute.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
from jobs import training_steps
from machine import facts

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import keras_sknet  # noqa: E402


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="a .keras file (zeromodels' ResNeXt-50)")
    parser.add_argument("--runs", type=int, default=5, help="steps of the replaced model (5)")
    parser.add_argument("--plain-runs", type=int, default=2, help="steps of the plain model (2)")
    parser.add_argument("--batch", type=int, default=8, help="images in a step (8)")
    parser.add_argument("--output", type=Path, default=Path("mend.json"))
    options = parser.parse_args()
    plain = keras.models.load_model(options.model) if options.model else resnext()
    replaced = keras_sknet.replace_grouped_convolutions(plain)
    result = {
        "machine": facts({}),
        "grouped convolutions": sum(type(layer) is keras_sknet.GroupedConv2D for layer in replaced.layers),
        "largest difference of outputs": difference(plain, replaced),
        "export": {"plain": exported(plain), "replaced": exported(replaced)},
        "seconds": {
            "replaced": seconds(replaced, options.batch, options.runs),
            "plain": seconds(plain, options.batch, options.plain_runs),
        },
    }
    medians = {name: statistics.median(values) for name, values in result["seconds"].items()}
    result["ratio"] = medians["plain"] / medians["replaced"]
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    print(
        f"A training step: plain {medians['plain']:.2f} s, replaced {medians['replaced']:.2f} s, "
        f"ratio {result['ratio']:.1f}"
    )


def resnext():
    from zeromodels.models.resnext import ResNeXtImageClassify

    keras.utils.set_random_seed(0)
    return ResNeXtImageClassify()


def difference(plain, replaced):
    images = np.random.default_rng(0).normal(size=(2, *plain.input_shape[1:])).astype("float32")
    outputs = [np.asarray(model(images, training=False)) for model in (plain, replaced)]
    return float(np.abs(outputs[0] - outputs[1]).max())


def exported(model):
    """`"written"`, or the reason why a SavedModel that needs no XLA could not be."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            keras_sknet.export_saved_model(model, Path(folder, "saved"))
        except ValueError as error:
            return str(error)
    return "written"


def seconds(model, batch, runs):
    run = training_steps(model, batch, model.input_shape[1], optimizer="keras")
    run(1)
    return run(runs)


if __name__ == "__main__":
    main()
