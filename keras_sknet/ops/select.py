"""The sum of what the branches see, weighted by attention."""

import functools

import keras
from keras import ops


def weighted_sum(features, weights):
    """Adds up the branches' features, each scaled by its weight for every image and channel.

    Args:
        features: List of M tensors `(N, H, W, C)`.
        weights: List of M tensors `(N, C)` that sum to 1.

    Returns:
        Tensor `(N, H, W, C)`.

    Example:

    ```python
    from keras_sknet.ops.select import weighted_sum

    ones = keras.ops.ones((1, 2, 2, 3))
    v = weighted_sum([ones, 3 * ones], [keras.ops.full((1, 3), 0.5)] * 2)  # twos
    ```

    Reference:
        Equation 6 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).
    """
    weights = [ops.expand_dims(weight, (1, 2)) for weight in weights]
    if len(features) == 2:
        blend = _tensorflow_blend() if keras.backend.backend() == "tensorflow" else _blend
        return blend(*features, weights[0])
    return functools.reduce(ops.add, [a * u for a, u in zip(weights, features, strict=True)])


def _blend(first, second, weight):
    """weight * first + (1 - weight) * second, with one multiplication."""
    return second + weight * (first - second)


@functools.cache
def _tensorflow_blend():
    import tensorflow as tf

    @tf.custom_gradient
    def blend(first, second, weight):
        def gradient(dv):
            # The difference is made anew rather than kept: it would be another feature map in memory.
            dweight = tf.reduce_sum(dv * (first - second), axis=(1, 2), keepdims=True)
            dfirst = weight * dv
            return dfirst, dv - dfirst, dweight

        return _blend(first, second, weight), gradient

    return blend
