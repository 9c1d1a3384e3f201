"""Unpacks an archive of small photographs and parts it into splits by a fixed seed, for `keras-sknet train`.

    python benchmarks/photographs.py cifar10-train-jpeg.zip cifar10

The archive holds `train/CLASS/NAME.jpg`: CIFAR-10's 50,000 training images as JPEG files. Of all, drawn
with `--seed`, 5,000 become `test` (held out to the end) and 1,000 `validation` (which choose the best epoch);
the rest is `train`.
"""

import argparse
import sys
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np

HELD_OUT = {"test": 5000, "validation": 1000}


def photographs(archive):
    """Names of the images in an archive, sorted."""
    names = (name for name in archive.namelist() if name.startswith("train/") and name.endswith(".jpg"))
    return sorted(name for name in names if len(PurePosixPath(name).parts) == 3)


def parted(names, seed, held_out=HELD_OUT):
    """`{split: names}`, drawn without regard to class."""
    order = iter(np.random.default_rng(seed).permutation(names).tolist())
    splits = {split: sorted(next(order) for _ in range(count)) for split, count in held_out.items()}
    return {**splits, "train": sorted(order)}


def main():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("archive", type=Path)
    parser.add_argument("folder", type=Path, help="new, outside of the checkout")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.folder.exists():
        sys.exit(f"{arguments.folder} exists: nothing is overwritten")
    with zipfile.ZipFile(arguments.archive) as archive:
        for split, names in parted(photographs(archive), arguments.seed).items():
            for name in names:
                _, label, file = PurePosixPath(name).parts
                path = arguments.folder / split / label / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
            print(f"{split}: {len(names):,} images")


if __name__ == "__main__":
    main()
