"""`keras-sknet tables`: the paper's tables, beside what this package measures."""

import argparse
import os
import sys

from keras_sknet.analysis.table_formats import FORMATS
from keras_sknet.analysis.tables import NAMES, paper_table
from keras_sknet.cli.errors import CommandError

DESCRIPTION = """\
Builds the networks of the paper's tables, counts their parameters and multiply-adds, and prints them
beside the paper's figures. Nothing is downloaded. InceptionV4 and DenseNet-264 are measured where
zeromodels and KerasHub are installed: pip install "keras_sknet[tables]".
"""


def add_to(commands):
    """Adds the command to the parsers of `keras-sknet`."""
    parser = commands.add_parser(
        "tables",
        help="print the paper's tables beside what this package measures",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "tables",
        type=_name,
        nargs="*",
        metavar="TABLE",
        help=f"which of {', '.join(NAMES)} (default: all)",
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="text", help="what to print (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def _name(text):
    for name in NAMES:
        if name.lower() == text.lower():
            return name
    raise argparse.ArgumentTypeError(f"must be one of {', '.join(NAMES)}, not {text!r}")


def run(arguments):
    """Runs the command."""
    tables = {}
    for name in arguments.tables or NAMES:
        print(f"Building the networks of table {name} …", file=sys.stderr)
        tables[name] = paper_table(name)
    write(FORMATS[arguments.format](tables))


def write(text):
    """Writes to standard output, or raises the command's error."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # Python would try again at its end, and fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise CommandError(f"cannot write to standard output ({error.strerror})") from error
