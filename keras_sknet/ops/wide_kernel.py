"""Narrow groups convolved several at a time: kernels with zeros between groups. TensorFlow only."""


def run_count(channels, groups, run_channels):
    """The number of runs of about `run_channels` channels that groups are put into, none of them cut."""
    most = max(1, channels // run_channels)
    return max(n for n in range(1, groups + 1) if groups % n == 0 and n <= most)


def widen(kernel, groups, runs):
    """The kernel of `runs` groups that convolves as one of `groups` groups does.

    What is not finite in a channel reaches all filters of its run.

    Args:
        kernel: Tensor `(kernel height, kernel width, C / groups, filters)`.
        groups: Integer, a multiple of `runs`.
        runs: Integer.

    Returns:
        Tensor `(kernel height, kernel width, C / runs, filters)`, zero where a filter does not look.
    """
    import tensorflow as tf

    if groups == runs:
        return kernel
    height, width, depth, filters = kernel.shape
    wide = tf.where(_own_group(groups, runs, filters), kernel[:, :, None], tf.zeros([], kernel.dtype))
    return tf.reshape(wide, [height, width, groups // runs * depth, filters])


def narrow(wide, groups, runs):
    """The gradient of a kernel, from that of its `widen`: what lies outside of the groups is left out."""
    import tensorflow as tf

    if groups == runs:
        return wide
    height, width, depth, filters = wide.shape
    wide = tf.reshape(wide, [height, width, groups // runs, depth * runs // groups, filters])
    return tf.reduce_sum(tf.where(_own_group(groups, runs, filters), wide, tf.zeros([], wide.dtype)), axis=2)


def _own_group(groups, runs, filters):
    """Whether each filter belongs to each of the groups of its run: `(groups / runs, 1, filters)`."""
    import tensorflow as tf

    group_of_filter = tf.range(filters) // (filters // groups) % (groups // runs)
    return tf.range(groups // runs)[:, None, None] == group_of_filter
