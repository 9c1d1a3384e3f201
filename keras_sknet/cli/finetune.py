"""`keras-sknet finetune`: a trained network, taught other classes."""

import argparse
import dataclasses
from pathlib import Path

from keras_sknet.cli.errors import CommandError
from keras_sknet.cli.models import load_model
from keras_sknet.cli.results import DESCRIPTION as RESULTS
from keras_sknet.cli.results import require_packages
from keras_sknet.cli.training import adapted, add_options, model_scope, open_splits, run_training
from keras_sknet.data.transforms import input_size
from keras_sknet.models import in_precision, replace_classifier
from keras_sknet.training import FINETUNE, FINETUNE_HEAD, finetune, write_history
from keras_sknet.training.distribution import this_process
from keras_sknet.training.loop import HISTORY

STAGES = {"stem": "stem", "2": 2, "3": 3, "4": 4, "5": 5}
DESCRIPTION = (
    """\
Trains a trained network on other classes, in two parts: a new classifier, and the stages behind
--freeze-through, with those before frozen as in inference; and then all of it at a lower rate. The first part
has half as many epochs as the second. Both are in one history, the logs of the first in tensorboard/frozen.

A run that was stopped or killed goes on when the same command is given again.

"""
    + RESULTS
)


def add_to(commands):
    """Adds the command to the parsers of `keras-sknet`."""
    parser = commands.add_parser(
        "finetune",
        help="teach a trained network other classes",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--from",
        dest="model",
        type=Path,
        required=True,
        metavar="MODEL.keras",
        help="a network of this package, trained",
    )
    parser.add_argument(
        "--freeze-through",
        choices=STAGES,
        default="4",
        help="the last stage that is frozen in the first part (default: %(default)s)",
    )
    add_options(parser, data=None, output="sknet-finetuned")
    parser.set_defaults(run=run)


def run(arguments):
    """Runs the command."""
    require_packages(arguments.no_export)
    try:
        whole = adapted(FINETUNE, arguments)
        head = adapted(FINETUNE_HEAD, arguments).with_epochs(-(-whole.epochs // 2))
        if arguments.learning_rate:
            lower = FINETUNE.learning_rate / FINETUNE_HEAD.learning_rate
            whole = dataclasses.replace(whole, learning_rate=arguments.learning_rate * lower)
        scope = model_scope(arguments, whole)
        with scope():
            base = load_model(arguments.model, "--from")
        splits, skipped = open_splits(arguments, whole, input_size(base))
    except ValueError as error:
        raise CommandError(str(error)) from error
    description = {
        "model": str(arguments.model),
        "source": arguments.data,
        "freeze_through": arguments.freeze_through,
        "head": dataclasses.asdict(head),
    }

    def make_model():
        return replace_classifier(in_precision(base, whole.precision), splits["train"].class_names)

    def train(model, output, settings):
        (first, second), best = finetune(
            model,
            splits["train"],
            splits["validation"],
            output,
            freeze_through=STAGES[arguments.freeze_through],
            head=head,
            whole=whole,
            seed=arguments.seed,
            settings=settings,
        )
        # One history, as the second part goes on where the first one ends.
        second = [{**logs, "epoch": len(first) + logs["epoch"]} for logs in second]
        if this_process().is_first:
            write_history(first + second, output / HISTORY)
        return first + second, len(first) + best

    run_training(arguments, scope, whole, splits, skipped, make_model, train, description, in_two_parts=True)
