"""Attention to the same images at several scales, and the numbers that sum it up."""

import csv
import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from keras_sknet.analysis.attention import named
from keras_sknet.analysis.statistics import paired_bootstrap
from keras_sknet.files import appearing_whole
from keras_sknet.validation import require


class ScaleRow(NamedTuple):
    """One unit at one scale, over all images or those of a class: a row of `ScaleResponse.rows`.

    Args:
        unit: String.
        class_name: String, or `""` for all images.
        images: Integer, how many.
        scale: Float.
        difference: Float, attention of the largest kernel minus that of the smallest, mean over channels and
            images.
        change: Float, how much `difference` is above that at the first scale.
        change_low: Float, lower end of the 95 % confidence interval of `change`.
        change_high: Float, its upper end.
        receptive_field: Float, mean size of the kernels in pixels, weighted by their attention.
    """

    unit: str
    class_name: str
    images: int
    scale: float
    difference: float
    change: float
    change_low: float
    change_high: float
    receptive_field: float


@dataclasses.dataclass(frozen=True, eq=False)
class ScaleResponse:
    """The attention of a model's SK units to the same images at several scales.

    Args:
        scales: Tuple of floats, ascending.
        kernels: `{unit: sizes of its kernels in pixels}`, dilation counted.
        attention: `{unit: array (images, scales, M)}`, mean over channels.
        labels: Integer array `(images,)`, or `None`. Defaults to `None`.
        class_names: Tuple of strings, or `None`. Defaults to `None`.

    Example:

    ```python
    from keras_sknet.analysis import ScaleResponse

    attention = {"sk_2_1": np.array([[[0.5, 0.5], [0.4, 0.6]]])}
    response = ScaleResponse((1.0, 2.0), {"sk_2_1": (3, 5)}, attention)
    response.difference("sk_2_1").shape  # (1, 2)
    ```
    """

    scales: tuple
    kernels: dict
    attention: dict
    labels: np.ndarray | None = None
    class_names: tuple | None = None

    def __len__(self):
        """How many images."""
        return len(next(iter(self.attention.values())))

    @property
    def units(self):
        """Names of the units, in the order of the network."""
        return tuple(self.attention)

    @functools.cached_property
    def _images_of(self):
        """`{name: indices of its images}` of the classes that have images, in the order of their numbers."""
        if self.labels is None:
            return {}
        order = np.argsort(self.labels, kind="stable")
        numbers, starts = np.unique(self.labels[order], return_index=True)
        found = {}
        for number, rows in zip(numbers, np.split(order, starts[1:]), strict=True):
            name = self._name(number)
            found[name] = np.concatenate([found[name], rows]) if name in found else rows
        return found

    @property
    def present(self):
        """Names of the classes that have images, in the order of their numbers; none without labels."""
        return tuple(self._images_of)

    def class_name(self, index):
        """Returns the name of the class of one image."""
        return self._name(self.labels[index])

    def difference(self, unit):
        """Returns attention of the largest kernel minus that of the smallest: an array `(images, scales)`."""
        (unit,) = named("unit", [unit], self.units)
        sizes = np.array(self.kernels[unit])
        # Kernels of the same size, by different ways, count together.
        signs = (sizes == sizes.max()).astype("float32") - (sizes == sizes.min())
        return self.attention[unit] @ signs

    def receptive_field(self, unit):
        """Returns the kernels' mean size in pixels under the attention: an array `(images, scales)`."""
        (unit,) = named("unit", [unit], self.units)
        return self.attention[unit] @ np.array(self.kernels[unit], "float32")

    def of_class(self, name):
        """Returns the response to the images of one class alone; `ValueError` if there are none."""
        require(self.labels is not None, "dataset", "one with labels, to tell classes apart", labels=None)
        if self.class_names is not None:
            named("class_name", [name], self.class_names)
        require(
            name in self._images_of,
            "class_name",
            "a class that has images",
            class_name=name,
            classes_with_images=list(self.present[:8]),
        )
        rows = self._images_of[name]
        attention = {unit: values[rows] for unit, values in self.attention.items()}
        return dataclasses.replace(self, attention=attention, labels=self.labels[rows])

    def rows(self, units=None, by_class=False, seed=0):
        """Returns the numbers as a list of `ScaleRow`.

        Intervals are those of `keras_sknet.analysis.statistics.paired_bootstrap`.

        Args:
            units: Names of units. Defaults to all.
            by_class: Boolean, whether to give each class that has images rows of its own instead of one for
                all images. Defaults to `False`.
            seed: Integer, of the bootstrap. Defaults to `0`.
        """
        units = self.units if units is None else named("units", units, self.units)
        if not by_class:
            return self._rows("", units, (seed,))
        names = enumerate(self.present)
        return [
            row for number, name in names for row in self.of_class(name)._rows(name, units, (seed, number))
        ]

    def write_csv(self, path, units=None, by_class=False):
        """Writes `rows` to a new file of comma-separated values, in UTF-8 with a header.

        Raises:
            ValueError: if `path` exists.
        """
        write_rows(path, ScaleRow._fields, self.rows(units, by_class))

    def _name(self, label):
        return str(label) if self.class_names is None else self.class_names[label]

    def _rows(self, class_name, units, seed):
        differences = np.stack([self.difference(unit) for unit in units], axis=1)
        changes = differences - differences[..., :1]
        intervals = paired_bootstrap(changes.reshape(len(changes), -1), seed)
        means, change, low, high = (
            values.reshape(len(units), -1) for values in (differences.mean(0), changes.mean(0), *intervals)
        )
        fields = [self.receptive_field(unit).mean(0) for unit in units]
        return [
            ScaleRow(unit, class_name, len(self), scale, *map(float, numbers))
            for u, unit in enumerate(units)
            for scale, *numbers in zip(
                self.scales, means[u], change[u], low[u], high[u], fields[u], strict=True
            )
        ]


def write_rows(path, header, rows, replace=False):
    """Writes rows to a file of comma-separated values, a new one unless it may replace."""
    with (
        appearing_whole(path, replace) as unfinished,
        open(unfinished, "w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
