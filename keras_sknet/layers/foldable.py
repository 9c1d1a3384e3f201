import keras


class Foldable(keras.layers.Layer):
    """A layer of layers which exists in two forms: with batch normalization, and with it folded away.

    Args:
        folded: Boolean. `True`: convolutions have a bias and no batch normalization follows them, as
            `keras_sknet.fold_batch_norm` makes it. Defaults to `False`.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.
    """

    def __init__(self, *, folded=False, **kwargs):
        super().__init__(**kwargs)
        self.folded = bool(folded)

    @property
    def inherited(self):
        """The arguments that the layers inside have from this one."""
        # Keras hands `trainable` down when it is set, not when a config is read.
        return {"dtype": self.dtype_policy, "trainable": self.trainable, "folded": self.folded}

    def get_config(self):
        return {**super().get_config(), "folded": self.folded}
