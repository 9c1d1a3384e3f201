import os
from pathlib import Path

import keras

from keras_sknet.validation import require


class BestCheckpoint(keras.callbacks.Callback):
    """Keeps the model of the epoch with the lowest validation loss in a `.keras` file.

    The file is complete at any moment: each model is written under another name and then takes the name
    over. It holds the model alone, neither optimizer nor loss.

    Args:
        path: Path of the file, its name ending in `.keras`; the folder around it must exist.

    Raises:
        ValueError: for another file name, or if the folder does not exist.
        OSError: if the file cannot be written.

    Example:

    ```python
    from keras_sknet.training import BestCheckpoint

    best = BestCheckpoint("model.keras")  # model.fit(..., validation_data=..., callbacks=[best])
    best.epoch  # None: no model yet
    ```
    """

    def __init__(self, path):
        super().__init__()
        self.path = Path(path)
        require(
            self.path.suffix == ".keras" and self.path.parent.is_dir(),
            "path",
            "the name of a .keras file in an existing folder",
            path=str(path),
        )
        self.epoch = None
        self.loss = float("inf")

    def on_epoch_end(self, epoch, logs=None):
        if logs["val_loss"] < self.loss:
            self._save()
            self.epoch, self.loss = epoch + 1, logs["val_loss"]

    def _save(self):
        # A model of the same layers that was never compiled: files that only predict need no more.
        model = keras.Model(self.model.inputs, self.model.outputs, name=self.model.name)
        unfinished = self.path.with_name(f".unfinished-{self.path.name}")
        try:
            model.save(unfinished)
            os.replace(unfinished, self.path)
        finally:
            unfinished.unlink(missing_ok=True)
