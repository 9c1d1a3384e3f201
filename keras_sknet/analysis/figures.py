import math

import numpy as np

from keras_sknet.extras import import_extra
from keras_sknet.figures import INK, MUTED, new_figure
from keras_sknet.validation import require

LINE = "#0072B2"  # the blue of Okabe and Ito's palette
COLUMNS = 6


def attention_by_scale(scores, title=None):
    """Draws how much attention the largest kernel gets, against the size of the object.

    One small panel a unit, all with the same axes: the mean over images and channels with its 95 %
    confidence band, and the change from the smallest to the largest scale, paired image by image.

    Args:
        scores: `{scale: attention_scores(model, images at that scale)}`, the scales ascending, two or
            more. Row `i` shows the same object at every scale. The last branch counts as the largest kernel:
            branches must ascend, as those of the networks here do (`scale_response` takes any order).
        title: String, or `None` (default).

    Returns:
        `matplotlib.figure.Figure`; `figure.savefig("attention.png")` writes it.

    Raises:
        ValueError: if the scores of the scales do not match each other.
        ImportError: without Matplotlib.

    Example:

    ```python
    from keras_sknet.analysis.figures import attention_by_scale

    model = keras_sknet.SKNetSmall()
    images = {scale: keras.random.uniform((4, 32, 32, 3), 0, 255) for scale in (1.0, 2.0)}
    scores = {scale: keras_sknet.attention_scores(model, images[scale]) for scale in images}
    attention_by_scale(scores).savefig("attention.png")
    ```

    Reference:
        Figure 3 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586), where the object grows
        too.
    """
    responses = unit_responses(scores)
    scales = list(scores)
    columns = min(COLUMNS, len(responses))
    rows = math.ceil(len(responses) / columns)
    figure = new_figure(max(1.9 * columns + 0.8, 5), 2.3 * rows + (0.9 if title else 0.5))
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axis in axes[len(responses) :]:
        axis.remove()
    for number, (axis, (unit, response)) in enumerate(zip(axes, responses.items(), strict=False)):
        mean, band = _mean_and_band(response)
        axis.axhline(1 / scores[scales[0]][unit].shape[1], color=MUTED, linewidth=0.8, linestyle=":")
        axis.fill_between(scales, mean - band, mean + band, color=LINE, alpha=0.25, linewidth=0)
        axis.plot(scales, mean, color=LINE, marker="o", markersize=4)
        change, spread = _mean_and_band(response[:, -1:] - response[:, :1])
        axis.set_title(unit, fontsize=9, color=INK, fontweight="bold", pad=16)
        note = f"{change[0]:+.3f}" + ("" if np.isnan(spread[0]) else f" ± {spread[0]:.3f}")
        note = note.replace("-", "\N{MINUS SIGN}")
        place = {"transform": axis.transAxes, "ha": "center", "va": "bottom"}
        axis.text(0.5, 1.03, note, fontsize=8, color=MUTED, **place)
        axis.set_xticks(scales, [f"{scale}×" for scale in scales])
        axis.tick_params(labelsize=8, colors=INK, labelleft=number % columns == 0)
        # Below the last row there may be gaps, above which the labels are needed too.
        axis.tick_params(labelbottom=number + columns >= len(responses))
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.12)
    figure.supxlabel("scale of the digit", fontsize=9, color=INK)
    figure.supylabel("attention of the largest kernel", fontsize=9, color=INK)
    if title:
        figure.suptitle(title, fontsize=10, color=INK)
    return figure


def unit_responses(scores):
    """Reduces scores to `{unit: array (images, scales)}`: the last branch's, mean over channels."""
    require(
        isinstance(scores, dict) and len(scores) > 1 and list(scores) == sorted(scores),
        "scores",
        "a dictionary of two scales or more, ascending",
        scores=list(scores),
    )
    shapes = [{unit: a.shape for unit, a in by_unit.items()} for by_unit in scores.values()]
    require(
        shapes[0] and all(shape == shapes[0] for shape in shapes),
        "scores",
        "of the same units and images at every scale",
        scores=shapes,
    )
    return {
        unit: np.stack([np.mean(by_unit[unit][:, -1], axis=-1) for by_unit in scores.values()], axis=-1)
        for unit in shapes[0]
    }


def _mean_and_band(values):
    """Means over the first axis, and the half width of their 95 % confidence intervals, NaN for one value."""
    count = len(values)
    if count == 1:
        return values[0], np.full(values.shape[1:], np.nan)
    quantile = import_extra("scipy.stats").t.ppf(0.975, count - 1)
    return values.mean(axis=0), quantile * values.std(axis=0, ddof=1) / math.sqrt(count)
