"""What the epochs of a training have come to: as a table and as a picture."""

import csv

from keras_sknet.figures import INK, MUTED, new_figure
from keras_sknet.files import appearing_whole
from keras_sknet.validation import require

# Of Okabe and Ito's palette; dashes tell them apart in grey, too.
TRAINING = {"color": "#0072B2", "linestyle": "-", "label": "training"}
VALIDATION = {"color": "#D55E00", "linestyle": "--", "label": "validation"}
PANELS = ("loss", "accuracy", "learning_rate")
MARKED = 40


def write_history(history, path):
    """Writes a table (CSV) with a row for each epoch. It appears whole, in place of one that is there.

    Args:
        history: List of a dictionary for each epoch, as `fit` returns it.
        path: String or path object; the folder around it must exist.

    Raises:
        ValueError: if `history` is none, or the folder does not exist.
        OSError: if the file cannot be written.

    Example:

    ```python
    from keras_sknet.training.curves import write_history

    write_history([{"epoch": 1, "loss": 2.3}, {"epoch": 2, "loss": 1.9}], "history.csv")
    ```
    """
    _require_history(history)
    columns = list(dict.fromkeys(name for logs in history for name in logs))
    with appearing_whole(path, replace=True) as unfinished:
        with open(unfinished, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(history)


def draw_curves(history, path):
    """Draws loss, accuracy and learning rate over epochs (PNG). It appears whole, in place of one there.

    Args:
        history: List of a dictionary for each epoch, as `fit` returns it: `epoch`, counted from 1, and any of
            `loss`, `accuracy`, `val_loss`, `val_accuracy` and `learning_rate`.
        path: String or path object, its name ending in `.png`; the folder around it must exist.

    Raises:
        ValueError: if `history` is none, or the folder does not exist.
        ImportError: without Matplotlib.
        OSError: if the file cannot be written.

    Example:

    ```python
    from keras_sknet.training.curves import draw_curves

    losses = ({"loss": 2.3, "val_loss": 2.2}, {"loss": 1.9, "val_loss": 2.0})
    draw_curves([{"epoch": epoch, **logs} for epoch, logs in enumerate(losses, 1)], "curves.png")
    ```
    """
    _require_history(history)
    found = [name for name in PANELS if any(name in logs or f"val_{name}" in logs for logs in history)]
    require(found, "history", f"of epochs with some of {PANELS}", history=history[:1])
    figure = new_figure(3.6 * len(found) + 0.4, 3.2)
    for axis, name in zip(figure.subplots(1, len(found), squeeze=False)[0], found, strict=True):
        _draw_panel(axis, history, name)
    with appearing_whole(path, replace=True) as unfinished:
        figure.savefig(unfinished, format="png")


def _draw_panel(axis, history, name):
    marker = "o" if len(history) <= MARKED else None
    for key, style in ((name, TRAINING), (f"val_{name}", VALIDATION)):
        points = [(logs["epoch"], logs[key]) for logs in history if key in logs]
        if points:
            axis.plot(*zip(*points, strict=True), marker=marker, markersize=3, linewidth=1.4, **style)
    axis.set_title(name.replace("_", " "), fontsize=10, color=INK)
    axis.set_xlabel("epoch", fontsize=9, color=INK)
    axis.set_xlim(history[0]["epoch"] - 0.5, history[-1]["epoch"] + 0.5)
    axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axis.tick_params(labelsize=8, colors=INK)
    axis.grid(color=MUTED, alpha=0.2, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    if name != "learning_rate":
        axis.legend(fontsize=8, frameon=False, labelcolor=INK)


def _require_history(history):
    require(
        isinstance(history, list) and history and all("epoch" in logs for logs in history),
        "history",
        "a list of a dictionary for each epoch, one or more",
        history=history,
    )
