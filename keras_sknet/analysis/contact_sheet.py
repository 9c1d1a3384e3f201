"""Which images choose the large kernel most in a unit, and which least."""

import numpy as np

from keras_sknet.analysis.attention import named
from keras_sknet.analysis.images import image_batches, is_source
from keras_sknet.analysis.style import literal_text, show_image
from keras_sknet.figures import INK, MUTED, new_figure
from keras_sknet.validation import positive_integer, require

COLUMNS = 6


def draw_contact_sheet(model, dataset, response, unit, count=12):
    """Draws the images that choose the largest kernel of a unit most, and those that choose it least.

    Args:
        model: The model that `response` is of.
        dataset: The images that `response` is of; a `tf.data.Dataset` must give them in the same order.
        response: `ScaleResponse`. Its first scale counts.
        unit: Name of the unit.
        count: Integer, images of each kind; all if there are fewer. Defaults to `12`.

    Returns:
        `matplotlib.figure.Figure`. Below each image its attention of the largest kernel minus that of the
        smallest, mean over channels, and its class.

    Raises:
        ValueError: for an unknown unit or a count below 1.

    Example:

    ```python
    from keras_sknet.analysis import draw_contact_sheet

    model = keras_sknet.SKNetSmall()
    images = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3))
    response = keras_sknet.scale_response(model, images)
    draw_contact_sheet(model, images, response, "sk_2_1", count=3).savefig("contacts.png")
    ```
    """
    (unit,) = named("unit", [unit], response.units)
    count = min(positive_integer("count", count), len(response))
    values = response.difference(unit)[:, 0]
    order = np.argsort(-values, kind="stable")
    parts = {"most": order[:count], "least": order[::-1][:count]}
    images = pick_images(model, dataset, np.concatenate(list(parts.values())))
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    figure = new_figure(1.15 * max(columns, 4), 2 * (1.5 * rows + 0.35))
    for part, (word, indices) in zip(figure.subfigures(2, 1), parts.items(), strict=True):
        part.set_facecolor("none")
        title = f"{unit}: the largest kernel {word}"
        part.suptitle(title, fontsize=9, color=INK, fontweight="bold", x=0.01, ha="left")
        axes = part.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes:
            axis.set_axis_off()
        for axis, index in zip(axes, indices, strict=False):
            show_image(axis, images[index])
            name = "" if response.labels is None else response.class_name(index)
            note = f"{values[index]:+.3f}".replace("-", "\N{MINUS SIGN}") + ("\n" + name[:16] if name else "")
            axis.text(0.5, -0.04, note, transform=axis.transAxes, ha="center", va="top", fontsize=7,
                      color=MUTED)  # fmt: skip
    return literal_text(figure)


def pick_images(model, dataset, indices):
    """Fetches some images of a dataset by their numbers, as a model takes them.

    Args:
        model: `keras.Model` with a single input, images.
        dataset: What `attention_scores` takes.
        indices: Sequence of integers, counted in the order of `attention_scores`.

    Returns:
        Dictionary `{index: array (H, W, C)}`.

    Raises:
        ValueError: if the dataset has no image of such a number.

    Example:

    ```python
    from keras_sknet.analysis import pick_images
    from keras_sknet.data import Digits

    picked = pick_images(keras_sknet.SKNetSmall(), Digits("test"), [5, 7])
    picked[7].shape  # (32, 32, 3)
    ```
    """
    wanted = sorted({int(index) for index in indices})
    if is_source(dataset):
        from keras_sknet.data import Subset

        batches = image_batches(model, Subset(dataset, wanted), 32)
        found = [image for images, _ in batches for image in np.asarray(images)]
        return dict(zip(wanted, found, strict=True))
    found, start = {}, 0
    for images, _ in image_batches(model, dataset, 256):
        here = [index for index in wanted if start <= index < start + len(images)]
        found |= {index: np.asarray(images[index - start]) for index in here}
        start += len(images)
    require(len(found) == len(wanted), "indices", f"below {start}, the number of images", indices=wanted)
    return found
