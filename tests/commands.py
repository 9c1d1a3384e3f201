"""The command in this process, and what other processes of it need."""

import socket

from keras_sknet.cli import main


def error_of(capsys, *arguments):
    """Exit code of `keras-sknet`, and what stands on stderr."""
    try:
        code = main([*map(str, arguments)])
    except SystemExit as exit:
        code = exit.code
    return code, capsys.readouterr().err


def free_port():
    """The number of a port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]
