import numpy as np

from keras_sknet.extras import import_extra
from keras_sknet.figures import INK, MUTED, new_figure, short_name

# From white to dark blue in ever less light: legible in grey and to the colour-blind.
COLOURS = "Blues"
LABELLED = 40
LONGEST = 24


def draw_confusion(result):
    """Draws a confusion matrix: true classes from top to bottom, predicted ones from left to right.

    A cell's colour is its share of the true class, the square root of it, so that rare mistakes show. With up
    to 40 classes names stand at the axes and in the cells how many images they have; with more classes it is
    an image whose axes count them.

    Args:
        result: `Evaluation`.

    Returns:
        `matplotlib.figure.Figure`; `figure.savefig("confusion.png")` writes it.

    Raises:
        ImportError: without Matplotlib.

    Example:

    ```python
    from keras_sknet.evaluation import draw_confusion, evaluate

    scores = np.array([[0.9, 0.1], [0.7, 0.3]])
    result = evaluate(lambda images: scores, [(np.zeros((2, 8, 8, 3)), np.array([0, 1]), np.ones(2))])
    draw_confusion(result).savefig("confusion.png")
    ```
    """
    names = [short_name(row.name, LONGEST) for row in result.classes]
    shares = result.confusion / np.maximum(result.confusion.sum(axis=1, keepdims=True), 1)
    side = 9 if len(names) > LABELLED else 3.5 + 0.36 * len(names)
    figure = new_figure(side + 1, side)
    axis = figure.subplots()
    norm = import_extra("matplotlib.colors").PowerNorm(0.5, 0, 1)
    image = axis.imshow(shares, COLOURS, norm=norm, interpolation="nearest")
    bar = figure.colorbar(image, shrink=0.7, ticks=[0, 0.01, 0.1, 0.5, 1], format="{x:.0%}")
    bar.set_label("share of the true class", color=INK)
    bar.outline.set_visible(False)
    if len(names) <= LABELLED:
        places = range(len(names))
        upright = max(map(len, names)) > 3
        # Names are no formulas, whatever dollars they have.
        axis.set_xticks(places, names, rotation=90 if upright else 0, parse_math=False)
        axis.set_yticks(places, names, parse_math=False)
        _write_counts(axis, result.confusion, shares)
    axis.tick_params(length=0, labelsize=8, colors=INK)
    axis.spines[:].set_color(MUTED)
    axis.set_xlabel("predicted class", color=INK)
    axis.set_ylabel("true class", color=INK)
    title = f"{1 - result.top1_error:.1%} of {result.images:,} images right"
    axis.set_title(title, fontsize=10, color=INK)
    return figure


def _write_counts(axis, counts, shares):
    for row, column in np.argwhere(counts).tolist():
        ink = "white" if shares[row, column] > 0.3 else INK
        count = f"{counts[row, column]:,}"
        size = 8 if len(count) < 4 else 6
        axis.text(column, row, count, color=ink, fontsize=size, ha="center", va="center")
