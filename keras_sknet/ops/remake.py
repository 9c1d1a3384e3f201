"""Tensors that a backward pass makes again instead of keeping them. TensorFlow only."""


def remade(value, function, *inputs):
    """Frees `value` after the forward pass: its backward pass computes `function(*inputs)` anew.

    Args:
        value: Tensor, what `function(*inputs)` is; taken as it is in the forward pass.
        function: Function of tensors without side effects, whose first derivative TensorFlow knows.
        *inputs: Tensors that are kept, or variables, of which the values are.

    Returns:
        Tuple `(value, again)`. `again(after)` returns `value` made again once the tensor `after` is there,
        for a custom gradient that would otherwise keep `value` itself. Within one graph it is made once.

    Example:

    ```python
    import tensorflow as tf
    from keras_sknet.ops.remake import remade

    x = tf.constant([1.0, -1.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y, again = remade(tf.nn.relu(x), tf.nn.relu, x)
    assert tape.gradient(y, x).numpy().tolist() == [1.0, 0.0]
    ```

    Reference:
        [Chen et al., 2016](https://arxiv.org/abs/1604.06174), of one layer at a time.
    """
    import tensorflow as tf

    made = {}
    # A variable may have another value by the time of the backward pass.
    inputs = [tf.convert_to_tensor(x) for x in inputs]

    def make(after):
        # Behind `after`: TensorFlow would otherwise compute this early, or find that it has it already.
        with tf.control_dependencies([after]):
            fresh = [tf.identity(tensor) for tensor in inputs]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(fresh)
            return tape, fresh, function(*fresh)

    def made_once(after):
        if tf.executing_eagerly():
            return make(after)
        # Several graphs may hold the backward pass of one forward pass, and none may use another's tensors.
        graph = tf.compat.v1.get_default_graph()
        if graph not in made:
            made[graph] = make(after)
        return made[graph]

    @tf.custom_gradient
    def forget(*_):
        def gradient(upstream):
            tape, fresh, again = made_once(upstream)
            return tape.gradient(again, fresh, upstream)

        return tf.stop_gradient(value), gradient

    return forget(*inputs), lambda after: made_once(after)[-1]
