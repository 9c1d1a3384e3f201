import keras
from keras import ops

from keras_sknet.validation import require


@keras.saving.register_keras_serializable("keras_sknet")
class SGD(keras.optimizers.SGD):
    """SGD with the weight decay of the papers, its momentum applied by one TensorFlow kernel.

    `l2` is what Caffe and PyTorch call weight decay, and what networks were published with: `l2 * kernel` is
    added to the gradient and so goes through the momentum. Keras' own `weight_decay` shrinks the variable
    beside it, which decays ten times less at a momentum of 0.9. Only kernels of convolutions and dense
    layers decay, no biases and nothing of batch normalization.

    All other numbers are Keras' own. On other backends, with several replicas, for sparse gradients and
    without momentum it applies Keras' operations.

    Args:
        learning_rate: Float or schedule. Defaults to `0.01`.
        momentum: Float in [0, 1). Defaults to `0.0`.
        nesterov: Boolean. Defaults to `False`.
        l2: Float, 0 or more. Defaults to `0.0`.
        **kwargs: Any other argument of `keras.optimizers.SGD`.

    Raises:
        ValueError: for an `l2` below 0, and as Keras' own.

    Example:

    ```python
    from keras_sknet.training import SGD

    model = keras_sknet.SKNetSmall()
    model.compile(SGD(0.1, momentum=0.9, l2=1e-4), "sparse_categorical_crossentropy")
    ```

    Reference:
        Section 4.1 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).
    """

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False, l2=0.0, name="sgd", **kwargs):
        require(l2 >= 0, "l2", "0 or more", l2=l2)
        super().__init__(learning_rate, momentum, nesterov, name=name, **kwargs)
        self.l2 = float(l2)

    def build(self, variables):
        super().build(variables)
        self._decays = [variable.name == "kernel" for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        if self.l2 and self._decays[self._get_variable_index(variable)]:
            kernel = ops.convert_to_tensor(variable)
            gradient = ops.cast(gradient, kernel.dtype) + ops.cast(self.l2, kernel.dtype) * kernel
        if self._fuses(gradient):
            import tensorflow as tf

            tf.raw_ops.ResourceApplyKerasMomentum(
                var=variable.handle,  # Keras passes TensorFlow's own variable here
                accum=self.momentums[self._get_variable_index(variable)].value.handle,
                lr=tf.cast(learning_rate, variable.dtype),
                grad=tf.cast(gradient, variable.dtype),
                momentum=tf.cast(self.momentum, variable.dtype),
                use_nesterov=self.nesterov,
            )
        else:
            super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}

    def _fuses(self, gradient):
        if keras.backend.backend() != "tensorflow" or self.momentum == 0:
            return False
        import tensorflow as tf

        return isinstance(gradient, tf.Tensor) and tf.distribute.get_strategy().num_replicas_in_sync == 1
