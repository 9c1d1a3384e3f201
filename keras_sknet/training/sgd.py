import keras


@keras.saving.register_keras_serializable("keras_sknet")
class SGD(keras.optimizers.SGD):
    """Keras' SGD, with momentum applied by one TensorFlow kernel instead of several operations.

    The numbers are Keras' own. On other backends, with several replicas, for sparse gradients and without
    momentum it is `keras.optimizers.SGD` itself.

    Args:
        learning_rate: Float or schedule. Defaults to `0.01`.
        momentum: Float in [0, 1). Defaults to `0.0`.
        nesterov: Boolean. Defaults to `False`.
        **kwargs: Any other argument of `keras.optimizers.SGD`.

    Example:

    ```python
    from keras_sknet.training import SGD

    model = keras_sknet.SKNetSmall()
    model.compile(SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    ```
    """

    def update_step(self, gradient, variable, learning_rate):
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

    def _fuses(self, gradient):
        if keras.backend.backend() != "tensorflow" or self.momentum == 0:
            return False
        import tensorflow as tf

        return isinstance(gradient, tf.Tensor) and tf.distribute.get_strategy().num_replicas_in_sync == 1
