"""The sum of what the branches see, weighted by attention."""

import functools

import keras
from keras import ops


def weighted_sum(features, weights, again=None):
    """Adds up the branches' features, each scaled by its weight for every image and channel.

    Args:
        features: List of M tensors `(N, H, W, C)`.
        weights: List of M tensors `(N, C)` that sum to 1.
        again: List of M functions that return the features for the backward pass (`ops.remake`), or `None`
            to keep them. TensorFlow backend only. Defaults to `None`.

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
    if keras.backend.backend() == "tensorflow":
        return _with_gradient(features, weights, again)
    return _blend(*features, weights[0]) if len(features) == 2 else _sum(features, weights)


def _blend(first, second, weight):
    """weight * first + (1 - weight) * second, with one multiplication."""
    return second + weight * (first - second)


def _sum(features, weights):
    return functools.reduce(ops.add, [a * u for a, u in zip(weights, features, strict=True)])


def _with_gradient(features, weights, again):
    import tensorflow as tf

    count = len(features)

    def remake(dv):
        return features if again is None else [make(dv) for make in again]

    def dweight(dv, feature):
        return tf.reduce_sum(dv * feature, axis=(1, 2), keepdims=True)

    @tf.custom_gradient
    def blend(first, second, weight):
        def gradient(dv):
            # The difference is made anew rather than kept: it would be another feature map in memory.
            first, second = remake(dv)
            dfirst = weight * dv
            return dfirst, dv - dfirst, dweight(dv, first - second)

        return _blend(first, second, weight), gradient

    @tf.custom_gradient
    def add(*tensors):
        def gradient(dv):
            return [a * dv for a in weights] + [dweight(dv, u) for u in remake(dv)]

        return _sum(tensors[:count], tensors[count:]), gradient

    return blend(*features, weights[0]) if count == 2 else add(*features, *weights)
