"""`keras-sknet analyze`: whether a model's attention turns to larger kernels as objects grow."""

import argparse
import platform
import shlex
import sys
from pathlib import Path

import keras
import numpy as np

import keras_sknet
from keras_sknet.cli.arguments import positive_integer
from keras_sknet.cli.data import add_data_options, open_data
from keras_sknet.cli.errors import CommandError
from keras_sknet.cli.models import load_model
from keras_sknet.cli.output import require_unused
from keras_sknet.data import Subset, naming_corrupt_files
from keras_sknet.extras import import_extra
from keras_sknet.files import filled_whole

SPLITS = ("validation", "test", "train")
IMAGES = 1000
DESCRIPTION = """\
Enlarges images about their centre, as the paper does, and measures how each SK unit of a model shares its
attention between kernels at every scale. No training is needed, and labels serve to tell classes apart only.

written to the output folder:
  index.html   the report: figures, tables to sort, all in one file that needs no network
  figures/     the same figures as PNG and SVG
  units.csv    difference between the largest and the smallest kernel by unit and scale, its change with a
               95 % interval (paired bootstrap over images), the mean size of the kernels
  classes.csv  the same by class
  images.csv   the difference in every unit, image by image
"""


def add_to(commands):
    """Adds the command to the parsers of `keras-sknet`."""
    parser = commands.add_parser(
        "analyze",
        help="report how attention turns to larger kernels as objects grow",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", type=Path, metavar="MODEL.keras", help="a model with SK units")
    add_data_options(parser)
    parser.add_argument("--split", choices=SPLITS, default=SPLITS[0], help="(default: %(default)s)")
    parser.add_argument(
        "--units",
        nargs="+",
        metavar="UNIT",
        help="units to look at one by one, e.g. sk_2_3 (default: a low, a middle and the last one)",
    )
    parser.add_argument(
        "--scales",
        nargs="+",
        type=float,
        default=[1.0, 1.5, 2.0],
        metavar="X",
        help="how many times to enlarge, 1 or more, ascending (default: 1.0 1.5 2.0)",
    )
    parser.add_argument(
        "--images",
        type=positive_integer,
        default=IMAGES,
        metavar="N",
        help="how many images, a random choice that is always the same (default: %(default)s, or all)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="a new or empty folder"
    )
    parser.set_defaults(run=run)


def run(arguments):
    """Runs the command."""
    from keras_sknet.analysis.report import write_report

    output = arguments.output
    require_unused(output)
    model = load_model(arguments.model, "MODEL.keras")
    try:
        data, _ = open_data(arguments, arguments.split)
        source = _sample(data, arguments.images)
        print(f"Analyzing {len(source):,} of {len(data):,} images at {len(arguments.scales)} scales")
        with naming_corrupt_files(source), filled_whole(output) as unfinished:
            facts = _facts(arguments, model, len(source), len(data))
            write_report(
                unfinished, model, source, scales=arguments.scales, units=arguments.units, facts=facts
            )
    except ValueError as error:
        raise CommandError(str(error)) from error
    print(f"Written to {output}: open {output / 'index.html'}")


def _sample(source, count):
    if count >= len(source):
        return source
    return Subset(source, np.sort(np.random.default_rng(0).choice(len(source), count, replace=False)))


def _facts(arguments, model, used, all):
    backend = keras.backend.backend()
    versions = {
        "keras_sknet": keras_sknet.__version__,
        "keras": keras.__version__,
        backend: sys.modules[backend].__version__,
        "numpy": np.__version__,
        "matplotlib": import_extra("matplotlib").__version__,
        "python": platform.python_version(),
    }
    return {
        "command": _command(arguments),
        "model": f"{model.name}, {model.count_params():,} parameters, from {arguments.model}",
        "images": f"{used:,} of {all:,}, {arguments.split} of {arguments.data}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }


def _command(arguments):
    """The command that does the same again, with the values of all options."""
    options = [arguments.model, "--data", arguments.data, "--split", arguments.split]
    options += ["--data-dir", arguments.data_dir] if arguments.data_dir else []
    options += ["--skip-corrupt"] if arguments.skip_corrupt else []
    options += ["--units", *arguments.units] if arguments.units else []
    options += ["--scales", *arguments.scales, "--images", arguments.images, "-o", arguments.output]
    return shlex.join(["keras-sknet", "analyze", *map(str, options)])
