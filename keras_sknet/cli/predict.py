"""`keras-sknet predict`: what a model in any format sees in image files."""

import argparse
from pathlib import Path

import numpy as np

from keras_sknet.cli.arguments import positive_integer
from keras_sknet.cli.errors import CommandError
from keras_sknet.cli.images import read_images
from keras_sknet.cli.models import class_names, image_transform, scores
from keras_sknet.export.formats import load

BATCH = 32
DESCRIPTION = """\
Classifies image files (JPEG or PNG) with a model in any of the formats, and prints names and scores.

Images are resized and cropped as in evaluation, which the model remembers. What it does with the
pixels then is up to the model: it should include its preprocessing, as networks of this package do.
Scores are the model's own output, numbers stand for classes without names.
"""


def add_to(commands):
    """Adds the command to the parsers of `keras-sknet`."""
    parser = commands.add_parser(
        "predict",
        help="classify image files with a model in any format",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "path",
        type=Path,
        metavar="PATH",
        help="a .keras, .tflite, .onnx or .xml file, or the folder of a SavedModel or OpenVINO model",
    )
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="image files")
    parser.add_argument(
        "--top",
        type=positive_integer,
        default=5,
        metavar="N",
        help="how many classes to print, best first (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(arguments):
    """Runs the command."""
    try:
        model = load(arguments.path)
        transform, _ = image_transform(model)
    except ValueError as error:
        raise CommandError(str(error)) from error
    names = class_names(model)
    for start in range(0, len(arguments.images), BATCH):
        files = arguments.images[start : start + BATCH]
        for file, found in zip(files, scores(model, read_images(files, transform)), strict=True):
            print(f"{file}:")
            for index in np.argsort(-found, kind="stable")[: arguments.top]:
                print(f"  {found[index]:9.4f}  {names[index] if len(names) == len(found) else index}")
