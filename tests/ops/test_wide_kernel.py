import numpy as np
import pytest
import tensorflow as tf

from convolutions import assert_close
from keras_sknet.ops.wide_kernel import narrow, run_count, widen
from oracles import numpy_conv2d

SHAPES = [(8, 4, 2, 16), (8, 8, 1, 8), (12, 12, 3, 24), (12, 6, 6, 6), (16, 1, 1, 4)]


@pytest.mark.parametrize(
    "channels, groups, run_channels, runs",
    [(128, 32, 16, 8), (256, 32, 16, 16), (512, 32, 16, 32), (1024, 32, 16, 32), (96, 12, 32, 3)]
    + [(37, 37, 16, 1), (8, 4, 16, 1), (64, 1, 16, 1)],
)
def test_whole_groups_make_a_run(channels, groups, run_channels, runs):
    assert run_count(channels, groups, run_channels) == runs


@pytest.mark.parametrize("channels, groups, runs, filters", SHAPES)
def test_a_widened_kernel_convolves_as_the_narrow_one(channels, groups, runs, filters):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 7, 6, channels)), rng.normal(size=(3, 2, channels // groups, filters))
    wide = widen(tf.constant(kernel), groups, runs)
    assert wide.shape == (3, 2, channels // runs, filters)
    assert_close(numpy_conv2d(x, wide.numpy(), 1, "valid", 1), numpy_conv2d(x, kernel, 1, "valid", 1), 1e-12)


@pytest.mark.parametrize("channels, groups, runs, filters", SHAPES)
def test_narrowing_is_the_transpose_of_widening(channels, groups, runs, filters):
    rng = np.random.default_rng(0)
    kernel = tf.constant(rng.normal(size=(3, 2, channels // groups, filters)))
    wide = tf.constant(rng.normal(size=(3, 2, channels // runs, filters)))
    got = tf.reduce_sum(kernel * narrow(wide, groups, runs))
    np.testing.assert_allclose(got, tf.reduce_sum(widen(kernel, groups, runs) * wide), rtol=1e-12)


def test_narrowing_leaves_out_what_is_not_finite_outside_of_the_groups():
    kernel = tf.ones((1, 1, 2, 8))
    outside = tf.where(widen(kernel, 4, 1) == 0, np.nan, 3.0)
    np.testing.assert_array_equal(narrow(outside, 4, 1), 3 * kernel)
