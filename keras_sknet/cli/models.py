"""Models, as the commands take them: Keras' own, and classifiers of images in any format."""

import json
import math

import keras

from keras_sknet.cli.errors import CommandError
from keras_sknet.data.transforms import SIZE, center_crop_transform, evaluation_transform, takes_images
from keras_sknet.export.formats import FORMATS, load, recognize
from keras_sknet.export.inference import named_outputs
from keras_sknet.export.runtimes import runnable
from keras_sknet.layers import ImageNormalization
from keras_sknet.models.keras_file import load_keras_file


def load_model(path, argument):
    """Loads a `.keras` file.

    Args:
        path: `Path`.
        argument: String, which argument of the command it is, for errors.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        CommandError: if there is no such file, or it cannot be loaded.
    """
    if path.suffix != ".keras" or not path.is_file():
        raise CommandError(f"argument {argument}: {str(path)!r} is no .keras file")
    try:
        return load_keras_file(path)
    except Exception as error:  # Keras has no class of its own for this
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CommandError(f"argument {argument}: cannot load {str(path)!r} ({reason[:300]})") from error


def load_runnable(path, crop=None):
    """Loads a model in any format to run it on many images.

    Args:
        path: `Path`.
        crop: Integer, the height and width for which a Keras model is built anew if it has others. Defaults
            to `None`: its own.

    Returns:
        `keras_sknet.export.runtimes.Runnable`; a Keras model's is compiled.

    Raises:
        CommandError: if a Keras model cannot be loaded, or not for this size.
        ValueError: if a model in another format cannot.
    """
    format = recognize(path)
    if format is not FORMATS["keras"]:
        return load(path, format)
    model = load_model(path, "MODEL")
    if not getattr(model, "inputs", None):
        raise CommandError(f"argument MODEL: {str(path)!r} has neither a functional nor a sequential model")
    model = _resized(model, crop)

    def run(inputs):
        (images,) = inputs.values()
        return named_outputs(model.predict_on_batch(images))

    return runnable(model)._replace(run=run)


def _resized(model, size):
    """A model of the same layers that takes images of another height and width."""
    if size is None or not takes_images(model) or set(model.inputs[0].shape[1:3]) <= {None, size}:
        return model
    (x,) = model.inputs
    new = keras.Input(batch_shape=(x.shape[0], size, size, 3), dtype=x.dtype, name=x.name)
    # A Sequential model has no structure of inputs, only one input.
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    try:
        return keras.models.clone_model(
            model, keras.tree.map_structure(lambda _: new, structure), clone_function=lambda layer: layer
        )
    except Exception as error:  # each layer has its own reason
        reason = str(error).strip().splitlines()[0]
        raise CommandError(
            f"argument --crop: this model takes images of {x.shape[1]}x{x.shape[2]} pixels and cannot be "
            f"built for others ({reason[:300]})"
        ) from error


def image_shape(model):
    """Returns the shape of the images that a `Runnable` takes; an error if it takes anything else."""
    if len(model.inputs) != 1:
        raise CommandError(f"This model takes {sorted(model.inputs)}, not images alone")
    (shape,) = model.inputs.values()
    if len(shape) != 4 or shape[-1] != 3:
        raise CommandError(f"This model takes arrays of shape {shape}, not RGB images")
    return shape


def image_transform(model, crop=None, resize=None):
    """Makes the function that prepares images for a `Runnable` as in evaluation.

    Args:
        model: `Runnable`.
        crop: Integer, the height and width that are cut out. Defaults to `None`: those of the model, or 224
            where it takes any.
        resize: Integer, what the shorter side is resized to before. Defaults to `None`: what the model
            remembers.

    Returns:
        What `keras_sknet.data.evaluation_transform` returns, and a dictionary that describes it.

    Raises:
        CommandError: if the model does not take images, or none of this size.
        ValueError: if more is to be cut out than there is.
    """
    _, *sides, _ = image_shape(model)
    if crop and set(sides) - {None, crop}:
        raise CommandError(f"argument --crop: this model takes images of {sides[0]}x{sides[1]} pixels only")
    sides = [side or crop or SIZE for side in sides]
    settings = {
        name: read(model.metadata[name])
        for name, read in (("crop_fraction", float), ("interpolation", str))
        if name in model.metadata
    }
    layer, inputs = ImageNormalization(**settings), keras.Input((*sides, 3))
    if resize:
        transform = center_crop_transform(resize, sides, layer.interpolation)
    else:
        # Of a network that prepares images as the one that this model was made of.
        transform = evaluation_transform(keras.Model(inputs, layer(inputs)))
    return transform, {
        "resize": resize or math.floor(min(sides) / layer.crop_fraction),
        "crop": sides,
        "interpolation": layer.interpolation,
    }


def scores(model, images):
    """Runs a `Runnable` that classifies on a batch of images; returns an array `(images, classes)`."""
    (name,) = model.inputs
    outputs = list(model.run({name: images}).values())
    if len(outputs) != 1 or outputs[0].ndim != 2:
        shapes = [output.shape for output in outputs]
        raise CommandError(f"This model gives no scores of classes, but outputs of shapes {shapes}")
    return outputs[0]


def class_names(model):
    """Returns the names of the classes that a `Runnable` knows; an empty list if it knows none."""
    return json.loads(model.metadata.get("class_names", "[]"))
