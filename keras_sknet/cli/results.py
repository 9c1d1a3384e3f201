"""What a training leaves behind besides the model: figures, tables and exports."""

import json
import math
import platform
import shutil
import sys
import time

import keras
import numpy as np

import keras_sknet
from keras_sknet.analysis.attention import attention_scores
from keras_sknet.cli.calibration import calibration_images
from keras_sknet.data import Digits, evaluation_batches, evaluation_transform
from keras_sknet.data.digits import BASE, CANVAS, SPLITS
from keras_sknet.data.transforms import input_size
from keras_sknet.evaluation import evaluate, write_evaluation
from keras_sknet.export import export_onnx, export_openvino, export_saved_model, export_tflite
from keras_sknet.export.verify import VerificationError
from keras_sknet.extras import import_extra
from keras_sknet.files import appearing_whole
from keras_sknet.models.keras_file import load_keras_file
from keras_sknet.training import GentleInterrupt, accuracy_by_scale
from keras_sknet.training.curves import draw_curves
from keras_sknet.training.fit import MODEL
from keras_sknet.training.loop import HISTORY

METRICS = "metrics.json"
# File or folder: what writes it, and how.
EXPORTS = {
    "saved_model": (export_saved_model, {"version": 1}),
    "model.tflite": (export_tflite, {}),
    "model_float16.tflite": (export_tflite, {"quantize": "float16"}),
    "model_dynamic.tflite": (export_tflite, {"quantize": "dynamic"}),
    "model_int8.tflite": (export_tflite, {"quantize": "int8"}),
    "model.onnx": (export_onnx, {}),
    "openvino": (export_openvino, {}),
}
EXPORT_MODULES = ("ai_edge_litert.interpreter", "onnx", "tf2onnx", "onnxruntime", "openvino")
FIGURES = ("curves.png", "attention.png", "evaluation.json", "classes.csv", "confusion.csv", "confusion.png")
CHECKED_NUMBERS = 2**24  # in the images that exports are compared on
DESCRIPTION = """\
written to the output folder:
  model.keras     the best epoch's model, for keras.models.load_model (import keras_sknet first)
  metrics.json    accuracy on held-out images and how it came about
  curves.png      loss, accuracy and learning rate by epoch; history.csv has the numbers
  tensorboard/    the same for TensorBoard
  evaluation.json, classes.csv, confusion.csv, confusion.png
                  what `keras-sknet evaluate` writes, of the test split
  attention.png   digits: attention of the large kernel against the scale of the digit, by SK unit
  saved_model/    for TensorFlow Serving
  model.tflite    for LiteRT, one image at a time; smaller ones: model_float16.tflite,
                  model_dynamic.tflite and model_int8.tflite
  model.onnx      for ONNX Runtime and others
  openvino/       for OpenVINO
  checkpoints/    while it runs: what the same command goes on from
"""


def require_packages(no_export):
    """Raises `ImportError` if a package is missing that the results will need."""
    for module in ("matplotlib.figure", "tqdm", *(() if no_export else EXPORT_MODULES)):
        import_extra(module)


def remove_results(output):
    """Removes what a run that was stopped here wrote after its training, and what it had not finished."""
    names = (METRICS, *FIGURES, *EXPORTS)
    for pattern in (*names, *(f".{name}.*" for name in (*names, HISTORY)), f".unfinished-{MODEL}"):
        for path in output.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_results(output, splits, metrics, recipe, no_export, start):
    """Measures the kept model on the test split and writes everything but the model.

    Args:
        output: `Path` of the folder with the model.
        splits: `{"train": source, "validation": source, "test": source}`.
        metrics: Dictionary, the beginning of `metrics.json`.
        recipe: `Recipe` that the model was trained by.
        no_export: Boolean, whether the exports are left out.
        start: When the command started, by `time.perf_counter`.

    Returns:
        List of strings, one for each export that failed: its name and why.
    """
    model = load_keras_file(output / MODEL)
    test = splits["test"]
    transform = evaluation_transform(model) if recipe.crop else None
    # Digits have scales to tell of, where the recipe takes them as they are.
    drawn = test.arrays() if isinstance(test, Digits) and transform is None else None
    batches = _batches(*drawn) if drawn else evaluation_batches(test, recipe.step_size, transform)
    with GentleInterrupt():
        result = evaluate(model, batches, test.class_names)
    write_evaluation(result, output)
    stands_in = test is splits["validation"]
    metrics |= {"accuracy": 1 - result.top1_error, "measured_on": "validation" if stands_in else "test"}
    if drawn:
        metrics |= _of_digits(model, splits, drawn, output)
    else:
        of = "Validation" if stands_in else "Held-out"
        print(f"{of} images: {1 - result.top1_error:.1%} of {result.images:,} right")
        metrics["data"] = {"images": {split: len(source) for split, source in splits.items()}}
    draw_curves(metrics["history"], output / "curves.png")
    metrics["exports"], failures = ({}, []) if no_export else _export(model, splits, transform, output)
    metrics["seconds"]["total"] = round(time.perf_counter() - start, 1)
    metrics["versions"] = _versions()
    with appearing_whole(output / METRICS) as unfinished:
        unfinished.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    return failures


def _batches(images, labels, size=64):
    for start in range(0, len(labels), size):
        part = slice(start, start + size)
        yield images[part], labels[part], np.ones_like(labels[part])


def _of_digits(model, splits, drawn, output):
    """What can be told of digits alone: how scale matters."""
    with GentleInterrupt():
        accuracy, by_scale = accuracy_by_scale(model, splits["test"], drawn)
    scales = ", ".join(f"{value:.1%} at {scale:g}x" for scale, value in by_scale.items())
    print(f"Held-out digits: {accuracy:.1%} right ({scales})")
    with GentleInterrupt():
        _draw_attention(model, splits["test"], drawn[0], output / "attention.png")
    return {
        "accuracy_by_scale": {str(scale): value for scale, value in by_scale.items()},
        "data": {
            "name": "scikit-learn's digits at three scales",
            "canvas_pixels": CANVAS,
            "digit_pixels": {str(scale): round(BASE * scale) for scale in splits["test"].scales},
            "digits": {split: list(SPLITS[split]) for split in splits},
            "images": {split: len(digits) for split, digits in splits.items()},
        },
    }


def _draw_attention(model, digits, images, path):
    from keras_sknet.analysis.figures import attention_by_scale

    if not any(isinstance(layer, keras_sknet.SKBottleneck) for layer in model.layers):
        print("No attention.png: this network has no SK units")
        return
    scores = {
        scale: attention_scores(model, images[digits.element_scales == scale]) for scale in digits.scales
    }
    title = (
        f"Mean over channels and {len(images) // len(scores)} held-out digits, 95 % confidence band;\n"
        f"below each unit's name: change from scale {min(scores)} to {max(scores)}"
    )
    with appearing_whole(path) as unfinished:
        attention_by_scale(scores, title).savefig(unfinished)


def _export(model, splits, transform, output):
    """Writes all files.

    Returns:
        The size of each, and how it agrees with the model on held-out images; and why others failed.
    """
    if keras.backend.backend() != "tensorflow":
        print("No exports: they need the TensorFlow backend, which loads model.keras")
        return {}, []
    count = max(1, CHECKED_NUMBERS // math.prod((*input_size(model), 3)))
    images = calibration_images(splits["test"], transform, count)
    reports, failures = {}, []
    for name, (export, options) in EXPORTS.items():
        if options.get("quantize") == "int8":
            options = {**options, "representative_dataset": calibration_images(splits["train"], transform)}
        try:
            with GentleInterrupt():
                report = export(model, output / name, **options, verify=images)
        except (ValueError, VerificationError) as error:
            failures.append(f"{name} ({error})")
            continue
        print(report)
        reports[name] = {key: getattr(report, key) for key in ("bytes", "difference", "agreement")}
    return reports, failures


def _versions():
    backend = keras.backend.backend()
    return {
        "keras_sknet": keras_sknet.__version__,
        "keras": keras.__version__,
        "backend": f"{backend} {sys.modules[backend].__version__}",
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
