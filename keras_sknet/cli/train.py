"""`keras-sknet train`: the main job, from scikit-learn's digits to a served model."""

import argparse
import dataclasses
import json
import platform
import sys
import time
from pathlib import Path

import keras
import numpy as np

import keras_sknet
from keras_sknet.analysis.attention import attention_scores
from keras_sknet.cli.arguments import positive_integer, positive_number, seed
from keras_sknet.cli.errors import CommandError, Stopped
from keras_sknet.cli.export import calibration_digits
from keras_sknet.data.digits import BASE, CANVAS, SPLITS, Digits
from keras_sknet.export import export_onnx, export_openvino, export_saved_model, export_tflite
from keras_sknet.export.atomic import appearing_whole
from keras_sknet.extras import import_extra
from keras_sknet.training import DIGITS, GentleInterrupt, accuracy_by_scale, fit

NETWORKS = tuple(sorted(name for name in vars(keras_sknet.models) if name[0].isupper()))
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
DESCRIPTION = """\
Trains a network on handwritten digits at three scales and shows what it learned.

The digits are the 1,797 that come with scikit-learn, 12, 18 and 24 pixels large (1.0, 1.5 and
2.0 times 12) at random places of a cluttered canvas of 32x32 pixels. The last 360 are held out:
neither training nor the choice of the best epoch sees them or a piece of them.

written to the output folder:
  model.keras     the best epoch's model, for keras.models.load_model (import keras_sknet first)
  metrics.json    accuracy on the held-out digits, over all and by scale, and how it came about
  attention.png   attention of the large kernel against the scale of the digit, by SK unit
  saved_model/    for TensorFlow Serving
  model.tflite    for LiteRT, one image at a time; smaller ones: model_float16.tflite,
                  model_dynamic.tflite and model_int8.tflite
  model.onnx      for ONNX Runtime and others
  openvino/       for OpenVINO
"""


def add_to(commands):
    """Adds the command to the parsers of `keras-sknet`."""
    parser = commands.add_parser(
        "train",
        help="train a network on handwritten digits at three scales",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model",
        choices=NETWORKS,
        default="SKNetSmall",
        metavar="NAME",
        help=f"network: {', '.join(NETWORKS)} (default: %(default)s, a matter of minutes; others take hours)",
    )
    parser.add_argument(
        "--epochs",
        type=positive_integer,
        default=DIGITS.epochs,
        metavar="N",
        help="times that every digit is seen at every scale (default: %(default)s)",
    )
    parser.add_argument(
        "--batch-size",
        type=positive_integer,
        default=DIGITS.batch_size,
        metavar="N",
        help="images a step (default: %(default)s)",
    )
    parser.add_argument(
        "--learning-rate",
        type=positive_number,
        default=DIGITS.learning_rate,
        metavar="X",
        help="the highest, after the warm-up (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="of weights, order, places and clutter; the same on the same machine gives the same model "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("sknet-digits"),
        metavar="FOLDER",
        help="a new or empty folder: nothing is ever overwritten (default: %(default)s)",
    )
    parser.add_argument("--no-export", action="store_true", help="write model, metrics and figure only")
    parser.set_defaults(run=run)


def run(arguments):
    """Runs the command."""
    start = time.perf_counter()
    for module in ("matplotlib.figure", *(() if arguments.no_export else EXPORT_MODULES)):
        import_extra(module)  # now rather than when the training is done
    splits = {split: Digits(split) for split in SPLITS}
    images = len(splits["train"])
    if arguments.batch_size > images:
        raise CommandError(f"argument --batch-size: must be at most {images}, the images to train on")
    recipe = dataclasses.replace(
        DIGITS,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
    )
    output, created = _output_folder(arguments.output)
    checkpoint = output / "model.keras"
    try:
        keras.utils.set_random_seed(arguments.seed)
        model = getattr(keras_sknet, arguments.model)(
            input_shape=Digits.image_shape, classes=len(Digits.class_names), class_names=Digits.class_names
        )
        print(f"Training {arguments.model} ({model.count_params():,} parameters) on {images:,} images")
        trained = time.perf_counter()
        history, best_epoch = fit(
            model,
            splits["train"],
            splits["validation"],
            recipe,
            checkpoint,
            seed=arguments.seed,
            verbose=1 if sys.stdout.isatty() else 2,
        )
        training_seconds = time.perf_counter() - trained
        model = keras.models.load_model(checkpoint)
        with GentleInterrupt():
            accuracy, by_scale = accuracy_by_scale(model, splits["test"])
        print(f"Held-out digits: {accuracy:.1%} right ({_by_scale(by_scale)})")
        with GentleInterrupt():
            _draw_attention(model, splits["test"], output / "attention.png")
        exports = {} if arguments.no_export else _export(model, splits["test"], output)
        metrics = {
            "model": arguments.model,
            "parameters": model.count_params(),
            "accuracy": accuracy,
            "accuracy_by_scale": {str(scale): value for scale, value in by_scale.items()},
            "best_epoch": best_epoch,
            "seed": arguments.seed,
            **dataclasses.asdict(recipe),
            "data": _describe(splits),
            "seconds": {
                "training": round(training_seconds, 1),
                "total": round(time.perf_counter() - start, 1),
            },
            "versions": _versions(),
            "exports": exports,
            "history": history,
        }
        with appearing_whole(output / "metrics.json") as unfinished:
            unfinished.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    except KeyboardInterrupt:
        raise Stopped(_what_is_left(checkpoint)) from None
    except RuntimeError as error:
        raise CommandError(str(error)) from error
    finally:
        if created and not any(output.iterdir()):
            output.rmdir()
    print(f"Written to {output}: {', '.join(sorted(path.name for path in output.iterdir()))}")


def _output_folder(path):
    """Returns the folder, and whether it was made here."""
    created = not path.exists()
    if not created and (not path.is_dir() or any(path.iterdir())):
        raise CommandError(f"argument --output: {str(path)!r} exists and is no empty folder: name another")
    path.mkdir(parents=True, exist_ok=True)
    return path, created


def _draw_attention(model, digits, path):
    from keras_sknet.analysis.figures import attention_by_scale

    images, _ = digits.arrays()
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


def _export(model, digits, output):
    """Writes all files; returns the size of each, and how it agrees with the model on held-out digits."""
    if keras.backend.backend() != "tensorflow":
        print("No exports: they need the TensorFlow backend, which loads model.keras")
        return {}
    images, _ = digits.arrays()
    reports = {}
    for name, (export, options) in EXPORTS.items():
        if options.get("quantize") == "int8":
            options = {**options, "representative_dataset": calibration_digits()}
        with GentleInterrupt():
            report = export(model, output / name, **options, verify=images)
        print(report)
        reports[name] = {key: getattr(report, key) for key in ("bytes", "difference", "agreement")}
    return reports


def _describe(splits):
    return {
        "name": "scikit-learn's digits at three scales",
        "canvas_pixels": CANVAS,
        "digit_pixels": {str(scale): round(BASE * scale) for scale in splits["test"].scales},
        "digits": {split: list(SPLITS[split]) for split in splits},
        "images": {split: len(digits) for split, digits in splits.items()},
    }


def _versions():
    backend = keras.backend.backend()
    return {
        "keras_sknet": keras_sknet.__version__,
        "keras": keras.__version__,
        "backend": f"{backend} {sys.modules[backend].__version__}",
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _by_scale(accuracies):
    return ", ".join(f"{accuracy:.1%} at {scale:g}x" for scale, accuracy in accuracies.items())


def _what_is_left(checkpoint):
    if checkpoint.exists():
        return f"Stopped. The best model so far is {checkpoint}"
    return "Stopped before the first epoch ended: nothing is written"
