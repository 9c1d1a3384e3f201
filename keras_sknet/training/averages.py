"""Exponential moving averages of weights, which Keras' optimizers keep."""

import contextlib

import keras


@contextlib.contextmanager
def averaged_weights(model):
    """Lets a model have the moving averages of its weights within a `with` block.

    Afterwards it has its own weights again, to the bit. Without averages (`use_ema=False`) nothing changes.

    Args:
        model: Compiled `keras.Model`.

    Example:

    ```python
    from keras_sknet.training import SGD, averaged_weights

    model = keras_sknet.SKNetSmall()
    model.compile(SGD(0.1, use_ema=True, ema_momentum=0.999), "categorical_crossentropy")
    with averaged_weights(model):
        model.save("averaged.keras")
    ```
    """
    averages = [variable for variable in model.optimizer.variables if variable.name.endswith("_average")]
    # `strict` fails if Keras ever names them otherwise.
    pairs = list(zip(model.trainable_variables, averages, strict=True)) if averages else []
    own = [variable.numpy() for variable, _ in pairs]
    try:
        for variable, average in pairs:
            variable.assign(average.numpy())
        yield
    finally:
        for (variable, _), value in zip(pairs, own, strict=True):
            variable.assign(value)


class OwnWeights(keras.callbacks.Callback):
    """Leaves the model its own weights, to the bit, where Keras' `fit` ends by writing averages over them.

    Example:

    ```python
    from keras_sknet.training.averages import OwnWeights

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1, use_ema=True), "mse")
    model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0, callbacks=[OwnWeights()])
    ```
    """

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.params["epochs"] or self.model.stop_training:
            self._own = [variable.numpy() for variable in self.model.trainable_variables]

    def on_train_end(self, logs=None):
        for variable, value in zip(self.model.trainable_variables, self._own, strict=True):
            variable.assign(value)
