from keras_sknet.validation import positive_integer, require, whole_number


def batches(source, batch_size, *, epochs=1, seed=0, first_step=0):
    """Streams shuffled batches of a source for training, in an order that can be taken up anywhere.

    What an element is depends only on `seed`, the epoch and its index, so the stream from step `k` on
    equals the rest of a stream read from the start. Every epoch has `len(source) // batch_size` steps; the
    few elements left over, other ones each time, are left out.

    Args:
        source: Object with `len(source)` and `element(index, seed, epoch)`, which returns an image and a
            label as tensors, e.g. `Digits("train")`.
        batch_size: Integer, no more than `len(source)`.
        epochs: Integer, after which the stream ends. Defaults to `1`.
        seed: Integer, 0 or more. Defaults to `0`.
        first_step: Integer, steps to leave out, counted from the first epoch on. Defaults to `0`.

    Returns:
        `tf.data.Dataset` of `(images, labels)`, with a known number of steps.

    Raises:
        ValueError: for an argument that cannot work.

    Example:

    ```python
    from keras_sknet.data import Digits, batches

    images, labels = next(iter(batches(Digits("train"), 64)))  # (64, 32, 32, 3), (64,)
    ```
    """
    import tensorflow as tf

    count = len(source)
    positive_integer("batch_size", batch_size)
    positive_integer("epochs", epochs)
    whole_number("seed", seed)
    whole_number("first_step", first_step)
    require(
        batch_size <= count,
        "batch_size",
        "no more than the images to train on",
        batch_size=batch_size,
        images=count,
    )
    used = count // batch_size * batch_size

    def element(step):
        epoch, position = step // used, step % used
        order = tf.stack([tf.constant(seed, tf.int64), epoch])
        index = tf.random.experimental.index_shuffle(position, order, tf.constant(count - 1, tf.int64))
        return source.element(index, tf.constant(seed, tf.int64), epoch)

    positions = tf.data.Dataset.range(first_step * batch_size, epochs * used)
    elements = positions.map(element, num_parallel_calls=2, deterministic=True)
    return elements.batch(batch_size, drop_remainder=True).prefetch(2)
