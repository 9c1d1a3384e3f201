import numbers
import sys
import warnings

import keras

from keras_sknet.ops import batch_norm
from keras_sknet.ops.replicas import replica_count
from keras_sknet.validation import require


@keras.saving.register_keras_serializable("keras_sknet")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalization on TensorFlow's fused kernel, synchronized across replicas by default.

    Arguments, config, weights and weights files are those of `keras.layers.BatchNormalization`. On the
    TensorFlow backend 4D channels-last inputs in float32, bfloat16 or float16 run on the fused kernel;
    everything else, `mask` and `renorm` among it, is computed as Keras does.

    In training a channel needs more than one value: of a single one the output is beta and every gradient
    but beta's is zero. The layer warns of that, once. In a graph for any batch size that takes a function of
    Python's: a training step that is to be saved or converted should have a known batch size.

    Args:
        axis: Integer, the axis of the channels. Defaults to -1.
        momentum: Float, the share of the old moving statistics in the new ones. Defaults to 0.99.
        epsilon: Float, added to the variance. Defaults to 1e-3.
        center: Boolean, whether to add beta. Defaults to `True`.
        scale: Boolean, whether to multiply by gamma. Defaults to `True`.
        synchronized: Boolean. Under a TensorFlow distribution strategy, `True` takes statistics over the
            global batch, in one reduction for each layer; with `False` each replica normalizes by its own,
            and the moving statistics follow their average. `renorm` under a strategy is Keras' own.
            Elsewhere this does nothing: JAX's global batch is global by itself. Defaults to `True`.
        **kwargs: The other arguments of `keras.layers.BatchNormalization`: initializers, regularizers,
            constraints, `renorm`, `name`, `dtype`, `trainable`.

    Input shape:
        Any, with a static size on `axis`: (batch, height, width, channels) or (batch, channels).

    Output shape:
        The input's.

    Raises:
        ValueError: for an argument or an input shape that cannot work.

    Example:

    ```python
    import keras
    from keras_sknet.layers.batch_normalization import BatchNormalization

    layer = BatchNormalization(momentum=0.9, epsilon=1e-5)
    y = layer(keras.random.normal((8, 7, 7, 16)), training=True)
    assert y.shape == (8, 7, 7, 16)
    ```

    Reference:
        [Ioffe and Szegedy, 2015](https://arxiv.org/abs/1502.03167), Section 3.
    """

    def __init__(
        self,
        axis=-1,
        momentum=0.99,
        epsilon=1e-3,
        center=True,
        scale=True,
        *args,
        synchronized=True,
        **kwargs,
    ):
        require(isinstance(axis, numbers.Integral), "axis", "an integer", axis=axis)
        require(_is_within(momentum, 0, 1), "momentum", "a number from 0 to 1", momentum=momentum)
        require(_is_within(epsilon, 0, sys.float_info.max), "epsilon", "a number, 0 or more", epsilon=epsilon)
        # Keras refuses `synchronized=True` off TensorFlow; there the config keeps what the attribute cannot.
        active = synchronized and keras.backend.backend() == "tensorflow"
        super().__init__(axis, momentum, epsilon, center, scale, *args, synchronized=active, **kwargs)
        self._synchronized_config = synchronized
        self._warned = False

    def build(self, input_shape):
        rank = len(input_shape)
        require(
            -rank <= self.axis < rank and input_shape[self.axis] is not None,
            "inputs",
            f"of a known size on axis {self.axis} for layer {self.name!r}",
            input_shape=tuple(input_shape),
        )
        super().build(input_shape)

    def call(self, inputs, training=None, mask=None):
        learning = bool(training and self.trainable)
        several = learning and replica_count() > 1
        if keras.backend.backend() != "tensorflow" or self.renorm or (mask is not None and not several):
            if learning and mask is None and not several:
                self._check(batch_norm.values_per_channel(inputs, self.axis), inputs)
            return super().call(inputs, training=training, mask=mask)
        if learning:
            outputs, mean, variance, count = batch_norm.normalize_batch(
                inputs,
                self.gamma,
                self.beta,
                self.moving_mean,
                self.moving_variance,
                axis=self.axis,
                momentum=self.momentum,
                epsilon=self.epsilon,
                synchronized=self.synchronized,
                mask=mask,
            )
            self.moving_mean.assign(mean)
            self.moving_variance.assign(variance)
            self._check(count, inputs)
        elif batch_norm.fuses(inputs, self.axis):
            outputs = batch_norm.normalize_fixed(
                inputs, self.moving_mean, self.moving_variance, self.gamma, self.beta, self.epsilon
            )
        else:
            return super().call(inputs, training=training)
        return keras.ops.cast(outputs, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "synchronized": self._synchronized_config}

    def _check(self, count, inputs):
        batch_norm.when_one_value(count, inputs, self.axis, self._warn)

    def _warn(self):
        if self._warned:
            return
        self._warned = True
        warnings.warn(
            f"Layer '{self.path}' was trained on one value per channel: its output is then beta whatever the "
            "input, and it passes no gradient. Train with a batch size of at least 2, or freeze the layer "
            "(`trainable = False`).",
            stacklevel=2,
        )


def _is_within(value, low, high):
    return isinstance(value, numbers.Real) and low <= value <= high
