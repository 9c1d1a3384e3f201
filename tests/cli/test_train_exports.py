"""What `keras-sknet train` exports."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from keras_sknet.data import Digits
from train_runs import COMMAND, EXPORTS, FILES, launch


def is_part(file, name):
    return file.is_file() and name in (file.name, *(folder.name for folder in file.parents))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The output folder of a short run with every export, and what it printed."""
    output = tmp_path_factory.mktemp("export") / "run"
    out, err = launch(*COMMAND, "--output", output).communicate(timeout=600)
    assert "Written to" in out, err[-3000:]
    return output, out


@pytest.mark.slow
def test_it_writes_everything_and_nothing_else(exported):
    output, printed = exported
    assert sorted(path.name for path in output.iterdir()) == FILES
    assert f"Written to {output}: {', '.join(FILES)}" in printed
    assert "Epoch 2/2" in printed


@pytest.mark.slow
def test_metrics_tell_of_the_exports(exported):
    output, _ = exported
    metrics = json.loads((output / "metrics.json").read_text())
    assert sorted(metrics["exports"]) == EXPORTS
    for name, report in metrics["exports"].items():
        size = sum(file.stat().st_size for file in (output, *output.rglob("*")) if is_part(file, name))
        assert report["bytes"] == size
        assert report["agreement"] > 0.5 and ("int8" in name or report["difference"] < 0.1)


@pytest.mark.slow
def test_the_exports_equal_the_model(exported, few_digits):
    output, _ = exported
    images = Digits("test").arrays()[0][:4].astype("float32")
    expected = keras.models.load_model(output / "model.keras").predict(images, verbose=0)
    served = tf.saved_model.load(output / "saved_model" / "1").signatures["serving_default"]
    np.testing.assert_allclose(served(images=tf.constant(images))["output_0"], expected, atol=1e-5)
    classify = Interpreter(str(output / "model.tflite")).get_signature_runner()
    for image, scores in zip(images, expected, strict=True):
        np.testing.assert_allclose(classify(images=image[None])["output_0"][0], scores, atol=1e-5)
