"""Graphs that run without XLA."""

from keras_sknet.ops._private import flatten_layers
from keras_sknet.validation import require


def require_no_xla(model, functions):
    """Checks that functions run where XLA is switched off, as model servers do.

    Args:
        model: The `keras.Model` that the functions were traced from.
        functions: TensorFlow's concrete functions.

    Raises:
        ValueError: if one holds parts that XLA must compile; it names the layers.
    """
    compiled = {layer for function in functions for layer in _compiled_by_xla(model, function)}
    require(
        not compiled,
        "model",
        "free of parts that XLA must compile, as model servers switch XLA off (Keras compiles "
        "convolutions with groups > 1 that way, keras_sknet.GroupedConv2D does not)",
        model=model.name,
        layers=sorted(compiled),
    )


def _compiled_by_xla(model, function):
    """Paths of the layers inside the model; the operation's name where it lies in no layer."""
    graph_def = function.graph.as_graph_def()
    nodes = list(graph_def.node)
    for function in graph_def.library.function:
        nodes += function.node_def
    calls = [node.name for node in nodes if "_XlaMustCompile" in node.attr and node.attr["_XlaMustCompile"].b]
    names = {layer.name for layer in flatten_layers(model)} - {model.name}
    return {_layer_path(call, names) or call for call in calls}


def _layer_path(operation, names):
    """The layers around an operation, read from its scopes; Keras appends numbers to make these unique."""
    path = []
    for scope in operation.split("/")[:-1]:
        path += [name for name in (scope, scope.rpartition("_")[0]) if name in names][:1]
    return "/".join(path)
