"""How a model in each of the formats is loaded and run: one small adapter a format."""

import contextlib
import json
import logging
import zipfile
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from keras_sknet.export.inference import input_name, named_outputs
from keras_sknet.export.metadata import metadata
from keras_sknet.extras import import_extra
from keras_sknet.models.keras_file import load_keras_file


@contextlib.contextmanager
def quiet(name):
    """Keeps a logger silent inside a `with` block."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


class Runnable(NamedTuple):
    """A loaded model. `run` takes float arrays by the names in `inputs`, {name: shape}, of any batch size,
    and returns arrays by the names of outputs; `precision` is that of the weights; `metadata` is what
    `keras_sknet.export.metadata` wrote.
    """

    run: object
    inputs: dict
    metadata: dict
    precision: str = "float32"


def load_keras(path):
    """Loads a `.keras` file."""
    return runnable(load_keras_file(path))


def runnable(model):
    """The Keras model itself in inference mode, as its exports are run."""
    import tensorflow as tf

    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input

    def run(inputs):
        structured = keras.tree.map_structure(
            lambda x: tf.constant(inputs[input_name(model, x)], x.dtype), structure
        )
        return {name: np.asarray(y) for name, y in named_outputs(model(structured, training=False)).items()}

    shapes = {input_name(model, x): tuple(x.shape) for x in model.inputs}
    return Runnable(_of_any_count(run, shapes), shapes, metadata(model))


def _of_any_count(run, shapes):
    """Runs a model that fixes its batch size on any number of elements, in batches of that size."""
    batch_size = next(iter(shapes.values()))[0]
    if batch_size is None:
        return run

    def run_in_batches(inputs):
        count = len(next(iter(inputs.values())))
        # The last one is filled up with its last element.
        places = np.minimum(np.arange(-(-count // batch_size) * batch_size), count - 1)
        pieces = [
            run({name: x[piece] for name, x in inputs.items()}) for piece in places.reshape(-1, batch_size)
        ]
        return {name: np.concatenate([piece[name] for piece in pieces])[:count] for name in pieces[0]}

    return run_in_batches


def load_saved_model(path):
    """Loads a SavedModel, of numbered version folders the latest."""
    import tensorflow as tf

    folder = saved_model_folder(path)
    # Of gradients that are not in the file, and that nobody asks for.
    with quiet("absl"):
        loaded = tf.saved_model.load(str(folder))
    signature = loaded.signatures["serving_default"]
    specs = signature.structured_input_signature[1]

    def run(inputs):
        outputs = signature(**{name: tf.constant(inputs[name], spec.dtype) for name, spec in specs.items()})
        return {name: np.asarray(y) for name, y in outputs.items()}

    # The signature alone would not keep the variables.
    run.loaded = loaded
    extra, labels = folder / "assets.extra" / "metadata.json", folder / "assets" / "labels.txt"
    # Labels are numbers where there are no names, which only the other file tells.
    found = _read_if_there(extra, json.loads) if extra.is_file() else _read_if_there(labels, _names)
    shapes = {name: tuple(spec.shape) for name, spec in specs.items()}
    return Runnable(_of_any_count(run, shapes), shapes, found)


def saved_model_folder(path):
    """Returns the folder of a SavedModel: `path`, or the highest of the version folders in it; or `None`."""
    path = Path(path)
    versions = [folder for folder in path.iterdir() if folder.name.isdecimal()] if path.is_dir() else []
    found = [path, *sorted(versions, key=lambda folder: int(folder.name), reverse=True)]
    return next((folder for folder in found if (folder / "saved_model.pb").is_file()), None)


def load_tflite(path):
    """Loads a LiteRT file."""
    interpreter = import_extra("ai_edge_litert.interpreter").Interpreter(str(path))
    signature = interpreter.get_signature_runner()
    details, results = signature.get_input_details(), signature.get_output_details()

    def run(inputs):
        outputs = signature(**{name: _quantized(inputs[name], details[name]) for name in details})
        return {name: _dequantized(outputs[name], results[name]) for name in results}

    tensors = interpreter.get_tensor_details()
    types = {np.dtype(tensor["dtype"]).name for tensor in tensors}
    # Integers without a scale are no quantized floats, but bytes that a model takes.
    quantized = any(len(tensor["quantization_parameters"]["scales"]) for tensor in tensors)
    precision = "int8" if quantized else "float16" if "float16" in types else "float32"
    found = {}
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for file, read in {"labels.txt": _names, "metadata.json": json.loads}.items():
                if file in archive.namelist():
                    found |= read(archive.read(file).decode())
    shapes = {name: tuple(map(int, detail["shape"])) for name, detail in details.items()}
    return Runnable(_of_any_count(run, shapes), shapes, found, precision)


def _quantized(x, detail):
    scale, zero = (
        detail["quantization_parameters"]["scales"],
        detail["quantization_parameters"]["zero_points"],
    )
    if not len(scale):
        return x.astype(detail["dtype"])
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.rint(x / scale[0] + zero[0]), limits.min, limits.max).astype(detail["dtype"])


def _dequantized(y, detail):
    scale, zero = (
        detail["quantization_parameters"]["scales"],
        detail["quantization_parameters"]["zero_points"],
    )
    return (y.astype("float32") - zero[0]) * scale[0] if len(scale) else y


def load_onnx(path):
    """Loads an ONNX file."""
    session = import_extra("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = {x.name: x for x in session.get_inputs()}
    names = [output.name for output in session.get_outputs()]

    def run(arrays):
        feed = {name: arrays[name].astype(ONNX_TYPES[x.type]) for name, x in inputs.items()}
        return dict(zip(names, session.run(names, feed), strict=True))

    shapes = {
        name: tuple(size if isinstance(size, int) else None for size in x.shape) for name, x in inputs.items()
    }
    return Runnable(_of_any_count(run, shapes), shapes, session.get_modelmeta().custom_metadata_map)


ONNX_TYPES = {
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{f"tensor({name})": name for name in ("float16", "bool")},
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(string)": "object",
}


def load_openvino(path):
    """Loads OpenVINO's `.xml`, or the one in a folder."""
    path = Path(path)
    openvino = import_extra("openvino")
    graph = openvino.Core().read_model(path if path.is_file() else openvino_file(path))
    # It would compute in bfloat16 where the processor has it.
    compiled = openvino.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    names = [_port_name(port) for port in graph.outputs]

    def run(inputs):
        outputs = compiled(inputs)
        return {name: np.array(outputs[position]) for position, name in enumerate(names)}

    shapes = {
        _port_name(port): tuple(
            size.get_length() if size.is_static else None for size in port.get_partial_shape()
        )
        for port in graph.inputs
    }
    found = {}
    for key in ("class_names", "crop_fraction", "interpolation"):
        if graph.has_rt_info(["keras_sknet", key]):
            found[key] = str(graph.get_rt_info(["keras_sknet", key]).value)
    return Runnable(_of_any_count(run, shapes), shapes, found)


def _port_name(port):
    # A tensor that is several outputs, or an output and an input, has the names of all.
    own = port.get_node().get_friendly_name()
    return own if own in port.get_names() else port.get_any_name()


def openvino_file(folder):
    """Returns the one `.xml` file in a folder, or `None`."""
    files = list(Path(folder).glob("*.xml"))
    return files[0] if len(files) == 1 else None


def _read_if_there(file, read):
    return read(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _names(text):
    return {"class_names": json.dumps(text.splitlines(), ensure_ascii=False)}
