import functools

import keras
from keras import ops

from keras_sknet.layers.batch_normalization import BatchNormalization
from keras_sknet.layers.foldable import Foldable
from keras_sknet.layers.grouped_conv import GroupedConv2D
from keras_sknet.layers.initializers import he_normal
from keras_sknet.ops.batch_norm import fused, fuses
from keras_sknet.ops.grouped_conv import add_bias
from keras_sknet.ops.halves import once
from keras_sknet.ops.paths import is_plain
from keras_sknet.ops.pixels import outweigh, prefers_product, product
from keras_sknet.ops.remake import remade
from keras_sknet.ops.replicas import replica_count
from keras_sknet.ops.rows import from_rows, prefers_rows, to_rows
from keras_sknet.validation import activation_function, image_shape


def batch_norm(dtype, trainable):
    """Batch normalization as every layer of these networks has it."""
    return BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=dtype, trainable=trainable, name="norm")


@keras.saving.register_keras_serializable("keras_sknet")
class ConvNormAct(Foldable):
    """Convolution, batch normalization, activation: the atom of all networks here.

    Padding is symmetric, weights start as in He et al., batch normalization has momentum 0.9 and
    epsilon 1e-5.

    Args:
        filters: Integer, number of output channels. A multiple of `groups`.
        kernel_size: Odd integer or pair, in pixels.
        strides: Integer or pair, in pixels. Defaults to `1`.
        dilation_rate: Integer or pair. Defaults to `1`.
        groups: Integer, groups of the convolution. Defaults to `1`.
        activation: Activation function or name, or `None`. Defaults to `"relu"`.
        use_bias: Boolean, whether the convolution has a bias although batch normalization takes it out
            again. Defaults to `False`.
        folded: Boolean. `True`: the convolution has a bias and no batch normalization follows it, as
            `keras_sknet.fold_batch_norm` makes it. Defaults to `False`.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, channels a multiple of `groups`.

    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`.

    Raises:
        ValueError: for an argument or an input shape that cannot work.

    Example:

    ```python
    layer = keras_sknet.ConvNormAct(64, 3, strides=2, groups=32)
    y = layer(keras.random.normal((2, 32, 32, 64)))  # (2, 16, 16, 64)
    ```

    Reference:
        Section 3.1 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        dilation_rate=1,
        groups=1,
        activation="relu",
        use_bias=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.use_bias = bool(use_bias)
        self.conv = GroupedConv2D(
            filters,
            kernel_size,
            strides=strides,
            dilation_rate=dilation_rate,
            groups=groups,
            use_bias=self.folded or self.use_bias,
            kernel_initializer=he_normal(),
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name="conv",
        )
        self.norm = None if self.folded else batch_norm(self.dtype_policy, self.trainable)
        self.activation = activation_function("activation", activation)

    def build(self, input_shape):
        image_shape(self, input_shape)
        self.conv.build(input_shape)
        if not self.folded:
            self.norm.build(self.conv.compute_output_shape(input_shape))

    def call(self, inputs, training=None, return_convolved=False):
        """Applies the layer; `return_convolved=True` returns what came out of the convolution too."""
        if training is False and not return_convolved and not is_plain():
            infer = self._way_to_infer(inputs)
            if infer is not None:
                return infer(inputs)
        convolved = self.conv(inputs, training=training)
        x = convolved if self.folded else self.norm(convolved, training=training)
        return (self.activation(x), convolved) if return_convolved else self.activation(x)

    def _way_to_infer(self, inputs):
        """The method that computes the layer faster than step by step, in inference, or `None`."""
        output_shape = self.compute_output_shape(inputs.shape)  # which checks the shape
        if type(self.conv) is not GroupedConv2D or not (self.folded or self._has_own_norm()):
            return None
        parts = (self, self.conv) if self.folded else (self, self.conv, self.norm)
        in_float32 = all(part.compute_dtype == "float32" for part in parts)
        if self.conv.groups > 1:
            return self._call_folded if in_float32 and not self.folded else None
        if in_float32 and max(self.conv.kernel_size) == 1 and prefers_product(inputs):
            images_outweigh = outweigh(output_shape, inputs.shape[3])
            if images_outweigh and self.activation is keras.activations.linear:
                return self._call_folded
            return functools.partial(self._call_as_product, fold=images_outweigh or self.folded)
        return self._call_in_rows if prefers_rows(inputs, output_shape) else None

    def _has_own_norm(self):
        """Whether batch normalization is as this layer made it: something else may have taken its place."""
        norm = self.norm
        as_made = type(norm) is BatchNormalization and norm.scale and norm.center and not norm.renorm
        return as_made and norm.axis in (-1, 3)

    def _call_folded(self, inputs):
        """Batch normalization in the kernel, where that is small, and a bias.

        TensorFlow fuses the sum that ends a residual block with a convolution and a bias, not with batch
        normalization. That it fuses with groups, but refuses to run where oneDNN is off.
        """
        kernel, bias = once(self, self._folded_weights)
        convolved = self.conv.convolution_op(inputs, kernel, inference=True)
        return self.activation(add_bias(convolved, bias, self.conv.groups, inference=True))

    def _call_as_product(self, inputs, fold):
        """By `ops.pixels`, batch normalization in the kernel (`fold`) or behind it."""
        if not fold:
            bias = self.conv.bias if self.use_bias else None
            convolved = product(inputs, self.conv.kernel, self.conv.strides, bias)
            return self.activation(self.norm(convolved, training=False))
        kernel, bias = once(self, self._folded_weights)
        relu = self.activation is keras.activations.relu
        x = product(inputs, kernel, self.conv.strides, bias, relu)
        return x if relu else self.activation(x)

    def _folded_weights(self):
        """The kernel, batch normalization in it, and the bias that remains."""
        if self.folded:
            return self.conv.kernel, self.conv.bias
        scale = self.norm.gamma / ops.sqrt(self.norm.moving_variance + self.norm.epsilon)
        mean = self.norm.moving_mean - self.conv.bias if self.use_bias else self.norm.moving_mean
        return self.conv.kernel * scale, self.norm.beta - mean * scale

    def _call_in_rows(self, inputs):
        """By what `ops.rows` says: nothing behind the rows is fused with them."""
        pointwise = max(self.conv.kernel_size + self.conv.strides) == 1
        convolved = self.conv(to_rows(inputs) if pointwise else inputs, training=False)
        rows = convolved if pointwise else to_rows(convolved)
        rows = rows if self.folded else self.norm(rows, training=False)
        size = self.compute_output_shape(inputs.shape)[1:3]
        if self.activation is keras.activations.relu:
            return from_rows(self.activation(rows), *size)
        return self.activation(from_rows(rows, *size))

    def can_forget(self, inputs):
        """Whether `call_and_forget` can be used in training."""
        if self.folded or not self._has_own_norm() or not self.norm.trainable:
            return False
        if self.norm.compute_dtype != self.conv.compute_dtype:
            return False
        # Replicas would have to share their statistics a second time.
        return fuses(inputs, axis=-1) and replica_count() == 1

    def call_and_forget(self, inputs):
        """Returns the output in training, which nothing keeps, and `again` of `ops.remake` for it."""
        output, convolved = self(inputs, training=True, return_convolved=True)

        def normalize(x, gamma, beta):
            return self.activation(fused(x, gamma, beta, self.norm.epsilon)[0])

        return remade(output, normalize, convolved, self.norm.gamma, self.norm.beta)

    def compute_output_shape(self, input_shape):
        return self.conv.compute_output_shape(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.conv.filters,
            "kernel_size": self.conv.kernel_size,
            "strides": self.conv.strides,
            "dilation_rate": self.conv.dilation_rate,
            "groups": self.conv.groups,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
        }
