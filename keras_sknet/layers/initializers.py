"""Initial values of weights."""

import keras


def he_normal():
    """The initializer of convolutions, and of dense layers before ReLU: normal, of variance 2 / fan-in.

    `keras.initializers.HeNormal` cuts it off at two standard deviations, and takes longer to draw its values.

    Returns:
        A `keras.initializers.Initializer`, each of other random numbers.

    Example:

    ```python
    from keras_sknet.layers.initializers import he_normal

    kernel = he_normal()((3, 3, 8, 16))  # of standard deviation sqrt(2 / 72)
    ```

    Reference:
        Section 2.2 of [Delving Deep into Rectifiers](https://arxiv.org/abs/1502.01852).
    """
    return keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal")
