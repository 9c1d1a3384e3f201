import math

import keras

from keras_sknet.data import batches
from keras_sknet.training.checkpoint import BestCheckpoint
from keras_sknet.training.interrupt import GentleInterrupt


def fit(model, source, validation, recipe, checkpoint, *, seed=0, verbose=1):
    """Trains a model by a recipe; the best one by validation loss is kept in a file.

    On the CPU the same seeds (this one and Keras', from which the model starts) give the same weights.

    Args:
        model: `keras.Model` that ends in a softmax.
        source: What to train on, as `keras_sknet.data.batches` takes it.
        validation: Source with `arrays()`, to choose the best epoch by.
        recipe: `Recipe`.
        checkpoint: Path of the `.keras` file.
        seed: Integer, 0 or more, of order and augmentation. Defaults to `0`.
        verbose: As in `keras.Model.fit`. Defaults to `1`, a progress bar.

    Returns:
        List of a dictionary for each epoch (`epoch`, counted from 1, `loss`, `accuracy`, `val_loss`,
        `val_accuracy`), and the number of the best epoch.

    Raises:
        ValueError: for an argument that cannot work.
        RuntimeError: if the loss stops being finite. The best model until then is kept.
        OSError: if the file cannot be written.
        KeyboardInterrupt: after Ctrl-C, when the step has ended. The best model until then is kept.

    Example:

    ```python
    from keras_sknet.data import Digits
    from keras_sknet.training import Recipe, fit

    recipe = Recipe(epochs=1, batch_size=1300, learning_rate=0.01)
    history, best = fit(
        keras_sknet.SKNetSmall(), Digits("train", scales=(2.0,)), Digits("validation"), recipe, "model.keras"
    )
    ```
    """
    classes = len(source.class_names)
    steps = len(source) // recipe.batch_size
    stream = batches(source, recipe.batch_size, epochs=recipe.epochs, seed=seed)
    images, labels = validation.arrays()
    recipe.compile(model, steps)
    best = BestCheckpoint(checkpoint)
    with GentleInterrupt() as interrupt:
        history = model.fit(
            stream.map(lambda x, y: (x, _one_hot(y, classes))),
            steps_per_epoch=steps,
            epochs=recipe.epochs,
            validation_data=(images, keras.utils.to_categorical(labels, classes)),
            callbacks=[best, keras.callbacks.TerminateOnNaN(raise_error=False), interrupt],
            shuffle=False,
            verbose=verbose,
        )
    logs = history.history
    history = [
        {"epoch": epoch, **{name: float(values[epoch - 1]) for name, values in sorted(logs.items())}}
        for epoch in range(1, len(logs["loss"]) + 1)
    ]
    last = history[-1]
    if not math.isfinite(last["loss"] + last["val_loss"]):
        raise RuntimeError(
            f"The loss is not finite from epoch {last['epoch']} on: train at a lower learning rate. "
            f"Received: learning_rate={recipe.learning_rate}"
        )
    return history, best.epoch


def _one_hot(labels, classes):
    import tensorflow as tf

    return tf.one_hot(labels, classes)
