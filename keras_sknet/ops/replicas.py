"""How many devices train in step. Only TensorFlow's strategies have replicas."""

import keras


def replica_count():
    """Counts the replicas that train in step with this one.

    Returns:
        Integer: 1 without a TensorFlow distribution strategy, outside of its replica context, and off
        TensorFlow.

    Example:

    ```python
    from keras_sknet.ops.replicas import replica_count

    assert replica_count() == 1
    ```
    """
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync
