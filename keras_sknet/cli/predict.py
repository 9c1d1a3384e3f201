"""`keras-sknet predict`: what a model in any format sees in image files."""

import argparse
import sys
from pathlib import Path

import numpy as np

from keras_sknet.cli.arguments import positive_integer
from keras_sknet.cli.errors import CommandError
from keras_sknet.cli.images import read_image
from keras_sknet.cli.models import class_names, image_transform, scores
from keras_sknet.cli.output import shown
from keras_sknet.export.formats import load

BATCH = 32
DESCRIPTION = """\
Classifies image files (JPEG or PNG) with a model in any of the formats, and prints names and scores.

Images are resized and cropped as in evaluation, which the model remembers. What it does with the
pixels then is up to the model: it should include its preprocessing, as networks of this package do.
Scores are the model's own output, numbers stand for classes without names.

A file that cannot be read or decoded is named on standard error with the reason, and changes nothing for the
others; the exit code is 2 then.
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
    names, bad = class_names(model), 0
    for start in range(0, len(arguments.images), BATCH):
        files = arguments.images[start : start + BATCH]
        read = [(file, *read_image(file, transform)) for file in files]
        images = [image for _, image, _ in read if image is not None]
        found = iter(scores(model, np.stack(images)) if images else ())
        for file, _, reason in read:
            if reason:
                bad += 1
                print(f"Skipped: {shown(file)}, which {reason}", file=sys.stderr)
            else:
                print_best(file, next(found), names, arguments.top)
    if bad:
        raise CommandError(f"{bad:,} of {len(arguments.images):,} files are no images that can be read")


def print_best(file, scores, names, top):
    """Prints a file's name and, best first, the names and scores of its classes.

    Args:
        file: `Path`.
        scores: Array `(classes,)`.
        names: List of strings, the names of the classes; numbers stand for them if it is of another length.
        top: Integer, how many to print.
    """
    print(f"{shown(file)}:")
    for index in np.argsort(-scores, kind="stable")[:top]:
        print(f"  {scores[index]:9.4f}  {shown(names[index]) if len(names) == len(scores) else index}")
