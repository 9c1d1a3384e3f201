"""From a source to batches: for training, in an order that can be taken up anywhere, and for evaluation."""

from keras_sknet.validation import positive_integer, require, whole_number


def batches(
    source,
    batch_size,
    *,
    epochs=1,
    seed=0,
    first_step=0,
    transform=None,
    augmentation=None,
    shard=(0, 1),
):
    """Streams shuffled batches of a source for training, in an order that can be taken up anywhere.

    What an element is depends only on `seed`, the epoch and its index, so the stream from step `k` on
    equals the rest of a stream read from the start. Every epoch has `len(source) // batch_size` steps; the
    few elements left over, other ones each time, are left out.

    Args:
        source: Object with `len(source)` and `element(index, seed, epoch)`, which returns an image and a
            label as tensors, e.g. what `open_source` returns.
        batch_size: Integer, no more than `len(source)`.
        epochs: Integer, after which the stream ends. Defaults to `1`.
        seed: Integer, 0 or more. Defaults to `0`.
        first_step: Integer, steps to leave out, counted from the first epoch on. Defaults to `0`.
        transform: Function of an image and a key, as `training_transform` returns it. Defaults to `None`:
            images stay as the source has them, which must be pixels, all of one size.
        augmentation: `Augmentation` of the transformed images. Defaults to `None`.
        shard: Pair of integers, the number of this process and the number of all, each of which gets its
            part of every batch (`batch_size` counts the whole one). Defaults to `(0, 1)`.

    Returns:
        `tf.data.Dataset` of `(images, labels)`, with a known number of steps. Labels are integers `(batch,)`
        or, where the augmentation mixes images, float32 shares of the classes `(batch, classes)`.

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
    process, part = _part(batch_size, shard)
    used = count // batch_size * batch_size
    change_image = augmentation.of_images() if augmentation else None
    mix = augmentation.of_batches(len(getattr(source, "class_names", ()))) if augmentation else None
    require(
        mix is None or hasattr(source, "class_names"),
        "source",
        "one with `class_names`, for mixup and cutmix",
        source=type(source).__name__,
    )

    def element(number):
        place = number // part * batch_size + process * part + number % part
        epoch, position = place // used, place % used
        order = tf.stack([tf.constant(seed, tf.int64), epoch])
        index = tf.random.experimental.index_shuffle(position, order, tf.constant(count - 1, tf.int64))
        image, label = source.element(index, order[0], epoch)
        key = tf.random.experimental.stateless_fold_in(order, index)
        image = _transformed(image, transform, key)
        if change_image:
            image = change_image(tf.cast(image, tf.float32), tf.random.experimental.stateless_fold_in(key, 2))
        return image, label

    def mixed(step, batch):
        # No epoch is negative: no image has this key.
        order = tf.stack([tf.constant(seed, tf.int64), -1 - step])
        return mix(*batch, tf.random.experimental.stateless_fold_in(order, tf.constant(process, tf.int64)))

    numbers = tf.data.Dataset.range(first_step * part, epochs * used // batch_size * part)
    stream = numbers.map(element, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    stream = stream.batch(part, drop_remainder=True)
    if mix:
        stream = stream.enumerate(first_step).map(mixed, num_parallel_calls=tf.data.AUTOTUNE)
    return stream.prefetch(tf.data.AUTOTUNE)


def evaluation_batches(source, batch_size, transform=None, shard=(0, 1)):
    """Streams all of a source in order, once, in batches of one size.

    The last batch is filled up with black images of label 0 and weight 0, so that a sum over weights counts
    every image exactly once, and no device is left without a share.

    Args:
        source: As in `batches`.
        batch_size: Integer.
        transform: Function of an image and a key, as `evaluation_transform` returns it. Defaults to `None`:
            images stay as the source has them, which must be pixels, all of one size.
        shard: As in `batches`. Defaults to `(0, 1)`.

    Returns:
        `tf.data.Dataset` of `(images, labels, weights)`, with a known number of steps. Weights are 1 or 0.

    Raises:
        ValueError: for an argument that cannot work.

    Example:

    ```python
    from keras_sknet.data import Digits, evaluation_batches

    stream = evaluation_batches(Digits("test"), 64)
    images, labels, weights = next(iter(stream))  # (64, 32, 32, 3), (64,), (64,)
    ```
    """
    import tensorflow as tf

    positive_integer("batch_size", batch_size)
    count = len(source)
    process, part = _part(batch_size, shard)
    zero = tf.constant(0, tf.int64)

    def element(number):
        index = number // part * batch_size + process * part + number % part
        real = index < count
        image, label = source.element(tf.where(real, index, zero), zero, zero)
        image = _transformed(image, transform, tf.zeros([2], tf.int64))
        weight = tf.cast(real, tf.float32)
        return *(tf.where(real, value, tf.zeros_like(value)) for value in (image, label)), weight

    stream = tf.data.Dataset.range(-(-count // batch_size) * part)
    stream = stream.map(element, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return stream.batch(part, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def _transformed(image, transform, key):
    import tensorflow as tf

    if transform is not None:
        return transform(image, key)
    require(
        image.dtype != tf.string,
        "transform",
        "a function that makes pixels of files, e.g. from `training_transform` or `evaluation_transform`",
        transform=transform,
    )
    return image


def _part(batch_size, shard):
    """Returns the number of this process and how much of a batch it gets."""
    pair = tuple(shard) if isinstance(shard, (tuple, list)) and len(shard) == 2 else (-1, 0)
    process, processes = pair
    require(
        all(isinstance(value, int) for value in pair) and 0 <= process < processes,
        "shard",
        "the number of this process, from 0, and the number of all",
        shard=shard,
    )
    require(
        batch_size % processes == 0,
        "batch_size",
        "a multiple of the processes in `shard`",
        batch_size=batch_size,
        shard=shard,
    )
    return process, batch_size // processes
