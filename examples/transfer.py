"""Transfer in two stages: a network trained on the digits 0 to 4 learns 5 to 9 from a few examples of each.

    python examples/transfer.py [--examples 10] [--seeds 3] [--epochs 14] [--output transfer]

Frozen stages with a new head first, then all of it at a lower rate; beside it the same network trained from
scratch on the same examples for as many steps. Prints the accuracy on held-out digits for each seed
(docs/results.md has what it gave).
Needs `pip install ".[train]"` in the checkout.
"""

import argparse
import dataclasses
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_sknet
from keras_sknet.data import Digits, Subset, evaluation_batches
from keras_sknet.evaluation import evaluate
from keras_sknet.training import DIGITS, finetune, fit

# Ten digits a class are 150 images at three scales: an epoch is short, so there are many.
HEAD = dataclasses.replace(DIGITS, epochs=20, batch_size=50, learning_rate=0.2)
WHOLE = dataclasses.replace(DIGITS, epochs=40, batch_size=50, learning_rate=0.1)
SCRATCH = dataclasses.replace(DIGITS, epochs=60, batch_size=50, learning_rate=0.1)


class Half:
    """The digits 0 to 4, or 5 to 9, as a source of five classes; `examples` of each, or all."""

    def __init__(self, split, first, examples=None):
        digits = Digits(split)
        labels = digits.element_labels
        chosen = [np.flatnonzero(labels == first + label) for label in range(5)]
        # Every digit is there at every scale.
        kept = None if examples is None else examples * len(digits.scales)
        self._digits = Subset(digits, np.concatenate([indices[:kept] for indices in chosen]))
        self._first = first
        self.class_names = digits.class_names[first : first + 5]

    def __len__(self):
        return len(self._digits)

    def element(self, index, seed, epoch):
        image, label = self._digits.element(index, seed, epoch)
        return image, tf.cast(label, tf.int32) - self._first


def network(source):
    return keras_sknet.SKNetSmall(classes=5, class_names=source.class_names)


def accuracy(path):
    """Of a kept model, on held-out digits 5 to 9."""
    test = Half("test", 5)
    model = keras.models.load_model(path)
    return 1 - evaluate(model, evaluation_batches(test, 64), test.class_names).top1_error


def compare(seed, examples, epochs, output):
    """Accuracy of transfer and from scratch, from the same few examples."""
    folders = {name: output / f"{name}-{seed}" for name in ("base", "transfer", "scratch")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    few, validation = Half("train", 5, examples), Half("validation", 5)
    keras.utils.set_random_seed(seed)
    old = Half("train", 0)
    recipe = dataclasses.replace(DIGITS, epochs=epochs)
    fit(network(old), old, Half("validation", 0), recipe, folders["base"], seed=seed, verbose=False)

    base = keras.models.load_model(folders["base"] / "model.keras")
    model = keras_sknet.replace_classifier(base, few.class_names)
    parts = {"head": HEAD, "whole": WHOLE, "freeze_through": 2, "seed": seed, "verbose": False}
    finetune(model, few, validation, folders["transfer"], **parts)

    keras.utils.set_random_seed(seed)
    fit(network(few), few, validation, SCRATCH, folders["scratch"], seed=seed, verbose=False)
    return {name: accuracy(folders[name] / "model.keras") for name in ("transfer", "scratch")}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=10, help="of each of the digits 5 to 9")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=DIGITS.epochs, help="of the network on 0 to 4")
    parser.add_argument("--output", type=Path, default=Path("transfer"))
    arguments = parser.parse_args()
    results = []
    for seed in range(arguments.seeds):
        results.append(compare(seed, arguments.examples, arguments.epochs, arguments.output))
        print(f"seed {seed}: {', '.join(f'{name} {share:.1%}' for name, share in results[-1].items())}")
    for name in results[0]:
        values = [result[name] for result in results]
        print(f"{name}: {np.mean(values):.1%} ± {np.std(values):.1%}")


if __name__ == "__main__":
    main()
