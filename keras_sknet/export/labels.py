"""The names of a model's classes, as exports carry them."""

from keras_sknet.layers import Classifier
from keras_sknet.models.rebuild import is_graph
from keras_sknet.ops._private import graph_nodes


def final_classifier(model):
    """Returns the `Classifier` whose output is the model's, also of a nested network; `None` if none is."""
    if len(model.outputs) != 1 or len(model.outputs[0].shape) != 2:
        return None
    layer = _producer(model, 0)
    fits = isinstance(layer, Classifier) and layer.units == model.outputs[0].shape[-1]
    return layer if fits else None


def _producer(model, position):
    """The layer or operation that computes one of a model's outputs; of a nested model, the one inside."""
    for node in graph_nodes(model):
        for place, x in enumerate(node.outputs):
            if x is model.outputs[position]:
                return _producer(node.operation, place) if is_graph(node.operation) else node.operation
    return None


def class_names(classifier):
    """Returns the names of a classifier's classes, its indices as strings where it has none."""
    return classifier.class_names or tuple(map(str, range(classifier.units)))


def labels_text(names):
    """Returns the contents of a `labels.txt`: one class a line, in the order of the scores."""
    return "".join(" ".join(name.splitlines()) + "\n" for name in names)
