"""LiteRT (formerly TensorFlow Lite), as phones and small devices run it."""

import re

import numpy as np

from keras_sknet.export.associated import append_files
from keras_sknet.export.inference import (
    inference_archive,
    require_exportable,
    require_float32,
    write,
)
from keras_sknet.export.quantize import check_quantization, configure, softmax_in_float
from keras_sknet.export.verify import check_verify, verified
from keras_sknet.export.wide_groups import with_wide_groups
from keras_sknet.files import appearing_whole, write_errors
from keras_sknet.validation import positive_integer, require

# So many of the images that an int8 file is calibrated with does it have to classify, too.
SEEN = 64
# In the converter's message: the place in the model, and the operation.
MISSING = re.compile(
    r"""fused\["\w+:", "([^"@]+)/[^"/@]+@[^\n]*'(tf\.\w+)' op is neither a custom op nor a flex op"""
)


def export_tflite(
    model,
    path,
    quantize=None,
    representative_dataset=None,
    batch_size=1,
    input_dtype="float32",
    output_dtype="float32",
    verify=True,
):
    """Writes a model as a LiteRT file made of LiteRT's builtin operations only.

    Batch normalization is folded into the convolutions and dense layers before it. Of a network of this
    package the XNNPACK delegate, LiteRT's default on CPU, takes every operation (in int8 with the exceptions
    that `docs/export.md` lists). The input is the model's own: raw RGB images, 0–255, for a network that
    includes its preprocessing.

    If the model ends in a `Classifier` that has `class_names`, they travel in the file: `labels.txt`, one a
    line, which `zipfile.ZipFile(path)` and any other unzip program reads. Beside it, `metadata.json` says
    how images are resized and cropped for a network that includes its preprocessing.

    Args:
        model: Functional `keras.Model`, on the TensorFlow backend, of known height and width.
        path: File to write, usually named `*.tflite`. It appears when it is complete; one that exists is
            never overwritten.
        quantize: How weights are stored and what is computed with:

            - `None` (the default): float32.
            - `"float16"`: weights of half the size, arithmetic in float32 (or float16 on a GPU).
            - `"dynamic"`: weights in int8, one scale a channel; activations are quantized as they come, in
              each image's own range.
            - `"int8"`: weights likewise, and activations in ranges that are found with
              `representative_dataset`, as hardware without floats needs it.
        representative_dataset: Images like those that the model will see, a few hundred of the training
            set, raw where the model includes its preprocessing: an array `(images, height, width,
            channels)`, a `tf.data.Dataset` or another iterable of batches, with labels or without, of any
            size. Required for `quantize="int8"`, refused otherwise. Defaults to `None`.
        batch_size: Integer. The batch size of the file, as LiteRT needs one; a model that was built for
            another one keeps it. Defaults to `1`.
        input_dtype: `"float32"` (default), or, with `quantize="int8"`, `"uint8"` or `"int8"`. A network that
            includes its preprocessing takes a `uint8` image as it is, and in `"int8"` the image minus 128;
            other inputs have the scale and zero point that the file states.
        output_dtype: `"float32"` (default), or, with `quantize="int8"`, `"int8"` or `"uint8"`, in steps that
            the file states: 1/256 for softmax, which then computes in integers, and in float32 otherwise.
        verify: Whether the file must give the model's outputs before it appears: `True` (default) on random
            images and, in int8, on the first 64 of `representative_dataset`, an array of images: on these
            too, or `False`. Differences may be 1e-4 of the largest output, 3e-2 in float16; in dynamic and
            int8 the output at the top must be the same one for half of the images, and a single output
            about the same, which shows that the file is not broken, not how accurate it is.

    Returns:
        `Report` with `path`, `format`, `bytes`, `difference` and `agreement`.

    Raises:
        ValueError: if `path` exists, the arguments contradict each other, or the model cannot be exported:
            it is not functional, an input has an unknown size, it does not compute in float32, or it needs
            operations that LiteRT does not have.
        VerificationError: if the outputs differ.
        ImportError: if `verify` is not `False`, and LiteRT (the extra `litert`) is not installed.
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
    check_verify(model, verify)
    batch_size = positive_integer("batch_size", batch_size)
    for x in model.inputs:
        require(
            None not in x.shape[1:],
            "model",
            "of known height and width for LiteRT: build it with an `input_shape` and give it the weights",
            model=model.name,
            input_shape=tuple(x.shape),
        )
    require_float32(model)
    batches = check_quantization(
        model, quantize, representative_dataset, batch_size, input_dtype, output_dtype
    )
    seen = []
    with appearing_whole(path) as unfinished:
        archive, _ = inference_archive(with_wide_groups(model, quantize), batch_size)
        saved_model = unfinished.with_name(f"{unfinished.name}.saved_model")
        write(archive, saved_model, path)
        converter = _converter(saved_model)
        configure(converter, quantize, _remembering(batches, seen), input_dtype, output_dtype)
        content = _convert(model, converter)
        if output_dtype == "float32":
            content = softmax_in_float(content)
        with write_errors(path):
            unfinished.write_bytes(content)
            append_files(unfinished, model)
        calibration = np.concatenate(seen)[:SEEN] if seen else None
        return verified(model, unfinished, path, "tflite", verify, calibration)


def _remembering(batches, seen):
    """The batches, of which the first are appended to the list `seen` on the way."""

    def remembered():
        for [batch] in batches():
            if sum(map(len, seen)) < SEEN:
                seen.append(batch)
            yield [batch]

    return remembered


def _converter(saved_model):
    import tensorflow as tf

    # The converter freezes the variables of a SavedModel, without which nothing is folded or delegated.
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def _convert(model, converter):
    try:
        return converter.convert()
    except Exception as error:  # of a private class, its message pages long
        missing = MISSING.findall(str(error))
        if not missing:
            raise
        places, operations = (sorted(set(names)) for names in zip(*missing, strict=True))
        message = "`model` must consist of operations that LiteRT has built in. "
        message += f"Received: model={model.name!r}, operations={operations}, places={places}"
        raise ValueError(message) from error
