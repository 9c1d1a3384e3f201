class Cached:
    """A source of files with all their contents in memory, read once when it is made.

    Args:
        source: Source whose images are the bytes of files.

    Raises:
        ValueError: if a file cannot be read.
    """

    def __init__(self, source):
        import tensorflow as tf

        from keras_sknet.data.faults import naming_corrupt_files

        self.source, self.class_names = source, source.class_names
        zero = tf.constant(0, tf.int64)
        elements = tf.data.Dataset.range(len(source))
        elements = elements.map(lambda index: source.element(index, zero, zero), tf.data.AUTOTUNE)
        with naming_corrupt_files(source), tf.device("/CPU:0"):
            self._contents, self._labels = elements.batch(len(source)).get_single_element()

    def __len__(self):
        return len(self.source)

    def element(self, index, seed, epoch):
        """Contents and label of a file."""
        import tensorflow as tf

        return tf.gather(self._contents, index), tf.gather(self._labels, index)

    def describe(self, index):
        """The path of a file."""
        return self.source.describe(index)
