import math

import keras
import numpy as np
import pytest

import keras_sknet
from keras_sknet.layers.initializers import he_normal

# Values cut off at two standard deviations, and scaled to the same variance, end at 2.27.
BEYOND_TWO = 2.5


def standardized(kernel):
    *window, filters = kernel.shape
    return keras.ops.convert_to_numpy(kernel) / np.sqrt(2 / np.prod(window))


def test_is_normal_and_not_cut_off():
    values = standardized(he_normal()((3, 3, 32, 64)))
    assert np.mean(values) == pytest.approx(0, abs=0.05)
    assert np.std(values) == pytest.approx(1, rel=0.05)
    # 1.24 % of a normal distribution's.
    assert np.mean(np.abs(values) > BEYOND_TWO) == pytest.approx(0.0124, abs=0.005)


def test_each_kernel_has_its_own_values():
    first, second = (keras.ops.convert_to_numpy(he_normal()((4, 4))) for _ in range(2))
    assert not np.any(first == second)


def test_values_repeat_with_the_seed():
    values = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        values.append(keras.ops.convert_to_numpy(he_normal()((4, 4))))
    np.testing.assert_array_equal(*values)


@pytest.mark.parametrize(
    "build",
    [
        lambda: keras_sknet.ConvNormAct(256, 3, groups=8),
        lambda: keras_sknet.SelectiveKernel(256),
        lambda: keras_sknet.SqueezeExcite(2),
        lambda: keras_sknet.CBAM(2),
        lambda: keras_sknet.BAM(2),
    ],
    ids=["ConvNormAct", "SelectiveKernel", "SqueezeExcite", "CBAM", "BAM"],
)
def test_layers_use_it(build):
    layer = build()
    layer.build((None, 8, 8, 256))
    kernels = [weight for weight in layer.weights if weight.path.endswith(("conv/kernel", "squeeze/kernel"))]
    large = [standardized(kernel) for kernel in kernels if math.prod(kernel.shape) > 4096]
    assert large
    for values in large:
        assert np.std(values) == pytest.approx(1, rel=0.1)
        assert np.max(np.abs(values)) > BEYOND_TWO
