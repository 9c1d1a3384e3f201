"""`keras-sknet verify`: whether an exported model computes what its Keras model does."""

import argparse
from pathlib import Path

from keras_sknet.cli.errors import CommandError
from keras_sknet.cli.images import read_images
from keras_sknet.cli.models import load_model
from keras_sknet.data.transforms import evaluation_transform
from keras_sknet.export.verify import VerificationError, verify_export

DESCRIPTION = """\
Runs an exported model and the Keras model that it was made of on the same random images, and on
those that are given, and compares their outputs.

Allowed are differences of 1e-4 of the largest output (of 1e-5 for a .keras file), of 3e-2 where weights
or arithmetic are float16, and of 5e-2 where they are bfloat16. A file of 8-bit integers must have the
same output at the top for half of the images, which shows that it is not broken, not how accurate it is.
"""


def add_to(commands):
    """Adds the command to the parsers of `keras-sknet`."""
    parser = commands.add_parser(
        "verify",
        help="compare an exported model with its Keras model",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "path",
        type=Path,
        metavar="PATH",
        help="a .tflite, .onnx, .xml or .keras file, or the folder of a SavedModel or OpenVINO model",
    )
    parser.add_argument(
        "--against", type=Path, required=True, metavar="MODEL.keras", help="the model that it was made of"
    )
    parser.add_argument(
        "--images",
        type=Path,
        nargs="+",
        default=[],
        metavar="IMAGE",
        help="JPEG or PNG files, prepared as in evaluation",
    )
    parser.set_defaults(run=run)


def run(arguments):
    """Runs the command."""
    model = load_model(arguments.against, "--against")
    try:
        images = None
        if arguments.images:
            images = read_images(arguments.images, evaluation_transform(model))
        report = verify_export(model, arguments.path, images)
    except (ValueError, VerificationError) as error:
        raise CommandError(str(error)) from error
    print(report)
