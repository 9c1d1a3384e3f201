"""What all figures have in common: their ink, their size, and names that fit into them."""

from keras_sknet.extras import import_extra

INK, MUTED = "#222222", "#666666"


def new_figure(width, height):
    """Returns a Matplotlib figure of so many inches that knows no global state."""
    return import_extra("matplotlib.figure").Figure((width, height), dpi=150, layout="constrained")


def short_name(name, length):
    """Returns a name in one line of at most so many characters; what is no Unicode is written as in Python.

    Example:

    ```python
    from keras_sknet.figures import short_name

    assert short_name("great white shark", 9) == "great wh…"
    ```
    """
    # Names of files that are no Unicode are read with lone surrogates.
    name = " ".join(name.encode("utf-8", "backslashreplace").decode().split())
    return name if len(name) <= length else name[: length - 1] + "…"
