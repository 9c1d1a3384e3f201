"""The command `keras-sknet`, one file a subcommand."""

import argparse
import gc
import sys

import keras_sknet
from keras_sknet.cli import analyze, convert, evaluate, export, finetune, predict, tables, train, verify
from keras_sknet.cli.errors import CommandError, Stopped
from keras_sknet.training.distribution import drop_out

COMMANDS = (train, finetune, evaluate, analyze, convert, export, predict, verify, tables)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all errors of the command."""

    def error(self, message):
        self.exit(2, f"keras-sknet: error: {message}\n")


def main(argv=None):
    """Runs the command `keras-sknet`.

    Args:
        argv: List of strings, the arguments. Defaults to those of the process.

    Returns:
        Exit code: 0, 2 for an error that the user can mend, 130 after Ctrl-C.
    """
    arguments = _parser().parse_args(argv)
    code = _run(arguments)
    if code:
        drop_out(code)
    # Frames of a stopped training hold tf.data's threads, which must end before the interpreter does.
    gc.collect()
    return code


def _run(arguments):
    try:
        arguments.run(arguments)
    except (CommandError, ImportError, OSError) as error:
        print(f"keras-sknet: error: {error}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"\n{stopped}", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    return 0


def _parser():
    parser = _Parser(
        prog="keras-sknet",
        description="Selective Kernel Networks for Keras 3.",
        epilog="`keras-sknet COMMAND --help` describes a command.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"keras-sknet {keras_sknet.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for command in COMMANDS:
        command.add_to(commands)
    return parser
