"""`keras-sknet convert`: timm's checkpoints to Keras models, and back."""

import argparse
import sys
import warnings
from pathlib import Path

import keras_sknet
from keras_sknet.cli.arguments import positive_integer
from keras_sknet.cli.errors import CommandError
from keras_sknet.cli.models import load_model
from keras_sknet.files import appearing_whole
from keras_sknet.models.weights_file import read_keras_settings
from keras_sknet.weights import to_timm
from keras_sknet.weights.checkpoint import count_classes, read_tensors, write_tensors

NETWORKS = tuple(sorted(name for name in vars(keras_sknet.models) if name[0].isupper()))
CHECKPOINT, MODEL = ".safetensors", ".keras"
DESCRIPTION = """\
Turns a checkpoint of timm's into a Keras model, or a Keras model into a checkpoint that timm loads. Weights
are the same to the last bit either way. Nothing is ever overwritten.

  keras-sknet convert CHECKPOINT.safetensors --model SKNet50 -o model.keras
  keras-sknet convert model.keras -o checkpoint.safetensors

The stem's padding, normalization, crop, interpolation and class names follow the config.json beside the
checkpoint, if there is one. Checkpoints that are written here keep them inside.
"""


def add_to(commands):
    """Adds the command to the parsers of `keras-sknet`."""
    parser = commands.add_parser(
        "convert",
        help="turn a checkpoint of timm's into a Keras model, or back",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("path", type=Path, metavar="FILE", help="a .safetensors or .keras file")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="the file to write, of the other kind",
    )
    parser.add_argument(
        "--model", choices=NETWORKS, metavar="NAME", help=f"to Keras: the network, {', '.join(NETWORKS)}"
    )
    parser.add_argument(
        "--classes",
        type=positive_integer,
        metavar="N",
        help="to Keras: how many classes the checkpoint must have (default: as many as it has)",
    )
    parser.add_argument(
        "--class-names",
        type=Path,
        metavar="FILE",
        help="to Keras: a text file with the name of a class in each line, in their order",
    )
    parser.set_defaults(run=run)


def run(arguments):
    """Runs the command."""
    kinds = (arguments.path.suffix, arguments.output.suffix)
    if kinds not in ((CHECKPOINT, MODEL), (MODEL, CHECKPOINT)):
        raise CommandError(
            f"a {CHECKPOINT} file is turned into a {MODEL} file, or back, not {str(arguments.path)!r} into "
            f"{str(arguments.output)!r}"
        )
    try:
        with appearing_whole(arguments.output) as unfinished:
            (_to_keras if kinds[0] == CHECKPOINT else _to_timm)(arguments, unfinished)
    except ValueError as error:
        raise CommandError(str(error)) from error
    print(f"Written to {arguments.output}")


def _to_keras(arguments, unfinished):
    if arguments.model is None:
        raise CommandError("argument --model: needed to read a checkpoint")
    if not arguments.path.is_file():
        raise CommandError(f"argument FILE: {str(arguments.path)!r} is no file")
    classes = count_classes(read_tensors(arguments.path))
    if arguments.classes not in (None, classes):
        raise CommandError(f"argument --classes: the checkpoint has {classes or 'no'} classes")
    options = {"classes": classes} if classes else {"include_top": False}
    if arguments.class_names:
        options["class_names"] = _lines(arguments.class_names)
    network = getattr(keras_sknet, arguments.model)
    network(weights=arguments.path, **options).save(unfinished)


def _to_timm(arguments, unfinished):
    for option in ("model", "classes", "class_names"):
        if getattr(arguments, option) is not None:
            raise CommandError(
                f"argument --{option.replace('_', '-')}: not for a {MODEL} file, which knows it"
            )
    model = load_model(arguments.path, "FILE")
    settings = read_keras_settings(arguments.path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the line below says the same
        tensors = to_timm(model)
    if settings.stem_padding != "torch":
        print(
            "keras-sknet: warning: timm's stems pad by one on both sides, this one "
            f"{settings.stem_padding!r}: with the same weights timm computes other outputs",
            file=sys.stderr,
        )
    write_tensors(unfinished, tensors, settings)


def _lines(path):
    try:
        # Some editors begin a file by a mark of their own, and end it by an empty line.
        return path.read_text(encoding="utf-8-sig").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"argument --class-names: cannot read {str(path)!r} ({error})") from error
