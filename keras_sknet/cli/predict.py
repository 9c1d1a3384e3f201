"""`keras-sknet predict`: what a model in any format sees in image files."""

import argparse
import json
from pathlib import Path

import keras
import numpy as np

from keras_sknet.cli.arguments import positive_integer
from keras_sknet.cli.errors import CommandError
from keras_sknet.cli.images import read_images
from keras_sknet.data.transforms import evaluation_transform
from keras_sknet.export.formats import load
from keras_sknet.layers import ImageNormalization

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
        transform = _transform(model)
    except ValueError as error:
        raise CommandError(str(error)) from error
    for start in range(0, len(arguments.images), BATCH):
        files = arguments.images[start : start + BATCH]
        for file, scores in zip(files, _scores(model, read_images(files, transform)), strict=True):
            print(f"{file}:")
            for index in np.argsort(-scores, kind="stable")[: arguments.top]:
                print(f"  {scores[index]:9.4f}  {_names(model, len(scores))[index]}")


def _transform(model):
    """The transform of a network that prepares images as the one that `model` was made of."""
    settings = {
        name: read(model.metadata[name])
        for name, read in (("crop_fraction", float), ("interpolation", str))
        if name in model.metadata
    }
    if len(model.inputs) != 1:
        raise CommandError(f"This model takes {sorted(model.inputs)}, not images alone")
    (shape,) = model.inputs.values()
    inputs = keras.Input(shape[1:])
    if len(shape) != 4 or shape[-1] != 3:
        raise CommandError(f"This model takes arrays of shape {shape}, not RGB images")
    return evaluation_transform(keras.Model(inputs, ImageNormalization(**settings)(inputs)))


def _scores(model, images):
    (name,) = model.inputs
    outputs = list(model.run({name: images}).values())
    if len(outputs) != 1 or outputs[0].ndim != 2:
        shapes = [output.shape for output in outputs]
        raise CommandError(f"This model gives no scores of classes, but outputs of shapes {shapes}")
    return outputs[0]


def _names(model, count):
    names = json.loads(model.metadata.get("class_names", "[]"))
    return names if len(names) == count else range(count)
