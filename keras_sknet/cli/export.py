"""`keras-sknet export`: a trained model in a form that runs without Keras."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from keras_sknet.cli.arguments import positive_integer
from keras_sknet.cli.calibration import calibration_images, evenly
from keras_sknet.cli.errors import CommandError
from keras_sknet.cli.images import read_images
from keras_sknet.cli.models import load_model
from keras_sknet.data import Digits, evaluation_transform
from keras_sknet.data.folder import image_files
from keras_sknet.export import export_onnx, export_openvino, export_saved_model, export_tflite
from keras_sknet.export.verify import VerificationError
from keras_sknet.training import GentleInterrupt

QUANTIZE = ("float16", "dynamic", "int8")


class Format(NamedTuple):
    """A function that writes a format; which of the options it takes, by what keyword; and what it writes."""

    export: Callable
    options: dict
    description: str


FORMATS = {
    "saved-model": Format(export_saved_model, {"version": "version"}, "a folder for TensorFlow Serving"),
    "tflite": Format(
        export_tflite,
        {"quantize": "quantize", "data": "representative_dataset"},
        "a file for LiteRT, one image at a time",
    ),
    "onnx": Format(export_onnx, {}, "a file for ONNX Runtime and others"),
    "openvino": Format(export_openvino, {}, "a folder for OpenVINO"),
}
OPTIONS = sorted({option for format in FORMATS.values() for option in format.options})
DESCRIPTION = """\
Writes a model in a form that runs without Keras. What is written is loaded and compared with the model
before it gets its name, and nothing is ever overwritten.

formats:
"""


def add_to(commands):
    """Adds the command to the parsers of `keras-sknet`."""
    formats = "\n".join(f"  {name:<12} {format.description}" for name, format in FORMATS.items())
    parser = commands.add_parser(
        "export",
        help="write a model for TensorFlow Serving, LiteRT, ONNX or OpenVINO",
        description=DESCRIPTION + formats,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", type=Path, metavar="MODEL.keras", help="the model")
    parser.add_argument("--format", choices=FORMATS, required=True, help="see above")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="PATH", help="the file or folder to write"
    )
    parser.add_argument(
        "--version",
        type=positive_integer,
        metavar="N",
        help="saved-model: write the folder N in PATH, the model's folder on a server",
    )
    parser.add_argument(
        "--quantize",
        choices=QUANTIZE,
        help="tflite: store weights in less than float32; dynamic and int8 also compute in 8-bit integers",
    )
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="tflite, int8: JPEG and PNG files like those that the model will see, a few hundred; "
        "'digits' takes those that `keras-sknet train` trains on",
    )
    parser.set_defaults(run=run)


def run(arguments):
    """Runs the command."""
    format = FORMATS[arguments.format]
    given = {option: getattr(arguments, option) for option in OPTIONS}
    given = {option: value for option, value in given.items() if value is not None}
    for option in given:
        if option not in format.options:
            raise CommandError(f"argument --{option}: not for --format {arguments.format}")
    if ("data" in given) != (arguments.quantize == "int8"):
        raise CommandError("argument --data: needed for --quantize int8, and for nothing else")
    model = load_model(arguments.model, "MODEL.keras")
    if "data" in given:
        given["data"] = _images(given["data"], model)
    keywords = {format.options[option]: value for option, value in given.items()}
    try:
        with GentleInterrupt():
            report = format.export(model, arguments.output, **keywords)
    except (ValueError, VerificationError) as error:
        raise CommandError(str(error)) from error
    print(report)


def _images(data, model):
    """Images to calibrate with: as many of a folder or of the digits as are of use, evenly chosen."""
    if data == "digits":
        return calibration_images(Digits("train"), None)
    files = []
    for folder, inside, _ in os.walk(data):
        inside[:] = [name for name in inside if not name.startswith(".")]
        files += [Path(folder, name) for name in image_files(folder)]
    files.sort()
    if not files:
        raise CommandError(f"argument --data: {data!r} is no folder with .jpg or .png files in it")
    try:
        transform = evaluation_transform(model)
    except ValueError as error:
        raise CommandError(str(error)) from error
    return read_images(evenly(files), transform)
