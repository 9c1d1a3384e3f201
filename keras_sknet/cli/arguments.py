"""Types of arguments that several commands share."""

import argparse
import math


def positive_integer(text):
    """A whole number above 0."""
    return _number(text, int, lambda value: value > 0, "a whole number above 0")


def positive_number(text):
    """A finite number above 0."""
    return _number(text, float, lambda value: 0 < value < math.inf, "a number above 0")


def fraction(text):
    """A number from 0 to below 1."""
    return _number(text, float, lambda value: 0 <= value < 1, "a number from 0 to below 1")


def whole_number(text):
    """A whole number, 0 or more."""
    return _number(text, int, lambda value: value >= 0, "a whole number, 0 or more")


def seed(text):
    """A whole number that Keras takes as a seed."""
    return _number(text, int, lambda value: 0 <= value < 2**32, "a whole number from 0 to 4294967295")


def _number(text, kind, valid, description):
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not valid(value):
        raise argparse.ArgumentTypeError(f"must be {description}, not {text!r}")
    return value
