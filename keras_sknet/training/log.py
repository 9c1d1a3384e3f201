import keras

from keras_sknet.files import write_errors


class Log(keras.callbacks.TensorBoard):
    """Keras' log for TensorBoard, whose errors of writing are the system's, with the folder's name.

    Args:
        folder: String or path object, made if it is missing.

    Raises:
        OSError: when it cannot be written, e.g. on a full disk, where Keras' raises an error of TensorFlow's.

    Example:

    ```python
    from keras_sknet.training.log import Log

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0, callbacks=[Log("tensorboard")])
    ```
    """

    def __init__(self, folder):
        super().__init__(folder, write_graph=False)

    def on_train_begin(self, logs=None):
        with write_errors(self.log_dir):
            super().on_train_begin(logs)

    def on_epoch_end(self, epoch, logs=None):
        with write_errors(self.log_dir):
            super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        with write_errors(self.log_dir):
            super().on_train_end(logs)
