"""TensorFlow's SavedModel, as model servers load it."""

from keras_sknet.export.atomic import appearing_whole
from keras_sknet.export.inference import inference_archive, require_exportable, write
from keras_sknet.ops._private import flatten_layers
from keras_sknet.validation import require


def export_saved_model(model, path):
    """Writes a model as a TensorFlow SavedModel, which runs without Keras and this package.

    Its signature `serving_default` is the model in inference mode. Of a network of this package it takes
    `images`, float32 of shape (batch, height, width, channels) with any batch size, and any height and
    width where the model's are `None`, and returns the model's output as `output_0`. Other models keep the
    names and structures of their inputs and outputs.

    Nothing in it needs XLA, which model servers such as TensorFlow Serving switch off.

    Args:
        model: Functional `keras.Model`, on the TensorFlow backend.
        path: Folder to write. It appears when it is complete; one that exists is never overwritten.

    Raises:
        ValueError: if `path` exists, or the model cannot be exported: it is not functional, or a layer of it
            is compiled with XLA, as `keras.layers.Conv2D` with `groups` > 1 is (`GroupedConv2D` is not).
        OSError: if the folder cannot be written.

    Example:

    ```python
    import tensorflow as tf

    keras_sknet.export_saved_model(keras_sknet.SKNetSmall(), "served")
    served = tf.saved_model.load("served").signatures["serving_default"]
    y = served(images=tf.zeros((8, 32, 32, 3)))["output_0"]  # (8, 10)
    ```
    """
    require_exportable(model)
    with appearing_whole(path) as unfinished:
        archive, function = inference_archive(model)
        compiled = compiled_by_xla(model, function.graph.as_graph_def())
        require(
            not compiled,
            "model",
            "free of parts that XLA must compile, as model servers switch XLA off (Keras compiles "
            "convolutions with groups > 1 that way, keras_sknet.GroupedConv2D does not)",
            model=model.name,
            layers=compiled,
        )
        write(archive, unfinished, path)


def compiled_by_xla(model, graph_def):
    """Lists the layers of `model` of which a graph holds parts that XLA must compile.

    Args:
        model: The `keras.Model` that the graph was traced from.
        graph_def: `GraphDef`.

    Returns:
        Sorted list of the layers' paths inside the model; the operation's name where it lies in no layer.
    """
    nodes = list(graph_def.node)
    for function in graph_def.library.function:
        nodes += function.node_def
    calls = [node.name for node in nodes if "_XlaMustCompile" in node.attr and node.attr["_XlaMustCompile"].b]
    names = {layer.name for layer in flatten_layers(model)} - {model.name}
    return sorted({_layer_path(call, names) or call for call in calls})


def _layer_path(operation, names):
    """The layers around an operation, read from its scopes; Keras appends numbers to make these unique."""
    path = []
    for scope in operation.split("/")[:-1]:
        path += [name for name in (scope, scope.rpartition("_")[0]) if name in names][:1]
    return "/".join(path)
