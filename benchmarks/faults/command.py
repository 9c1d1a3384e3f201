"""`keras-sknet` in a process that runs one command after another; started by full_disk.py."""

import os
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER.parent), str(FOLDER.parents[1])]

from worker import serve  # noqa: E402


def command(arguments):
    """Runs a command; returns its exit code and what it wrote to stderr, libraries in C++ included."""
    import tensorflow as tf

    from keras_sknet.cli import main

    # One command after another in one process: TensorFlow warns of functions that are traced anew.
    tf.get_logger().setLevel("ERROR")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            code = main(arguments)
        except SystemExit as exit:
            code = exit.code
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        return {"code": code, "stderr": file.read().decode(errors="replace")}


if __name__ == "__main__":
    serve({"command": command})
