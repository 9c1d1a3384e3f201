"""Images a second of a training's input alone, of its step alone, and of both together.

    python benchmarks/throughput.py folder:cifar10 [--recipe cifar-cosine] [--rounds 5] [--steps 60]

What feeds a network must be faster than the network. The rows take turns; nothing else should run meanwhile.
"""

import argparse
import itertools
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from machine import Others  # noqa: E402


def rows(data, name):
    """{name: function of a number of steps that takes so many}, and the images of a step."""
    import tensorflow as tf

    import keras_sknet
    from keras_sknet.cli.train import DEFAULTS
    from keras_sknet.data import batches, open_source
    from keras_sknet.training import RECIPES

    recipe, (network, size) = RECIPES[name], DEFAULTS[name]
    source = open_source(data, "train", cache=True)
    classes = len(source.class_names)
    model = getattr(keras_sknet, network)(input_shape=(size, size, 3), classes=classes)
    recipe.compile(model, len(source))

    def stream():
        images = batches(source, recipe.step_size, epochs=1000, transform=recipe.transform(size))
        return images.map(lambda x, y: (x, tf.one_hot(y, classes)))

    batch = next(iter(stream()))

    def train(data):
        return lambda steps: model.fit(data, steps_per_epoch=steps, verbose=0)

    return {
        # A new one each time: what was read ahead between turns would count for nothing.
        "input alone": lambda steps: sum(1 for _ in itertools.islice(stream(), steps)),
        "step alone": train(tf.data.Dataset.from_tensors(batch).repeat()),
        "both": train(stream()),
    }, recipe.step_size


def timed(turn, steps):
    start, processor = time.perf_counter(), time.process_time()
    turn(steps)
    return {
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - processor,
    }


def main():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("data", metavar="folder:PATH", help="as `keras-sknet train` takes it")
    parser.add_argument("--recipe", default="cifar-cosine")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60, help="of a turn (60)")
    options = parser.parse_args()
    turns, images = rows(options.data, options.recipe)
    rates, others = {name: [] for name in turns}, Others()
    for number in range(options.rounds + 1):
        for name, turn in turns.items():
            answer = others.watch(lambda turn=turn: timed(turn, options.steps))
            if number:  # the first round traces and warms up
                rates[name].append(options.steps * images / answer["seconds"])
    print("| what | images a second, median of turns | lowest and highest |\n|---|---|---|")
    for name, values in rates.items():
        print(f"| {name} | {statistics.median(values):,.0f} | {min(values):,.0f}–{max(values):,.0f} |")
    print(f"\n{others.warning()}")


if __name__ == "__main__":
    main()
