import os
from pathlib import Path

import keras

from keras_sknet.models.graph import structures
from keras_sknet.models.precision import in_precision
from keras_sknet.training.distribution import on_its_own


def keep_model(model, path):
    """Writes a model to a `.keras` file over the one that is there, which stays until the new one is whole.

    The file holds the model alone, in float32, neither optimizer nor loss.

    Args:
        model: Functional or built sequential `keras.Model`.
        path: Path of the file, its name ending in `.keras`.

    Raises:
        OSError: if the file cannot be written.

    Example:

    ```python
    from keras_sknet.training import keep_model

    keep_model(keras_sknet.SKNetSmall(), "model.keras")
    ```
    """
    # A model of the same layers that was never compiled: files that only predict need no more.
    with on_its_own():
        model = in_precision(keras.Model(*structures(model), name=model.name), "float32")
    path = Path(path)
    unfinished = path.with_name(f".unfinished-{path.name}")
    try:
        model.save(unfinished)
        os.replace(unfinished, path)
    except OSError as error:
        raise OSError(
            error.errno, f"Cannot write the best model ({error.strerror or error})", str(path)
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
