"""Short runs of `keras-sknet train` on a few digits, in this process and in others; what they write."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

ROOT = Path(__file__).resolve().parents[1]
FEW = {"train": (0, 32), "validation": (1300, 1310), "test": (1437, 1467)}
EXPORTS = [
    "model.onnx",
    "model.tflite",
    "model_dynamic.tflite",
    "model_float16.tflite",
    "model_int8.tflite",
    "openvino",
    "saved_model",
]
EVALUATION = ["classes.csv", "confusion.csv", "confusion.png", "curves.png", "evaluation.json"]
LOGS = ["history.csv", "metrics.json", "model.keras", "tensorboard"]
FILES = sorted(["attention.png", *EVALUATION, *LOGS, *EXPORTS])
COMMAND = ["train", "--epochs", "2", "--batch-size", "32", "--learning-rate", "0.1", "--seed", "5"]
CATS = [("cat", 40), ("dog", 40)] * 4
LAUNCH = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored
from keras_sknet.cli import main
from keras_sknet.data import digits
digits.SPLITS.update({FEW})
sys.exit(main(sys.argv[1:]))
"""


def launch(*arguments):
    command = [sys.executable, "-u", "-c", LAUNCH, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def write_images(folder, sizes, split="train"):
    random = np.random.default_rng(0)
    for number, (name, size) in enumerate(sizes):
        path = folder / split / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png(random.integers(0, 255, (size, size, 3), "uint8")).numpy())
