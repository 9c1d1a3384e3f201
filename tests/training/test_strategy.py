"""Training on two logical CPUs, in fresh processes with a strategy each."""

import json

import pytest

from keras_sknet.training import Recipe, mirrored_strategy
from keras_sknet.training.strategy import strategy_scope
from nets import tiny

SETUP = """
import dataclasses, json, sys
from pathlib import Path
import keras, numpy as np
from keras_sknet.data import Digits, digits
from keras_sknet.training import Recipe, fit, mirrored_strategy
from nets import tiny

digits.SPLITS.update({"train": (0, 32), "validation": (1300, 1311)})


def trained(folder, strategy=None, **options):
    # A padded last batch in validation: 33 images by 16.
    recipe = Recipe(epochs=2, batch_size=16, learning_rate=0.05, weight_decay=1e-3, **options)
    Path(folder).mkdir(exist_ok=True)
    keras.utils.set_random_seed(0)
    if strategy:
        with strategy.scope():
            model = tiny(classes=10)
    else:
        model = tiny(classes=10)
    return model, fit(model, Digits("train"), Digits("validation"), recipe, folder, verbose=False)[0]
"""

EQUAL = """
strategy = mirrored_strategy(2)
keras.config.set_floatx("float64")
keras.config.set_dtype_policy("float64")
folder = sys.argv[1]
one, history = trained(f"{folder}/one")
two, mirrored = trained(f"{folder}/two", strategy)
values = [
    [replica.numpy() for replica in strategy.experimental_local_results(weight.value)]
    for weight in two.weights
]
images, labels = Digits("validation").arrays()
loaded = keras.models.load_model(f"{folder}/two/model.keras")
print(json.dumps({
    "history": max(
        abs(a[name] - b[name]) for a, b in zip(history, mirrored, strict=True) for name in a
    ),
    "replicas": [len(replicas) for replicas in values],
    "apart": max(float(np.abs(first - second).max()) for first, second in values),
    "weights": max(
        float(np.abs(first - expected).max() / max(np.abs(expected).max(), 1))
        for (first, _), expected in zip(values, one.get_weights(), strict=True)
    ),
    "best": min(logs["val_loss"] for logs in mirrored),
    "saved": float(keras.losses.CategoricalCrossentropy(label_smoothing=0.1)(
        keras.utils.to_categorical(labels, 10), loaded.predict(images, verbose=0)
    )),
}))
"""

RESUMED = """
strategy = mirrored_strategy(2)
folder = sys.argv[1]
whole, history = trained(f"{folder}/whole", strategy, average=0.9)
last = sorted(Path(folder, "whole", "checkpoints").iterdir())[-1]
last.unlink()  # back to the end of the first epoch
kept = whole.get_weights()
Path(folder, "whole").rename(Path(folder, "resumed"))
resumed, again = trained(f"{folder}/resumed", strategy, average=0.9)
print(json.dumps({
    "history": history == again,
    "apart": max(
        float(np.abs(a - b).max()) for a, b in zip(kept, resumed.get_weights(), strict=True)
    ),
}))
"""


@pytest.mark.slow
def test_two_replicas_train_as_one_device(run_python, tmp_path):
    result = json.loads(run_python(SETUP + EQUAL, tmp_path).splitlines()[-1])
    assert set(result["replicas"]) == {2}
    assert result["history"] < 1e-7
    assert result["weights"] < 1e-9
    assert result["apart"] == 0
    assert result["saved"] == pytest.approx(result["best"], rel=1e-6)


@pytest.mark.slow
def test_replicas_resume(run_python, tmp_path):
    result = json.loads(run_python(SETUP + RESUMED, tmp_path).splitlines()[-1])
    assert result == {"history": True, "apart": 0}


def test_a_batch_must_be_divisible():
    with mirrored_strategy(2).scope():
        model = tiny()
    with pytest.raises(ValueError, match=r"\(and parts to accumulate\)\. Received: step_size=7, replicas=2$"):
        strategy_scope(model, 7)
    with pytest.raises(ValueError, match="`accumulation` must be 1 with several replicas. Received: accumu"):
        strategy_scope(model, 8, accumulation=2)


def test_one_device_needs_no_strategy():
    model = tiny()
    with strategy_scope(model, 7):
        Recipe(1, 7, 0.1).compile(model, 7)
    assert model.compiled


@pytest.mark.parametrize(
    "replicas, text", [(None, "a number where there are no GPUs"), (0, "a positive integer")]
)
def test_mistakes_are_named(replicas, text):
    with pytest.raises(ValueError, match=f"`replicas` must be {text}. Received: replicas={replicas}"):
        mirrored_strategy(replicas)
