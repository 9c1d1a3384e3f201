"""Figures 3 and 4 of the paper, for any model and any images."""

import numpy as np

from keras_sknet.analysis.attention import attention_scores, kernel_sizes, named
from keras_sknet.analysis.response import ScaleResponse
from keras_sknet.analysis.scale import SCALES, enlarge, standardize_scales
from keras_sknet.analysis.style import literal_text, plain, scale_legend, scale_style, show_image
from keras_sknet.figures import INK, MUTED, new_figure, short_name
from keras_sknet.validation import require

NAMED_CLASSES = 30  # more have their numbers under the axis, not their names
LONGEST = 18  # characters of a name
RUN = 16  # channels averaged in the plot are at least one in so many, as in the paper
DIFFERENCE = "attention, largest − smallest kernel"


def draw_channels(model, images, unit=None, scales=SCALES, titles=None):
    """Draws what a unit's channels choose as objects grow, beside the objects: Figure 3 of the paper.

    One row an image: the image at each scale; the attention of the largest kernel, channel by channel
    (neighbours averaged where there are many); the mean difference between the largest and the smallest
    kernel in every unit.

    Args:
        model: `keras.Model` with SK units and a single input, images.
        images: Array `(N, H, W, C)` as the model takes them, one to eight.
        unit: Name of the unit. Defaults to the one at 0.4 of the depth, SK_3_4 in SKNet-50.
        scales: As for `scale_response`. Defaults to `(1.0, 1.5, 2.0)`.
        titles: Sequence of strings, one an image. Defaults to none.

    Returns:
        `matplotlib.figure.Figure`; `figure.savefig("channels.png")` or `.svg` writes it.

    Raises:
        ValueError: for images that the model cannot take, an unknown unit, scales below 1.
        ImportError: without Matplotlib.

    Example:

    ```python
    from keras_sknet.analysis import draw_channels

    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    draw_channels(keras_sknet.SKNetSmall(), images, "sk_3_2").savefig("channels.svg")
    ```

    Reference:
        Figure 3 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).
    """
    scales = standardize_scales(scales)
    shape = getattr(images, "shape", ())
    require(len(shape) == 4 and 1 <= shape[0] <= 8, "images", "an array of one to eight images", images=shape)
    count, columns = shape[0], len(scales)
    require(titles is None or len(titles) == count, "titles", "one for each image, or None", titles=titles)
    enlarged = [np.asarray(enlarge(images, scale)) for scale in scales]
    scores = attention_scores(model, np.concatenate(enlarged))
    # (scales, images, branches, channels)
    scores = {name: a.reshape(columns, count, *a.shape[1:]) for name, a in scores.items()}
    means = {name: a.mean(axis=-1).swapaxes(0, 1) for name, a in scores.items()}
    response = ScaleResponse(scales, kernel_sizes(model, scores), means)
    several = default_units(response.units)
    (unit,) = named("unit", [unit or several[len(several) // 2]], response.units)
    largest = int(np.argmax(response.kernels[unit]))

    figure = new_figure(1.3 * columns + 6.6, 1.75 * count + 0.5)
    grid = figure.add_gridspec(count, columns + 2, width_ratios=[1] * columns + [2.6, 2.4])
    for row in range(count):
        for column, scale in enumerate(scales):
            axis = figure.add_subplot(grid[row, column])
            show_image(axis, enlarged[column][row], *(f(images[row]) for f in (np.min, np.max)))
            axis.set_title(f"{scale}×", fontsize=8, color=INK, pad=3)
            if titles is not None and column == 0:
                axis.text(-0.08, 0.5, titles[row], transform=axis.transAxes, rotation=90, va="center",
                          ha="right", fontsize=8, color=INK)  # fmt: skip
        axis = plain(figure.add_subplot(grid[row, -2]))
        for number, scale in enumerate(scales):
            style = scale_style(number, 2.5)
            axis.plot(*_runs(scores[unit][number, row, largest]), linewidth=1, label=f"{scale}×", **style)
        axis.set_ylabel("attention of {0}×{0}".format(response.kernels[unit][largest]), fontsize=8, color=INK)
        last = row == count - 1
        if last:
            axis.set_xlabel(f"channel of {unit}", fontsize=8, color=INK)
        axis = figure.add_subplot(grid[row, -1])
        differences = {name: response.difference(name)[row] for name in response.units}
        _draw_units(axis, scales, differences, labels=last)
        axis.set_ylabel("difference", fontsize=8, color=INK)
    scale_legend(figure, figure.axes[columns])
    return literal_text(figure)


def draw_units(response):
    """Draws the mean difference between largest and smallest kernel by unit, at each scale, and its change.

    The lower panel has the change from the first scale to each other one with its 95 % confidence interval;
    for units of three kernels or more a third one has the mean size of the kernels under the attention.

    Args:
        response: `ScaleResponse`, of `scale_response`.

    Returns:
        `matplotlib.figure.Figure`.

    Example:

    ```python
    from keras_sknet.analysis import draw_units

    images = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3))
    response = keras_sknet.scale_response(keras_sknet.SKNetSmall(), images)
    draw_units(response).savefig("units.png")
    ```

    Reference:
        Figure 3 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586), the bars, over all images.
    """
    several = any(len(sizes) > 2 for sizes in response.kernels.values())
    panels = 3 if several else 2
    figure = new_figure(max(5.0, 0.34 * len(response.units) + 2), 2.3 * panels)
    axes = figure.subplots(panels, 1, sharex=True)
    rows = response.rows()
    by_unit = {unit: [row for row in rows if row.unit == unit] for unit in response.units}
    means = {unit: [row.difference for row in found] for unit, found in by_unit.items()}
    _draw_units(axes[0], response.scales, means, labels=False)
    axes[0].set_ylabel("difference", fontsize=8, color=INK)
    axis = plain(axes[1])
    axis.axhline(0, color=MUTED, linewidth=0.8)
    places = np.arange(len(response.units))
    for number in range(1, len(response.scales)):
        found = [by_unit[unit][number] for unit in response.units]
        change = np.array([row.change for row in found])
        ends = np.array([[row.change_low for row in found], [row.change_high for row in found]])
        # The interval of a skewed change need not hold its mean.
        lengths = np.abs(np.nan_to_num(ends - change)) * ((ends - change) * [[-1], [1]] > 0)
        place = places + _offset(number, len(response.scales))
        style = scale_style(number)
        axis.errorbar(place, change, yerr=lengths, linestyle="none", elinewidth=1.2, **style)
    axis.set_ylabel(f"change from {response.scales[0]}×", fontsize=8, color=INK)
    if several:
        fields = {unit: [row.receptive_field for row in found] for unit, found in by_unit.items()}
        _draw_units(axes[2], response.scales, fields, labels=False)
        axes[2].set_ylabel("mean kernel, pixels", fontsize=8, color=INK)
    axes[-1].set_xticks(places, response.units, rotation=90)
    scale_legend(figure, axes[0])
    figure.align_ylabels()
    return literal_text(figure)


def draw_classes(response, units=None, scales=None):
    """Draws the mean difference between largest and smallest kernel for each class: Figure 4 of the paper.

    Args:
        response: `ScaleResponse` of images with labels.
        units: Names of units, a panel each. Defaults to a low, a middle and the last: SK_2_3, SK_3_4, SK_5_3
            in SKNet-50.
        scales: Some of the response's. Defaults to the first two, 1.0 and 1.5.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: without labels; for units or scales that are not the response's.

    Example:

    ```python
    from keras_sknet.analysis import draw_classes

    images = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3))
    response = keras_sknet.scale_response(keras_sknet.SKNetSmall(), (images, np.arange(8)))
    draw_classes(response).savefig("classes.svg")
    ```

    Reference:
        Figure 4 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).
    """
    require(response.labels is not None, "response", "one to images with labels", labels=None)
    units = default_units(response.units) if units is None else named("units", units, response.units)
    scales = response.scales[:2] if scales is None else scales
    require(set(scales) <= set(response.scales), "scales", f"some of {response.scales}", scales=scales)
    classes = response.present
    by_class = [response.of_class(name) for name in classes]
    many = len(classes) > NAMED_CLASSES
    # Names take their place under the last panel alone.
    figure = new_figure(max(5.0, min(9.0, 0.28 * len(classes) + 2)), 1.7 * len(units) + (0.5 if many else 1))
    axes = figure.subplots(len(units), 1, sharex=True, squeeze=False)[:, 0]
    for axis, unit in zip(axes, units, strict=True):
        plain(axis)
        for scale in scales:
            number = response.scales.index(scale)
            means = [found.difference(unit)[:, number].mean() for found in by_class]
            style = scale_style(number, 0 if many else 4)
            axis.plot(means, label=f"{scale}×", linewidth=0.9 if many else 1.2, **style)
        axis.set_title(unit, fontsize=9, color=INK, loc="left", fontweight="bold")
        axis.margins(x=0.02)
    if many:
        axes[-1].set_xlabel("class", fontsize=8, color=INK)
    else:
        axes[-1].set_xticks(range(len(classes)), [short_name(name, LONGEST) for name in classes], rotation=90)
    figure.supylabel(DIFFERENCE, fontsize=8, color=INK)
    scale_legend(figure, axes[0])
    return literal_text(figure)


def default_units(units):
    """Returns three units, low, middle and last: of SKNet-50 the paper's SK_2_3, SK_3_4 and SK_5_3."""
    last = len(units) - 1
    return list(dict.fromkeys(units[round(last * place)] for place in (0.15, 0.4, 1)))


def _draw_units(axis, scales, values, labels):
    """Draws `{unit: one value a scale}` side by side."""
    plain(axis)
    places = np.arange(len(values))
    for number, scale in enumerate(scales):
        heights = [float(found[number]) for found in values.values()]
        place = places + _offset(number, len(scales))
        axis.plot(place, heights, linestyle="none", label=f"{scale}×", **scale_style(number))
    low, high = axis.get_ylim()
    if low < 0 < high:
        axis.axhline(0, color=MUTED, linewidth=0.8)
    axis.set_xticks(places, list(values) if labels else [""] * len(values), rotation=90)
    if labels:
        axis.tick_params(axis="x", labelsize=7)


def _offset(number, count):
    return (number - (count - 1) / 2) * 0.6 / count


def _runs(values):
    """Means of neighbouring channels, no more than 64 of them, and the middle of each run."""
    run = max(1, min(RUN, -(-len(values) // 64)))
    starts = np.arange(0, len(values), run)
    return starts + (run - 1) / 2, [values[start : start + run].mean() for start in starts]
