"""`keras-sknet train`: the main job, from labelled images to a served model."""

import argparse

import keras_sknet
from keras_sknet.cli.arguments import positive_integer
from keras_sknet.cli.errors import CommandError
from keras_sknet.cli.results import DESCRIPTION as RESULTS
from keras_sknet.cli.results import require_packages
from keras_sknet.cli.training import adapted, add_options, model_scope, open_splits, run_training
from keras_sknet.training import RECIPES, fit

NETWORKS = tuple(sorted(name for name in vars(keras_sknet.models) if name[0].isupper()))
# What a recipe is for: network, height and width.
DEFAULTS = {
    "digits": ("SKNetSmall", 32),
    "cifar": ("SKNet29", 32),
    "cifar-cosine": ("SKNetThin", 32),
    "imagenet": ("SKNet50", 224),
    "imagenet-cosine": ("SKNet50", 224),
}
DIGITS = "digits"
DESCRIPTION = (
    """\
Trains a network on labelled images, measures it on others and writes it in every format.

By default these are handwritten digits at three scales: the 1,797 that come with scikit-learn, 12, 18 and 24
pixels large at random places of a cluttered canvas of 32x32 pixels. The last 360 are held out: neither
training nor the choice of the best epoch sees them or a piece of them.

A run that was stopped or killed goes on when the same command is given again, and ends with the same weights
as if nothing had happened.

"""
    + RESULTS
)


def add_to(commands):
    """Adds the command to the parsers of `keras-sknet`."""
    parser = commands.add_parser(
        "train",
        help="train a network on digits, a folder of images or a TensorFlow data set",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model",
        choices=NETWORKS,
        metavar="NAME",
        help=f"network: {', '.join(NETWORKS)} (default: the recipe's)",
    )
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        help="how to train (default: digits for digits, cifar for images up to --size 64, else imagenet)",
    )
    parser.add_argument(
        "--size",
        type=positive_integer,
        metavar="N",
        help="height and width of the network's images (default: the recipe's, 32 or 224)",
    )
    add_options(parser, data=DIGITS, output="sknet-run")
    parser.set_defaults(run=run)


def run(arguments):
    """Runs the command."""
    require_packages(arguments.no_export)
    name = arguments.recipe or _recipe_for(arguments)
    network, size = DEFAULTS[name]
    network, size = arguments.model or network, arguments.size or size
    if name == DIGITS and arguments.data != DIGITS:
        raise CommandError("argument --recipe: digits is for --data digits, as it cuts nothing out of images")
    try:
        recipe = adapted(RECIPES[name], arguments)
        scope = model_scope(arguments, recipe)
        splits, skipped = open_splits(arguments, recipe, size)
    except ValueError as error:
        raise CommandError(str(error)) from error
    classes = splits["train"].class_names
    description = {"model": network, "source": arguments.data, "recipe": name, "size": size}

    def make_model():
        return getattr(keras_sknet, network)(
            input_shape=(size, size, 3), classes=len(classes), class_names=classes
        )

    def train(model, output, settings):
        return fit(
            model,
            splits["train"],
            splits["validation"],
            recipe,
            output,
            seed=arguments.seed,
            settings=settings,
        )

    run_training(
        arguments, scope, recipe, splits, skipped, make_model, train, description, in_two_parts=False
    )


def _recipe_for(arguments):
    if arguments.data == DIGITS:
        return DIGITS
    return "cifar" if arguments.size and arguments.size <= 64 else "imagenet"
