"""OpenVINO's intermediate representation, as Intel's processors run it."""

import re

from keras_sknet.export.inference import (
    inference_archive,
    require_exportable,
    require_float32,
    require_own_names,
    write,
)
from keras_sknet.export.metadata import metadata
from keras_sknet.export.rewritten import folded
from keras_sknet.export.verify import check_verify, verified
from keras_sknet.extras import import_extra
from keras_sknet.files import appearing_whole

UNKNOWN = re.compile(r"(?:No conversion rule found for operations|Conversion is failed for): (.+)")


def export_openvino(model, path, verify=True):
    """Writes a model for OpenVINO: a folder of `model.xml` and `model.bin`, weights in float32 as they are.

    Input and output are the model's own, channels last: of a network of this package `images`, raw RGB
    of 0–255 if it includes its preprocessing, any batch size, and any height and width where the model's
    are `None`; and `output_0`. Batch normalization is folded, and a grouped convolution is one
    `GroupConvolution`.

    On processors with bfloat16 OpenVINO computes in it unless the property `INFERENCE_PRECISION_HINT`
    is `"f32"`; outputs are then off by some percent.

    Class names, as JSON, and the crop and interpolation of evaluation are in the `keras_sknet` section of
    the file's `rt_info`.

    Args:
        model: Functional `keras.Model`, on the TensorFlow backend.
        path: Folder to write. It appears when it is complete; one that exists is never overwritten.
        verify: Whether OpenVINO must give the model's outputs, within 1e-4 of the largest, before the folder
            appears: `True` (default) on random images, an array of images: on these too, or `False`.

    Returns:
        `Report` with `path`, `format`, `bytes` and `difference`.

    Raises:
        ValueError: if `path` exists, or the model cannot be exported: it is not functional, does not
            compute in float32, or needs operations that OpenVINO does not have.
        VerificationError: if the outputs differ.
        OSError: if the folder cannot be written.
        ImportError: if the package of the extra `openvino` is not installed.

    Example:

    ```python
    import openvino

    keras_sknet.export_openvino(keras_sknet.SKNetSmall(), "small")
    classify = openvino.compile_model("small/model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    y = classify({"images": np.zeros((8, 32, 32, 3), "float32")})["output_0"]  # (8, 10)
    ```
    """
    require_exportable(model)
    check_verify(model, verify)
    require_float32(model)
    require_own_names(model)
    openvino = import_extra("openvino")
    with appearing_whole(path) as unfinished:
        archive, _ = inference_archive(folded(model))
        saved_model = unfinished.with_name(f"{unfinished.name}.saved_model")
        write(archive, saved_model, path)
        graph = _read(model, saved_model)
        for key, value in metadata(model).items():
            graph.set_rt_info(value, ["keras_sknet", key])
        unfinished.mkdir()
        try:
            # It would halve the weights' precision.
            openvino.save_model(graph, unfinished / "model.xml", compress_to_fp16=False)
        except RuntimeError as error:
            raise OSError(f"Cannot write {str(path)!r} ({_last_line(error)})") from error
        return verified(model, unfinished, path, "openvino", verify)


def _read(model, saved_model):
    openvino = import_extra("openvino")
    try:
        # `openvino.convert_model` gives the same network, and reports its use to OpenVINO's makers.
        return openvino.Core().read_model(saved_model)
    except RuntimeError as error:
        missing = [name for found in UNKNOWN.findall(str(error)) for name in found.split(", ")]
        if not missing:
            raise
        message = "`model` must be made of operations that OpenVINO has. "
        raise ValueError(f"{message}Received: model={model.name!r}, operations={sorted(missing)}") from error


def _last_line(error):
    return str(error).strip().splitlines()[-1]
