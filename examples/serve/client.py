"""What the clients share: files in, names and scores out, and what to do when a request is refused."""

import argparse
from pathlib import Path

SIGNATURE = "classify_jpeg"


class Refused(Exception):
    """The server cannot make sense of what it was sent; its text is the server's."""


def classify(predict, files):
    """Classifies files in one request, and if it is refused, each in one of its own.

    A server answers a request whole or not at all, so one bad file keeps the others from being answered.

    Args:
        predict: Function of a list of files' bytes that returns `[(name, score), …]` for each, best first, or
            raises `Refused`.
        files: List of `bytes`, JPEG or PNG files.

    Returns:
        List, for each file what `predict` returns for it, or the `Refused` that was raised for it alone.
    """
    try:
        return predict(files)
    except Refused:
        return [_classify_alone(predict, file) for file in files]


def _classify_alone(predict, file, attempts=3):
    for _ in range(attempts):
        try:
            return predict([file])[0]
        except Refused as error:
            # Where the server batches, it may have been for a bad file of somebody else's.
            refused = error
    return refused


def main(description, server, make_predict):
    """Runs a client as a command; `make_predict(server, model)` connects and returns `predict`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--server", default=server, help="default: %(default)s")
    parser.add_argument("--model", default="sknet", help="its name on the server (default: %(default)s)")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="JPEG or PNG files")
    arguments = parser.parse_args()
    predict = make_predict(arguments.server, arguments.model)
    answers = classify(predict, [file.read_bytes() for file in arguments.files])
    for file, answer in zip(arguments.files, answers, strict=True):
        if isinstance(answer, Refused):
            print(f"{file}: refused: {' '.join(str(answer).split())}")
        else:
            print(f"{file}: " + ", ".join(f"{name} {score:.3f}" for name, score in answer))
