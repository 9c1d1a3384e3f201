"""The names of a model's classes, as exports carry them."""

import keras

from keras_sknet.layers import Classifier


def final_classifier(model):
    """Returns the `Classifier` whose output is the model's, also of a nested network; `None` if none is."""
    layer = model
    while isinstance(layer, keras.Model):
        # A functional model has also operations that are no layers; what computes the output comes last.
        layer = (getattr(layer, "operations", None) or layer.layers)[-1]
    one_of_scores = len(model.outputs) == 1 and len(model.outputs[0].shape) == 2
    return layer if isinstance(layer, Classifier) and one_of_scores else None


def class_names(classifier):
    """Returns the names of a classifier's classes, its indices as strings where it has none."""
    return classifier.class_names or tuple(map(str, range(classifier.units)))


def labels_text(names):
    """Returns the contents of a `labels.txt`: one class a line, in the order of the scores."""
    return "".join(" ".join(name.splitlines()) + "\n" for name in names)
