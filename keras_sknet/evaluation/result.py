import dataclasses
from typing import NamedTuple

import numpy as np


class ClassResult(NamedTuple):
    """What became of the images of one class.

    Args:
        name: String.
        images: Integer, how many images the class has.
        top1_accuracy: Float, the share of them for which the class has the highest score. `None`: there are
            none.
        top5_accuracy: Float, the share of them for which it is among the five highest, or `None`.
        precision: Float, the share that are the class's own of all images taken for it. `None`: none is.

    Example:

    ```python
    from keras_sknet.evaluation import ClassResult

    row = ClassResult("cat", images=50, top1_accuracy=0.9, top5_accuracy=1.0, precision=0.88)
    row.images  # 50
    ```
    """

    name: str
    images: int
    top1_accuracy: float | None
    top5_accuracy: float | None
    precision: float | None


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    Args:
        images: Integer, how many were counted.
        top1_error: Float, the share of images whose class has not the highest score.
        top5_error: Float, the share of images whose class is not among the five highest: 0 for up to five
            classes.
        loss: Float, the mean cross-entropy in nats.
        classes: Tuple of a `ClassResult` for each class, in the order of the scores.
        confusion: Integer array `(classes, classes)`: in row `i` and column `j` how many images of class `i`
            were taken for class `j`.

    Example:

    ```python
    from keras_sknet.evaluation import ClassResult, Evaluation

    row = ClassResult("cat", 2, 1.0, 1.0, 1.0)
    Evaluation(2, 0.0, 0.0, 0.1, (row,), np.array([[2]])).confusion  # (1, 1)
    ```
    """

    images: int
    top1_error: float
    top5_error: float
    loss: float
    classes: tuple
    confusion: np.ndarray
