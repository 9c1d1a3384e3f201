"""Training on several devices of one machine."""

import contextlib

from keras_sknet.validation import positive_integer, require


def mirrored_strategy(replicas=None):
    """Makes a `tf.distribute.MirroredStrategy` over all GPUs, or over so many parts of the CPU.

    The CPU is parted to try things out, which is not faster; it must be done before TensorFlow computes
    anything in the process. Build the model in the strategy's scope.

    Args:
        replicas: Integer, how many devices. Defaults to `None`: all GPUs.

    Returns:
        `tf.distribute.MirroredStrategy`.

    Raises:
        ValueError: if there are no GPUs and `replicas` is `None`, or fewer GPUs than `replicas`.
        RuntimeError: if TensorFlow has computed already, and the CPU can be parted no more.

    Example:

    ```python
    from keras_sknet.training import mirrored_strategy

    strategy = mirrored_strategy(2)
    with strategy.scope():
        model = keras_sknet.SKNetSmall()
    ```
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    require(replicas is not None or gpus, "replicas", "a number where there are no GPUs", replicas=replicas)
    replicas = positive_integer("replicas", len(gpus) if replicas is None else replicas)
    require(
        not gpus or replicas <= len(gpus), "replicas", f"at most {len(gpus)}, the GPUs", replicas=replicas
    )
    if gpus:
        return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(replicas)])
    (cpu,) = tf.config.list_physical_devices("CPU")
    parts = tf.config.get_logical_device_configuration(cpu) or ()
    if len(parts) < replicas:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])


def strategy_scope(model, batch_size, accumulation=1):
    """The scope of the strategy that a model was built under, in which it is compiled.

    Args:
        model: `keras.Model`.
        batch_size: Integer, which must be divisible by the replicas, so that none has more than another.
        accumulation: Integer, parts that a batch is computed in, which Keras cannot do on several replicas.
            Defaults to `1`.

    Returns:
        A context manager; one that does nothing on other backends than TensorFlow.

    Raises:
        ValueError: for a batch size that cannot be parted evenly, or parts to accumulate.
    """
    strategy = getattr(model, "distribute_strategy", None)
    if strategy is None:
        return contextlib.nullcontext()
    replicas = strategy.num_replicas_in_sync
    require(
        batch_size % replicas == 0,
        "batch_size",
        "divisible by the replicas (and parts to accumulate)",
        step_size=batch_size,
        replicas=replicas,
    )
    require(
        accumulation == 1 or replicas == 1,
        "accumulation",
        "1 with several replicas",
        accumulation=accumulation,
        replicas=replicas,
    )
    return strategy.scope()
