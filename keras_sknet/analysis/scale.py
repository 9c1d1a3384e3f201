"""Whether larger objects draw more attention to larger kernels."""

import math
import numbers

import numpy as np
from keras import ops

from keras_sknet.analysis.attention import kernel_sizes, score_function
from keras_sknet.analysis.images import image_batches
from keras_sknet.analysis.response import ScaleResponse
from keras_sknet.validation import positive_integer, require

SCALES = (1.0, 1.5, 2.0)


def scale_response(model, dataset, scales=SCALES, *, class_names=None, batch_size=32):
    """Measures whether the SK units of a model turn to larger kernels as the object grows.

    As in the paper, every image is enlarged by cutting out its centre and resizing it to the size it had,
    bilinearly; the centre is taken exactly, to fractions of a pixel. This happens to images as the network
    takes them, so that an enlarged image is also a smoother one. Of each image and unit the mean over
    channels is kept and nothing else: 10,000 images take no more memory than a few.

    Args:
        model: Built `keras.Model` of one input, with `SelectiveKernel` units.
        dataset: What `attention_scores` takes. With labels, integers, the response can be told by class.
        scales: Numbers of 1 or more, two or more of them, ascending. Defaults to `(1.0, 1.5, 2.0)`.
        class_names: Sequence of strings by number. Defaults to those of `dataset` if it is a source, else
            classes go by their numbers.
        batch_size: Integer, images at a time, for all but `tf.data` datasets. Defaults to `32`.

    Returns:
        `keras_sknet.analysis.ScaleResponse`: `rows()` has per unit the mean difference between the attention
        of the largest and the smallest kernel at each scale, its change with a paired bootstrap confidence
        interval, and the mean receptive field; `rows(by_class=True)` the same per class; `write_csv` writes
        them.

    Raises:
        ValueError: if the model has no SK unit that selects between sizes, or cannot take the images; for
            scales below 1; for labels that are no numbers of classes.

    Example:

    ```python
    images = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3))
    response = keras_sknet.scale_response(keras_sknet.SKNetSmall(), images)
    for row in response.rows():
        print(row.unit, row.scale, row.difference, row.change)
    ```

    Reference:
        Section 4.3, Figures 3 and 4 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).
    """
    scales = standardize_scales(scales)
    score = score_function(model, mean=True)
    batch_size = positive_integer("batch_size", batch_size)
    one_image = len(getattr(model, "inputs", None) or ()) == 1 and len(model.inputs[0].shape) == 4
    require(one_image, "model", "one of a single input, images", model=model.name)
    if class_names is None:
        class_names = getattr(dataset, "class_names", None)
    class_names = None if class_names is None else tuple(map(str, class_names))
    attention, labels = {}, []
    for images, batch_labels in image_batches(model, dataset, batch_size):
        by_scale = [score(enlarge(images, scale)) for scale in scales]
        for unit in by_scale[0]:
            attention.setdefault(unit, []).append(np.stack([a[unit] for a in by_scale], axis=1))
        labels.append(_standardize_labels(batch_labels, len(images), class_names))
    attention = {unit: np.concatenate(values) for unit, values in attention.items()}
    labels = None if labels[0] is None else np.concatenate(labels)
    return ScaleResponse(scales, kernel_sizes(model, attention), attention, labels, class_names)


def enlarge(images, scale):
    """Enlarges images about their centre, bilinearly, and cuts off what leaves their frame.

    Args:
        images: Array or tensor `(N, H, W, C)`.
        scale: Number of 1 or more.

    Returns:
        Float32 tensor of the same shape.

    Example:

    ```python
    from keras_sknet.analysis import enlarge

    twice = enlarge(np.zeros((1, 32, 32, 3)), 2.0)  # (1, 32, 32, 3)
    ```
    """
    images = ops.cast(images, "float32")
    if scale == 1:
        return images
    return ops.image.scale_and_translate(
        images,
        output_shape=images.shape,
        scale=ops.full((2,), scale, "float32"),
        # Keeps the centre where it is.
        translation=ops.array([(1 - scale) * size / 2 for size in images.shape[1:3]], "float32"),
        spatial_dims=(1, 2),
        method="linear",
        antialias=False,
    )


def standardize_scales(scales):
    """Returns scales as a tuple of floats, or raises the error for what is none."""
    values = tuple(scales) if isinstance(scales, (tuple, list, np.ndarray)) else ()
    require(
        len(values) > 1
        and all(isinstance(value, numbers.Real) and 1 <= value < math.inf for value in values)
        and list(values) == sorted(set(values)),
        "scales",
        "two numbers or more, of 1 or more, ascending",
        scales=scales,
    )
    return tuple(map(float, values))


def _standardize_labels(labels, count, class_names):
    if labels is None:
        return None
    labels = np.asarray(labels)
    whole = labels.shape == (count,) and np.issubdtype(labels.dtype, np.integer)
    limit = math.inf if class_names is None else len(class_names)
    require(
        whole and labels.min() >= 0 and labels.max() < limit,
        "dataset",
        "one whose labels are numbers of classes, integers from 0 on"
        + ("" if class_names is None else f", below {limit}"),
        labels_shape=labels.shape,
        dtype=str(labels.dtype),
        labels=labels.ravel()[:8].tolist(),
    )
    return labels
