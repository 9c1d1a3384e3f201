"""A model as one TensorFlow function in inference mode: what every export starts from."""

import keyword
import re

import keras

from keras_sknet.files import write_errors
from keras_sknet.models.graph import structures
from keras_sknet.ops._private import flatten_layers
from keras_sknet.ops.halves import whole_batches
from keras_sknet.ops.paths import convolution_path
from keras_sknet.validation import require

UNNAMED = re.compile(r"(keras_tensor|input_layer)(_\d+)?")


def require_exportable(model):
    """Raises an error unless `model` is a built functional or sequential model of the TensorFlow backend,
    whose inputs and outputs can be told apart by their names.
    """
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
    inputs = [input_name(model, x) for x in model.inputs]
    require(
        len(set(inputs)) == len(inputs),
        "model",
        "one whose inputs have different names, of letters, digits and underscores",
        model=model.name,
        inputs=inputs,
    )
    require(
        all(len(y.shape) > 0 for y in model.outputs),
        "model",
        "one whose outputs all begin with the batch",
        model=model.name,
        output_shapes=[tuple(y.shape) for y in model.outputs],
    )
    _output_names(structures(model)[1])


def require_own_names(model):
    """Raises an error if an output of a model is called as an input is, which not all formats allow."""
    inputs = {input_name(model, x) for x in model.inputs}
    outputs = _output_names(structures(model)[1])
    require(
        inputs.isdisjoint(outputs),
        "model",
        "one whose outputs are not called as its inputs are",
        model=model.name,
        inputs=sorted(inputs),
        outputs=outputs,
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

    It is its own, made a name that TensorFlow leaves as it is: what is no letter, digit or underscore
    becomes an underscore, and `input_` comes first where the name does not begin with a letter, or is a word
    of Python's. If nobody named it, it is `images` for the only one, and that of its layer for one of
    several, by which Keras calls it in a SavedModel.
    """
    name = x.name
    if UNNAMED.fullmatch(name):
        if len(model.inputs) == 1:
            return "images"
        layers = (layer for layer in model.layers if isinstance(layer, keras.layers.InputLayer))
        name = next((layer.name for layer in layers if layer.output is x), name)
    name = re.sub(r"\W", "_", name, flags=re.ASCII)
    # TensorFlow makes inputs the arguments of a method.
    unfit = not name[:1].isalpha() or name == "self" or keyword.iskeyword(name)
    return f"input_{name}" if unfit else name


def named_outputs(outputs):
    """Returns a model's outputs as a dictionary, under the names that they have in every export.

    These are a dictionary's keys, and `output_0`, `output_1`, ... for one output or a list of them; of those
    that lie deeper all keys and positions on the way, as in `b_c` and `output_1_0`.
    """
    leaves = [leaf for _, leaf in keras.tree.flatten_with_path(outputs)]
    return dict(zip(_output_names(outputs), leaves, strict=True))


def _output_names(outputs):
    paths = [path or (0,) for path, _ in keras.tree.flatten_with_path(outputs)]
    names = ["_".join(map(str, path)) for path in paths]
    names = [
        f"output_{name}" if isinstance(path[0], int) else name
        for path, name in zip(paths, names, strict=True)
    ]
    require(
        len(set(names)) == len(names),
        "model",
        "one whose outputs have different names, those inside others put together with underscores",
        outputs=names,
    )
    return names


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

    inputs, _ = structures(model)
    archive = keras.export.ExportArchive()
    # Variables are found by themselves, lookup tables are not; a search in every layer doubles the time.
    for layer in flatten_layers(model):
        if not layer.weights:
            archive.track(layer)

    def infer(x):
        # In here, as it is traced again when the archive is written.
        # A server may have a GPU, on which halves of a batch take longer than the whole.
        with convolution_path(path), whole_batches():
            # Told that it does not train, GroupedConv2D leaves what follows to be fused into it.
            outputs = model(x, training=False)
        nested = any(len(path) > 1 for path, _ in keras.tree.flatten_with_path(outputs))
        # A signature returns tensors, no structures of them.
        return named_outputs(outputs) if nested else outputs

    signature = [keras.tree.map_structure(spec, inputs)]
    function = archive.add_endpoint("serving_default", infer, input_signature=signature)
    return archive, function.get_concrete_function()


def write(archive, folder, path):
    """Writes an archive to a folder; errors speak of `path`, which the user knows."""
    with write_errors(path):
        archive.write_out(str(folder), verbose=False)
