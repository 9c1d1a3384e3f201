"""The names of a model's classes, as exports carry them."""

from keras_sknet.layers import Classifier
from keras_sknet.models.graph import is_graph, makers


def final_classifier(model):
    """Returns the `Classifier` whose output is the model's, also of a nested network; `None` if none is."""
    if len(model.outputs) != 1 or len(model.outputs[0].shape) != 2:
        return None
    layer = _producer(model, model.outputs[0])
    fits = isinstance(layer, Classifier) and layer.units == model.outputs[0].shape[-1]
    return layer if fits else None


def _producer(model, x):
    """The layer or operation that computes a tensor of a model; of a nested model, the one inside."""
    node = makers(model).get(id(x))
    if node is None or not is_graph(node.operation):
        return node and node.operation
    place = [id(output) for output in node.outputs].index(id(x))
    return _producer(node.operation, node.operation.outputs[place])


def class_names(classifier):
    """Returns the names of a classifier's classes, its indices as strings where it has none."""
    return classifier.class_names or tuple(map(str, range(classifier.units)))


def labels_text(names):
    """Returns the contents of a `labels.txt`: one class a line, in the order of the scores."""
    return "".join(" ".join(name.splitlines()) + "\n" for name in names)
