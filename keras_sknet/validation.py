"""Checks of arguments, and the one form that their errors have."""

import numbers

import keras


def require(condition, argument, requirement, **received):
    """Raises the package's `ValueError` unless `condition` holds.

    Args:
        condition: Boolean.
        argument: Name of the argument at fault.
        requirement: What it must be, continuing "`argument` must be".
        **received: The values to show, the argument's own first.

    Raises:
        ValueError: if `condition` is false.
    """
    if not condition:
        values = ", ".join(f"{name}={value!r}" for name, value in received.items())
        raise ValueError(f"`{argument}` must be {requirement}. Received: {values}")


def is_positive_integer(value):
    """Tells whether `value` is a whole number above 0, NumPy's included; `True` is none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value > 0


def positive_integer(argument, value):
    """Returns `value` as an `int`, or raises an error that names `argument`."""
    require(is_positive_integer(value), argument, "a positive integer", **{argument: value})
    return int(value)


def whole_number(argument, value):
    """Returns `value` as an `int` of 0 or more, or raises an error that names `argument`."""
    valid = isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 0
    require(valid, argument, "an integer of 0 or more", **{argument: value})
    return int(value)


def positive_pair(argument, value):
    """Returns `value`, an integer or two of them, as a pair, or raises an error that names `argument`."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    valid = len(values) == 2 and all(map(is_positive_integer, values))
    require(valid, argument, "a positive integer or a pair of them", **{argument: value})
    return tuple(int(v) for v in values)


def one_of(argument, value, choices):
    """Returns `value`, or raises an error that names `argument` and lists `choices`."""
    require(value in choices, argument, f"one of {tuple(choices)}", **{argument: value})
    return value


def activation_function(argument, value):
    """Returns the function that `value` names or is, or raises an error that names `argument`."""
    try:
        return keras.activations.get(value)
    except (TypeError, ValueError):
        require(False, argument, "an activation function, the name of one, or None", **{argument: value})


def image_shape(layer, input_shape, channels=None):
    """Checks that a layer's input is `(N, H, W, C)`, C known or as given; returns its shape as a tuple."""
    shape = tuple(input_shape or ())
    require(
        len(shape) == 4 and shape[-1] is not None and channels in (None, shape[-1]),
        "inputs",
        f"images of shape (batch, height, width, {channels or 'channels'}) with known channels "
        f"for layer {layer.name!r}",
        input_shape=shape,
    )
    return shape
