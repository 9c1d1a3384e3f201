"""What detect.py and segment.py share: drawn pictures with boxes and masks, and a small SKNet to train."""

import numpy as np

import keras_sknet
from keras_sknet import Branch

CLASSES = ("square", "circle", "triangle")
SIZE = 64
OBJECTS = 3  # at most, in a picture


def draw(count, seed):
    """Draws one to three shapes on each of many cluttered canvases.

    Returns:
        `images` (count, 64, 64, 3), RGB 0–255; `boxes` (count, 3, 4), left, top, right, bottom in pixels;
        `classes` (count, 3), indices into `CLASSES`; both padded with −1; `masks` (count, 64, 64), 0 where
        there is nothing, else the class + 1.
    """
    rng = np.random.default_rng(seed)
    images = np.empty((count, SIZE, SIZE, 3), "float32")
    boxes = np.full((count, OBJECTS, 4), -1, "float32")
    classes = np.full((count, OBJECTS), -1, "float32")
    masks = np.zeros((count, SIZE, SIZE), "int32")
    for image, image_boxes, image_classes, mask in zip(images, boxes, classes, masks, strict=True):
        image[:] = _canvas(rng)
        for number in range(rng.integers(1, OBJECTS + 1)):
            shape = _free_shape(rng, mask > 0)
            if shape is None:
                break
            kind, inside = shape
            image[inside] = _contrast(rng, image[inside].mean(0))
            mask[inside] = kind + 1
            rows, columns = np.nonzero(inside)
            image_boxes[number] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            image_classes[number] = kind
        image += rng.normal(0, 8, image.shape)
    return images.clip(0, 255), boxes, classes, masks


def _canvas(rng):
    """Patches of colour, and lines across them."""
    canvas = np.kron(rng.uniform(0, 255, (4, 4, 3)), np.ones((SIZE // 4, SIZE // 4, 1)))
    canvas = 0.5 * canvas + 0.5 * rng.uniform(0, 255, 3)
    y, x = np.mgrid[:SIZE, :SIZE]
    for _ in range(6):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-SIZE / 2, SIZE / 2)
        distance = (x - SIZE / 2) * np.cos(angle) + (y - SIZE / 2) * np.sin(angle) - offset
        canvas[abs(distance) < rng.uniform(0.5, 1.5)] = rng.uniform(0, 255, 3)
    return canvas


def _free_shape(rng, taken):
    """(class, pixels inside) of a shape that covers nothing drawn before, `None` if none is found."""
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    for _ in range(20):
        radius = rng.uniform(10, 15)
        left, top = rng.uniform(radius, SIZE - radius, 2)
        x0, y0 = (x - left) / radius, (y - top) / radius
        kind = rng.integers(len(CLASSES))
        inside = [
            np.maximum(abs(x0), abs(y0)) < 0.85,
            np.hypot(x0, y0) < 1,
            (y0 < 0.9) & (2 * abs(x0) < y0 + 1),
        ][kind]
        if not (inside & taken).any():
            return kind, inside
    return None


def _contrast(rng, background):
    """A colour that stands out."""
    while True:
        colour = rng.uniform(0, 255, 3)
        if abs(colour - background).sum() > 200:
            return colour


def small_network():
    """An SKNet of four stages that trains in minutes without a GPU."""
    return keras_sknet.SKNet50(
        include_top=False,
        input_shape=(SIZE, SIZE, 3),
        depths=(1, 1, 1, 1),
        widths=(16, 32, 64, 64),
        filters=(32, 64, 128, 128),
        stem_filters=16,
        branches=(Branch(3, 1, groups=4), Branch(3, 2, groups=4)),
    )


def save_pictures(path, images, rows, columns=6):
    """Writes a figure: in each of `rows`, {title: function (axes, number)}, the first images painted over."""
    from matplotlib.figure import Figure

    figure = Figure((1.5 * columns, 1.6 * len(rows)), dpi=100, layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (title, paint) in zip(grid, rows.items(), strict=True):
        for number, axes in enumerate(line):
            axes.imshow(images[number] / 255, extent=(0, SIZE, SIZE, 0))
            paint(axes, number)
            axes.set(xlim=(0, SIZE), ylim=(SIZE, 0), xticks=[], yticks=[])
        line[0].set_ylabel(title)
    figure.savefig(path)
