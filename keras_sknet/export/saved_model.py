"""TensorFlow's SavedModel, as model servers load it."""

import contextlib
import json
import os
from pathlib import Path

from keras_sknet.data.transforms import SIZE, input_size, takes_images
from keras_sknet.export.inference import inference_archive, require_exportable, write
from keras_sknet.export.metadata import metadata
from keras_sknet.export.rewritten import folded
from keras_sknet.export.signatures import add_image_signatures
from keras_sknet.export.verify import check_verify, verified
from keras_sknet.export.warmup import write_warmup_requests
from keras_sknet.export.xla import require_no_xla
from keras_sknet.files import appearing_whole, write_errors
from keras_sknet.validation import positive_integer, require


def export_saved_model(model, path, version=None, size=SIZE, verify=True):
    """Writes a model as a TensorFlow SavedModel, which runs without Keras and this package.

    Its signatures take any batch size:

    - `serving_default` is the model in inference mode. Of a network of this package it takes `images`,
      float32 of shape (batch, height, width, channels), and any height and width where the model's are
      `None`, and returns the model's output as `output_0`. Other models keep the names and structures of
      their inputs and outputs.
    - `classify_jpeg` takes `image_bytes`, strings of shape (batch,), JPEG or PNG files. It decodes, resizes
      and crops them as in evaluation (`keras_sknet.data.decode`, `evaluation_transform`) and returns
      `classes` and `scores`, (batch, 5): names and probabilities of the five likeliest (of all, if they
      are fewer), best first; and `probabilities` of all. Logits go through softmax, a single one through
      sigmoid. A file that is none, or is cut off, fails the request: nobody gets a wrong answer. For models
      of RGB images that end in a `Classifier` and first of all normalize pixels of 0–255 themselves
      (`ImageNormalization`, or `Rescaling` or `Normalization` of Keras).
    - `features` takes `images` and returns what `feature_pyramid` does, and `pooled`, the mean of the last
      one over height and width. For networks of this package that take RGB images.

    The names of the classes are in `assets/labels.txt`, too, one a line, or numbers where the model has
    no names; `assets.extra/metadata.json` tells crop and interpolation of evaluation. TensorFlow Serving
    finds a request to warm up each signature of images in `assets.extra/tf_serving_warmup_requests`. Batch
    normalization is folded into the convolutions. Nothing needs XLA, which model servers such as TensorFlow
    Serving switch off.

    Args:
        model: Functional `keras.Model`, on the TensorFlow backend.
        path: Folder to write. It appears when it is complete; one that exists is never overwritten.
        version: Positive integer, with which `path` is the model's folder on a server, made if it is
            missing (the folder around it must exist), and the SavedModel appears in it as the folder of
            this number, beside older versions. A server that watches `path` sees it whole or not at all.
            Defaults to `None`: `path` itself is the SavedModel.
        size: Integer or pair of them, the height and width for `classify_jpeg` and the warm-up where the
            model's are `None`. Defaults to `224`.
        verify: Whether `serving_default` must give the model's outputs, as exactly as `verify_export` says,
            before the folder appears: `True` (default) on random images, an array of images: on these too,
            or `False`.

    Returns:
        `Report` with `path`, `format`, `bytes` and `difference`.

    Raises:
        ValueError: if `path` (or its folder of this version) exists, or the model cannot be exported: it is
            not functional, or a layer of it is compiled with XLA, as `keras.layers.Conv2D` with `groups` > 1
            is (`GroupedConv2D` is not).
        VerificationError: if the outputs differ.
        OSError: if the folder cannot be written.

    Example:

    ```python
    import tensorflow as tf

    keras_sknet.export_saved_model(keras_sknet.SKNetSmall(), "served", version=1)
    classify = tf.saved_model.load("served/1").signatures["classify_jpeg"]
    file = tf.io.encode_jpeg(tf.zeros((48, 64, 3), "uint8"))
    scores = classify(image_bytes=file[None])["scores"]  # (1, 5)
    ```
    """
    require_exportable(model)
    check_verify(model, verify)
    size = input_size(model, size) if takes_images(model) else size
    with contextlib.ExitStack() as stack:
        if version is not None:
            version = positive_integer("version", version)
            path = stack.enter_context(_base_folder(path)) / str(version)
        # Its unfinished folder's name is no number, which a server passes over.
        unfinished = stack.enter_context(appearing_whole(path))
        served = folded(model)
        archive, function = inference_archive(served, path="auto")
        assets = unfinished.with_name(f"{unfinished.name}.assets")
        with write_errors(path):
            added = add_image_signatures(archive, function, served, size, assets)
        functions = {"serving_default": function, **added}
        require_no_xla(served, functions.values())
        write(archive, unfinished, path)
        with write_errors(path):
            _write_extras(model, unfinished / "assets.extra", functions, size)
        return verified(model, unfinished, path, "saved_model", verify)


def _write_extras(model, folder, functions, size):
    """Files that the graph does not need."""
    folder.mkdir()
    (folder / "metadata.json").write_text(json.dumps(metadata(model)) + "\n", encoding="utf-8")
    if takes_images(model):
        write_warmup_requests(folder, functions, size)


@contextlib.contextmanager
def _base_folder(path):
    """Yields the folder of a model's versions, and removes it if it was made here and nothing came of it."""
    require(isinstance(path, (str, os.PathLike)), "path", "a string or a path object", path=path)
    base = Path(path)
    created = not os.path.lexists(base)
    require(created or base.is_dir(), "path", "a folder, or new, with a `version`", path=str(path))
    require(base.parent.is_dir(), "path", "in a folder that exists", path=str(path))
    base.mkdir(exist_ok=True)
    try:
        yield base
    finally:
        if created and not any(base.iterdir()):
            base.rmdir()
