import keras
import numpy as np
import pytest

from keras_sknet import GroupedConv2D


def made(arguments):
    return GroupedConv2D(**{"filters": 16, "kernel_size": 3, **arguments})


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"filters": 0}, r"`filters` must be a positive integer. Received: filters=0"),
        ({"filters": -1}, r"`filters` must be a positive integer. Received: filters=-1"),
        ({"filters": 2.5}, r"`filters` must be a positive integer. Received: filters=2.5"),
        ({"filters": None}, r"`filters` must be a positive integer. Received: filters=None"),
        ({"filters": True}, r"`filters` must be a positive integer. Received: filters=True"),
        ({"groups": 0}, r"`groups` must be a positive integer. Received: groups=0"),
        ({"groups": "4"}, r"`groups` must be a positive integer. Received: groups='4'"),
        ({"groups": 3}, r"`filters` must be a multiple of `groups`. Received: filters=16, groups=3"),
        ({"kernel_size": 0}, r"`kernel_size` must be .*Received: kernel_size=0"),
        ({"kernel_size": (3, 3, 3)}, r"`kernel_size` must be .*Received: kernel_size=\(3, 3, 3\)"),
        (
            {"kernel_size": 4},
            r"`kernel_size` must be odd for .*Received: kernel_size=\(4, 4\), padding='symmetric'",
        ),
        ({"kernel_size": (3, 2)}, r"`kernel_size` must be odd for .*Received: kernel_size=\(3, 2\)"),
        ({"strides": 0}, r"`strides` must be a positive integer or a pair of them. Received: strides=0"),
        ({"strides": (2, 1.5)}, r"`strides` must be .*Received: strides=\(2, 1.5\)"),
        ({"dilation_rate": 0}, r"`dilation_rate` must be .*Received: dilation_rate=0"),
        ({"padding": "full"}, r"`padding` must be one of .*'symmetric'.*Received: padding='full'"),
        ({"padding": None}, r"`padding` must be one of .*Received: padding=None"),
        (
            {"data_format": "channels_first"},
            r"`data_format` must be 'channels_last'. Received: data_format='channels_f",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_an_argument_that_cannot_work_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        made(arguments)


@pytest.mark.parametrize(
    "arguments, shape, message",
    [
        (
            {"groups": 4},
            (None, 9, 9, 6),
            r"`groups` must be a divisor of the input channels. Received: groups=4, .*6\)",
        ),
        ({}, (None, 9, 8), r"`inputs` must be images of shape .*Received: input_shape=\(None, 9, 8\)"),
        ({}, (None, 9, 9, 9, 8), r"`inputs` must be images of shape"),
        ({}, (None, 9, 9, None), r"`inputs` must be images .* with known channels .*Received: input_shape="),
        (
            {"padding": "valid", "dilation_rate": 3},
            (None, 9, 6, 8),
            r"`inputs` must be at least as large as the dilated kernel. Received: size=\(9, 6\)",
        ),
    ],
    ids=["channels", "3D", "5D", "unknown channels", "too small"],
)
def test_an_input_shape_that_cannot_work_is_refused(arguments, shape, message):
    layer = made(arguments)
    with pytest.raises(ValueError, match=message):
        layer(keras.Input(shape[1:]))
    with pytest.raises(ValueError, match=message):
        made(arguments).build(shape)


def test_an_input_that_became_too_small_is_refused():
    layer = made({"padding": "valid"})
    layer(np.ones((1, 9, 9, 8)))
    with pytest.raises(ValueError, match="`inputs` must be at least as large as the dilated kernel"):
        layer(np.ones((1, 2, 9, 8)))


def test_channels_first_as_keras_default_is_refused():
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="`data_format` must be 'channels_last'"):
            made({})
    finally:
        keras.config.set_image_data_format(before)
