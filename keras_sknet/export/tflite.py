"""LiteRT (formerly TensorFlow Lite), as phones and small devices run it."""

import re

import keras

from keras_sknet.export.atomic import appearing_whole
from keras_sknet.export.inference import inference_archive, require_exportable, write
from keras_sknet.ops._private import flatten_layers
from keras_sknet.validation import positive_integer, require


def export_tflite(model, path, batch_size=1):
    """Writes a model as a float32 LiteRT file made of LiteRT's builtin operations only.

    Batch normalization is folded into the convolutions and dense layers before it. Of a network of this
    package the XNNPACK delegate, LiteRT's default on CPU, takes every operation. The input is the model's
    own: raw RGB images, 0–255, for a network that includes its preprocessing.

    Args:
        model: Functional `keras.Model`, on the TensorFlow backend, of known height and width.
        path: File to write, usually named `*.tflite`. It appears when it is complete; one that exists is
            never overwritten.
        batch_size: Integer. The batch size of the file, as LiteRT needs one; a model that was built for
            another one keeps it. Defaults to `1`.

    Raises:
        ValueError: if `path` exists, or the model cannot be exported: it is not functional, an input has an
            unknown size, it does not compute in float32, or it needs operations that LiteRT does not have.
        OSError: if the file cannot be written.

    Example:

    ```python
    from ai_edge_litert.interpreter import Interpreter

    keras_sknet.export_tflite(keras_sknet.SKNetSmall(), "small.tflite")
    classify = Interpreter("small.tflite").get_signature_runner()
    y = classify(images=keras.ops.zeros((1, 32, 32, 3)))["output_0"]  # (1, 10)
    ```
    """
    require_exportable(model)
    batch_size = positive_integer("batch_size", batch_size)
    for x in model.inputs:
        require(
            None not in x.shape[1:],
            "model",
            "of known height and width for LiteRT: build it with an `input_shape` and give it the weights",
            model=model.name,
            input_shape=tuple(x.shape),
        )
    _require_float32(model)
    with appearing_whole(path) as unfinished:
        archive, _ = inference_archive(model, batch_size)
        saved_model = unfinished.with_name(f"{unfinished.name}.saved_model")
        write(archive, saved_model, path)
        unfinished.write_bytes(_convert(model, saved_model))


def _require_float32(model):
    # The policies of a model and of its inputs compute nothing.
    passive = keras.Model, keras.layers.InputLayer
    layers = [layer for layer in flatten_layers(model) if not isinstance(layer, passive)]
    others = sorted({layer.compute_dtype for layer in layers} & {"float16", "bfloat16", "float64"})
    require(
        not others,
        "model",
        "one that computes in float32: build it under the float32 dtype policy and give it the weights",
        model=model.name,
        compute_dtypes=others,
    )


def _convert(model, saved_model):
    import tensorflow as tf

    # The converter freezes the variables of a SavedModel, without which nothing is folded or delegated.
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        return converter.convert()
    except Exception as error:  # of a private class, its message pages long
        missing = sorted(set(re.findall(r"'(tf\.\w+)' op is neither a custom op nor a flex op", str(error))))
        if not missing:
            raise
        message = "`model` must consist of operations that LiteRT has built in. "
        raise ValueError(f"{message}Received: model={model.name!r}, operations={missing}") from error
