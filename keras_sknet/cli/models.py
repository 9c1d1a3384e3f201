"""Keras models, as the commands take them."""

import keras

from keras_sknet.cli.errors import CommandError


def load_model(path, argument):
    """Loads a `.keras` file.

    Args:
        path: `Path`.
        argument: String, which argument of the command it is, for errors.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        CommandError: if there is no such file, or it cannot be loaded.
    """
    if path.suffix != ".keras" or not path.is_file():
        raise CommandError(f"argument {argument}: {str(path)!r} is no .keras file")
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras has no class of its own for this
        reason = str(error).strip().splitlines()[0]
        raise CommandError(f"argument {argument}: cannot load {str(path)!r} ({reason[:300]})") from error
