"""The paper's ablations of kernels in small: which kernels to select from, and whether to select at all.

    python examples/ablate_kernels.py [--table 6] [--settings 3x3 5x5] [--epochs 6] [--seeds 1]

Trains SKNetSmall with each setting of the paper's Table 6 (the second kernel beside a 3×3) or Table 7 (sets
of kernels, with attention and as a plain sum) on the digits at three scales, and writes a table (CSV) and a
plot of the accuracy on held-out digits by scale to `ablation/`. About a minute a setting and seed on two CPU
cores.
Needs `pip install ".[train]"` in the checkout.
"""

import argparse
import csv
import dataclasses
from pathlib import Path

import keras
import matplotlib.figure
import numpy as np

import keras_sknet
from keras_sknet import Branch
from keras_sknet.data import Digits
from keras_sknet.training import DIGITS, accuracy_by_scale, fit

# Groups of 2 where the paper's networks have 32; as there, wider kernels have more.
K3, K5, K7 = (Branch(3, dilation, groups=2) for dilation in (1, 2, 3))
TABLES = {
    6: {
        "3x3": {"branches": (K3, K3)},
        "3x3, D=2": {"branches": (K3, K5)},
        "3x3, D=3": {"branches": (K3, K7)},
        "5x5": {"branches": (K3, Branch(5, groups=4))},
        "7x7": {"branches": (K3, Branch(7, groups=8))},
    },
    7: {
        "K3": {"branches": (K3,)},
        "K5": {"branches": (K5,)},
        "K7": {"branches": (K7,)},
        **{
            f"{name}, {kind}": {"branches": branches, "use_attention": kind == "SK"}
            for name, branches in (
                ("K3+K5", (K3, K5)),
                ("K3+K7", (K3, K7)),
                ("K5+K7", (K5, K7)),
                ("K3+K5+K7", (K3, K5, K7)),
            )
            for kind in ("sum", "SK")
        },
    },
}
COLOURS = ("#0072B2", "#D55E00", "#009E73")  # Okabe and Ito's


def trained(options, recipe, seed, folder):
    """Parameters, and accuracy on held-out digits by scale, of one setting."""
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    model = keras_sknet.SKNetSmall(class_names=Digits.class_names, **options)
    fit(model, Digits("train"), Digits("validation"), recipe, folder, seed=seed, verbose=False)
    best = keras.models.load_model(folder / "model.keras")
    accuracy, by_scale = accuracy_by_scale(best, Digits("test"))
    return best.count_params(), {"all": accuracy, **by_scale}


def draw(results, path):
    """A group of points for each setting, a point for each scale: mean over seeds, and the range."""
    figure = matplotlib.figure.Figure((1.5 + 0.8 * len(results), 4), dpi=150, layout="constrained")
    axis = figure.subplots()
    for number, scale in enumerate(Digits("test").scales):
        values = np.array([[found[scale] for found in runs] for runs in results.values()])
        means = values.mean(axis=1)
        ranges = np.abs(np.stack([values.min(axis=1), values.max(axis=1)]) - means)
        places = np.arange(len(results)) + 0.2 * (number - 1)
        label, colour = f"{scale:g}x", COLOURS[number]
        axis.errorbar(places, means, ranges, fmt="os^"[number], color=colour, capsize=3, label=label)
    axis.set_xticks(range(len(results)), results, rotation=30, ha="right")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.set_ylabel("held-out digits right")
    axis.grid(axis="y", alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(title="scale of the digit", frameon=False)
    figure.savefig(path)


def main():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--table", type=int, choices=TABLES, default=6)
    parser.add_argument("--settings", nargs="+", metavar="NAME", help="some of the table's (default: all)")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("ablation"))
    arguments = parser.parse_args()
    settings = TABLES[arguments.table]
    chosen = arguments.settings or list(settings)
    if unknown := set(chosen) - set(settings):
        parser.error(f"--settings: no {sorted(unknown)}; there are {list(settings)}")
    for name in ("ablation.csv", "ablation.png"):
        if (arguments.output / name).exists():
            parser.error(f"argument --output: {arguments.output / name} exists: name another folder")
    recipe = dataclasses.replace(DIGITS, epochs=arguments.epochs)

    results, rows = {}, []
    for name in chosen:
        results[name] = []
        for seed in range(arguments.seeds):
            folder = arguments.output / "runs" / f"{arguments.table}-{name}-{seed}"
            parameters, found = trained(settings[name], recipe, seed, folder)
            results[name].append(found)
            rows.append({"setting": name, "seed": seed, "parameters": parameters, **found})
            print(f"{name}, seed {seed}: {parameters:,} parameters, {found['all']:.1%}", flush=True)
    with open(arguments.output / "ablation.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    draw(results, arguments.output / "ablation.png")


if __name__ == "__main__":
    main()
