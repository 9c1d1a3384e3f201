"""`model.fit` under MirroredStrategy on two logical CPUs, in fresh processes with a strategy each."""

import json

import pytest

pytestmark = pytest.mark.slow  # a minute and a half

SETUP = """
import json, sys
import keras, numpy as np, tensorflow as tf
from nets import tiny

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
images = np.random.default_rng(0).uniform(0, 255, (80, 32, 32, 3))
labels = np.random.default_rng(1).integers(0, 5, 80)


def trained(strategy, size, batch, epochs):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = tiny()
        model.compile(keras.optimizers.SGD(0.05, 0.9), "sparse_categorical_crossentropy")
    data = tf.data.Dataset.from_tensor_slices((images[:size], labels[:size])).batch(batch)
    losses = []
    log = keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: losses.append(logs["loss"]))
    model.fit(data, epochs=epochs, verbose=0, shuffle=False, callbacks=[log])
    return model, losses


def replicas(strategy, model):
    return [
        [strategy.experimental_local_results(w.value)[i].numpy() for w in model.weights] for i in range(2)
    ]
"""

EQUAL = """
keras.config.set_floatx("float64")
keras.config.set_dtype_policy("float64")
one, losses = trained(tf.distribute.get_strategy(), 80, 8, 1)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
two, mirrored_losses = trained(strategy, 80, 8, 1)
keras.utils.set_random_seed(0)
start = tiny()
expected = one.get_weights()
difference = max(
    np.abs(a - b).max() / max(np.abs(a).max(), 1)
    for replica in replicas(strategy, two)
    for a, b in zip(expected, replica)
)
print(json.dumps({
    "steps": len(losses),
    "losses": float(np.abs(np.subtract(losses, mirrored_losses)).max()),
    "weights": float(difference),
    "moved": float(max(np.abs(a - b).max() for a, b in zip(expected, start.get_weights()))),
}))
"""

RAGGED = """
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
results = []
for size in (11, 9):  # the last batch is cut into two and one, then into one and none
    model, losses = trained(strategy, size, 4, 2)
    first, second = replicas(strategy, model)
    loss = model.evaluate(
        tf.data.Dataset.from_tensor_slices((images[:size], labels[:size])).batch(4), verbose=0
    )
    results.append({
        "apart": float(max(np.abs(a - b).max() for a, b in zip(first, second))),
        "finite": all(np.isfinite(a).all() for a in first) and bool(np.isfinite(loss)),
        "steps": len(losses),
    })
print(json.dumps(results))
"""


def test_two_replicas_equal_one_device_for_ten_steps(run_python):
    result = json.loads(run_python(SETUP + EQUAL).splitlines()[-1])
    assert result["steps"] == 10
    assert result["losses"] < 1e-9 and result["weights"] < 1e-9
    assert result["moved"] > 1e-2


def test_ragged_last_batch_and_an_empty_share_leave_replicas_identical(run_python):
    results = json.loads(run_python(SETUP + RAGGED, PYTHONWARNINGS="ignore").splitlines()[-1])
    assert results == [{"apart": 0.0, "finite": True, "steps": 6}] * 2
