import keras
import numpy as np

from keras_sknet.evaluation.result import ClassResult, Evaluation
from keras_sknet.validation import require

TOP = 5
STEPS = 256  # of a probability in 8 bits
LEAST = np.finfo("float32").tiny  # what a probability of 0 counts as
SHOWN = 5


def evaluate(model, batches, class_names=None, from_logits=None):
    """Counts how often a classifier is right; each image counts once, in memory that does not grow.

    Of equal scores, that of the class of the lower number counts as the higher one: for the first place, the
    first five, and in the confusion matrix alike.

    Args:
        model: `keras.Model`, run in inference mode as one compiled function, or another function that takes
            an array of images and returns scores `(images, classes)`.
        batches: Iterable of `(images, labels, weights)`, such as a `tf.data.Dataset`; labels are integers,
            and what has the weight 0 only fills a batch up and is not counted.
        class_names: Sequence of the classes' names. Defaults to `None`: their numbers.
        from_logits: Boolean, whether scores are logits or probabilities, for the loss alone. Defaults to
            `None`: they are probabilities if all are between 0 and 1 and those of an image add up to 1, on
            average to within 0.1; less where all are multiples of 1/256, as those of 8-bit models are, of
            which most round to 0 if there are many.

    Returns:
        `Evaluation`.

    Raises:
        ValueError: if there are no images, a label is none of the classes, or the scores are not one finite
            number for each class.

    Example:

    ```python
    from keras_sknet.data import Digits
    from keras_sknet.evaluation import evaluate

    images, labels = Digits("test").arrays()
    result = evaluate(
        keras_sknet.SKNetSmall(), [(images[:8], labels[:8], np.ones(8))], Digits.class_names
    )
    result.confusion  # (10, 10)
    ```
    """
    classify = model.predict_on_batch if isinstance(model, keras.Model) else model
    tally = None
    for batch in batches:
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(batch)
        require(labels is not None, "batches", "of images and labels, weights or none", batch=type(batch))
        labels, scores = np.asarray(labels), classify(np.asarray(images))
        single = not isinstance(scores, (dict, list, tuple))
        require(single, "model", "one that gives a score for each class", scores=type(scores).__name__)
        scores = np.asarray(scores, "float64")
        if tally is None:
            tally = _Tally(scores, class_names)
        tally.check(scores, labels)
        counted = np.ones(len(labels), bool) if weights is None else np.asarray(weights) > 0
        tally.add(scores[counted], labels[counted])
    require(tally is not None and tally.images, "batches", "of one image or more", images=0)
    return tally.result(from_logits)


def label_map(data_names, model_names):
    """Finds the score that belongs to each label where data and model have the same classes.

    Args:
        data_names: Sequence of strings, the classes in the order of the data's labels.
        model_names: Sequence of strings, the classes in the order of the model's scores; empty if it has no
            names, so that the order is taken to be the data's.

    Returns:
        Integer array: at the place of a label, the number of its score.

    Raises:
        ValueError: if the names are not the same ones; it shows those that only one of them has.

    Example:

    ```python
    from keras_sknet.evaluation import label_map

    order = label_map(("cat", "dog"), ("dog", "cat"))
    int(order[0])  # 1
    ```
    """
    if not model_names:
        return np.arange(len(data_names))
    places = {name: place for place, name in enumerate(model_names)}
    only_in_data = [name for name in data_names if name not in places]
    only_in_model = [name for name in model_names if name not in set(data_names)]
    require(
        not only_in_data and not only_in_model,
        "class_names",
        f"the same for the data ({len(data_names)} classes) and the model ({len(model_names)})",
        only_in_data=_some(only_in_data),
        only_in_model=_some(only_in_model),
    )
    return np.array([places[name] for name in data_names])


def _some(names):
    more = len(names) - SHOWN
    return [*names[:SHOWN], *([f"and {more} more"] if more > 0 else [])]


class _Tally:
    """The counts so far."""

    def __init__(self, scores, class_names):
        classes = scores.shape[-1] if scores.ndim == 2 else 0
        self.names = tuple(map(str, range(classes) if class_names is None else class_names))
        self.images = 0
        self.confusion = np.zeros((len(self.names),) * 2, "int64")
        self.within_top = np.zeros(len(self.names), "int64")
        self.loss_of_logits = self.loss_of_probabilities = self.sum = 0.0
        self.least, self.most = np.inf, -np.inf
        self.rounded = True

    def check(self, scores, labels):
        classes = len(self.names)
        require(
            scores.shape == (len(labels), classes) and classes > 0,
            "model",
            "one that gives a score for each class",
            scores=scores.shape,
            images=len(labels),
            classes=classes,
        )

    def add(self, scores, labels):
        classes = len(self.names)
        if not len(labels):
            return
        others = scores[~np.isfinite(scores)]
        require(not others.size, "scores", "finite", scores=others[:1].tolist())
        require(
            labels.ndim == 1 and labels.dtype.kind in "iu" and 0 <= labels.min() <= labels.max() < classes,
            "labels",
            "integers from 0 to below the number of classes",
            labels=(labels.min(), labels.max()),
            shape=labels.shape,
            classes=classes,
        )
        own = np.take_along_axis(scores, labels[:, None], axis=1)
        numbers = np.arange(classes)
        ahead = (scores > own) | ((scores == own) & (numbers < labels[:, None]))
        self.images += len(labels)
        # The first of equal ones.
        np.add.at(self.confusion, (labels, scores.argmax(axis=1)), 1)
        np.add.at(self.within_top, labels[ahead.sum(axis=1) < TOP], 1)
        most = scores.max(axis=1, keepdims=True)
        logarithm = np.log(np.exp(scores - most).sum(axis=1, keepdims=True)) + most
        self.loss_of_logits += float((logarithm - own).sum())
        self.loss_of_probabilities += float(-np.log(np.maximum(own, LEAST)).sum())
        self.sum += float(scores.sum())
        self.least, self.most = min(self.least, scores.min()), max(self.most, scores.max())
        self.rounded = self.rounded and np.array_equal(scores * STEPS, np.rint(scores * STEPS))

    def result(self, from_logits):
        if from_logits is None:
            mean = self.sum / self.images
            # Each score is rounded by half a step or less; a new network's logits are all zeros, too.
            missing = 0.1 + len(self.names) / (2 * STEPS) if self.rounded and mean > 0 else 0.1
            # Half precision rounds a 1 up.
            probable = 0 <= self.least <= self.most <= 1.01 and -missing < mean - 1 < 0.1
            from_logits = not probable
        loss = self.loss_of_logits if from_logits else self.loss_of_probabilities
        right, images = np.diagonal(self.confusion), self.confusion.sum(axis=1)
        rows = zip(
            self.names,
            images.tolist(),
            _shares(right, images),
            _shares(self.within_top, images),
            _shares(right, self.confusion.sum(axis=0)),
            strict=True,
        )
        return Evaluation(
            images=self.images,
            top1_error=(self.images - int(right.sum())) / self.images,
            top5_error=(self.images - int(self.within_top.sum())) / self.images,
            loss=loss / self.images,
            classes=tuple(ClassResult(*row) for row in rows),
            confusion=self.confusion,
        )


def _shares(parts, wholes):
    return [
        part / whole if whole else None for part, whole in zip(parts.tolist(), wholes.tolist(), strict=True)
    ]
