"""A model as one TensorFlow function in inference mode: what every export starts from."""

import re

import keras

from keras_sknet.files import write_errors
from keras_sknet.ops._private import flatten_layers
from keras_sknet.ops.paths import convolution_path
from keras_sknet.validation import require

UNNAMED = re.compile(r"(keras_tensor|input_layer)(_\d+)?")


def require_exportable(model):
    """Raises an error unless `model` is a built functional or sequential model of the TensorFlow backend."""
    backend = keras.backend.backend()
    require(
        backend == "tensorflow",
        "model",
        "exported on the TensorFlow backend, where a .keras file of any backend loads",
        backend=backend,
    )
    require(
        isinstance(model, keras.Model) and model.built and getattr(model, "inputs", None),
        "model",
        "a functional keras.Model, or a Sequential one that is built",
        model=type(model).__name__,
    )


def other_dtypes(model):
    """Lists the dtypes other than float32 that a model's layers compute in."""
    # The policies of a model and of its inputs compute nothing.
    passive = keras.Model, keras.layers.InputLayer
    layers = [layer for layer in flatten_layers(model) if not isinstance(layer, passive)]
    return sorted({layer.compute_dtype for layer in layers} & {"float16", "bfloat16", "float64"})


def require_float32(model):
    """Raises an error unless all layers of a model compute in float32."""
    others = other_dtypes(model)
    require(
        not others,
        "model",
        "one that computes in float32: build it under the float32 dtype policy and give it the weights",
        model=model.name,
        compute_dtypes=others,
    )


def input_name(model, x):
    """Returns the name of an input in every export.

    It is its own; if nobody named it, `images` for the only one, and that of its layer for one of several, by
    which Keras calls it in a SavedModel.
    """
    if not UNNAMED.fullmatch(x.name):
        return x.name
    if len(model.inputs) == 1:
        return "images"
    layers = (layer for layer in model.layers if isinstance(layer, keras.layers.InputLayer))
    return next((layer.name for layer in layers if layer.output is x), x.name)


def named_outputs(outputs):
    """Returns a model's outputs as a dictionary, under the names that they have in every export."""
    if isinstance(outputs, dict):
        return dict(outputs)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return {f"output_{position}": output for position, output in enumerate(outputs)}


def inference_archive(model, batch_size=None, path="native"):
    """Traces a model in inference mode.

    The function has the inputs' own names, or `images` if there is only one and nobody named it.

    Args:
        model: A model that `require_exportable` lets pass.
        batch_size: Integer, what an unknown batch size becomes. Defaults to `None`: it stays unknown.
        path: String, of `convolution_path`. Defaults to `"native"`: plain convolutions, whichever processor
            this is.

    Returns:
        A `keras.export.ExportArchive` with the signature `serving_default`, and this signature as a
        TensorFlow concrete function.
    """
    import tensorflow as tf

    def spec(x):
        batch, *sizes = x.shape
        return tf.TensorSpec((batch or batch_size, *sizes), x.dtype, input_name(model, x))

    # A Sequential model has no structure of inputs, only one input.
    inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    archive = keras.export.ExportArchive()
    # Variables are found by themselves, lookup tables are not; a search in every layer doubles the time.
    for layer in flatten_layers(model):
        if not layer.weights:
            archive.track(layer)

    def infer(x):
        # In here, as it is traced again when the archive is written.
        with convolution_path(path):
            # Told that it does not train, GroupedConv2D leaves what follows to be fused into it.
            return model(x, training=False)

    signature = [keras.tree.map_structure(spec, inputs)]
    function = archive.add_endpoint("serving_default", infer, input_signature=signature)
    return archive, function.get_concrete_function()


def write(archive, folder, path):
    """Writes an archive to a folder; errors speak of `path`, which the user knows."""
    with write_errors(path):
        archive.write_out(str(folder), verbose=False)
