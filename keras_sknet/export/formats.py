"""The formats that a model can be in, and which one a file or folder is."""

from pathlib import Path
from typing import NamedTuple

from keras_sknet.export.runtimes import (
    load_keras,
    load_onnx,
    load_openvino,
    load_saved_model,
    load_tflite,
    openvino_file,
    saved_model_folder,
)
from keras_sknet.validation import require


class Format(NamedTuple):
    """A format: `recognize` and `load` take a path, `tolerance` is by how much of the largest output in
    float32 an export may differ from its model.
    """

    name: str
    recognize: object
    load: object
    tolerance: float


# Folding batch normalization rounds the weights anew, which deep networks amplify: up to 1.4e-5 was seen.
FORMATS = {
    "saved_model": Format("SavedModel", saved_model_folder, load_saved_model, 1e-4),
    "openvino": Format(
        "OpenVINO", lambda path: path.suffix == ".xml" or openvino_file(path), load_openvino, 1e-4
    ),
    "tflite": Format("LiteRT", lambda path: path.suffix == ".tflite", load_tflite, 1e-4),
    "onnx": Format("ONNX", lambda path: path.suffix == ".onnx", load_onnx, 1e-4),
    "keras": Format("Keras", lambda path: path.suffix == ".keras", load_keras, 1e-5),
}


def recognize(path):
    """Returns the format that a file or folder is in.

    Args:
        path: String or path object: a `.keras`, `.tflite`, `.onnx` or `.xml` file, or the folder of a
            SavedModel, of its versions or of an OpenVINO model.

    Returns:
        `Format`.

    Raises:
        ValueError: if it does not exist or is in none of them.

    Example:

    ```python
    from keras_sknet.export.formats import recognize

    keras_sknet.SKNetSmall().save("small.keras")
    assert recognize("small.keras").name == "Keras"
    ```
    """
    path = Path(path)
    found = [format for format in FORMATS.values() if path.exists() and format.recognize(path)]
    require(
        found,
        "path",
        "an existing .keras, .tflite, .onnx or .xml file, or the folder of a SavedModel or OpenVINO model",
        path=str(path),
    )
    return found[0]


def load(path, format=None):
    """Loads a model in any of the formats.

    Args:
        path: String or path object, as `recognize` takes it.
        format: `Format` if it is known. Defaults to `None`.

    Returns:
        `Runnable`.

    Raises:
        ValueError: if there is no model of such a format, or it cannot be loaded.
        ImportError: if the package that runs it is not installed.

    Example:

    ```python
    from keras_sknet.export.formats import load

    keras_sknet.SKNetSmall().save("small.keras")
    y = load("small.keras").run({"images": np.zeros((2, 32, 32, 3), "float32")})["output_0"]  # (2, 10)
    ```
    """
    format = format or recognize(path)
    try:
        return format.load(path)
    except ImportError:
        raise
    except Exception as error:  # every runtime has its own, with messages pages long
        lines = str(error).strip().splitlines()
        # OpenVINO tells first where in its sources it gave up.
        reason = next((line for line in lines if not line.startswith("Exception from")), type(error).__name__)
        raise ValueError(
            f"`path` must be an undamaged model in the format {format.name}. Received: path={str(path)!r}, "
            f"reason={reason[:300]!r}"
        ) from error
