import contextlib


class MissingSplit(ValueError):
    """Data has no such split, or nothing in it."""


@contextlib.contextmanager
def split_missing():
    """Context in which a `ValueError` is a `MissingSplit`."""
    try:
        yield
    except ValueError as error:
        raise MissingSplit(str(error)) from None
