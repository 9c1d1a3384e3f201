"""Training in two processes of this machine, on JAX: it ends as one process with the whole batch does."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from commands import free_port
from keras_sknet.training.averages import OwnWeights
from keras_sknet.training.distribution import Process, join, leave, this_process

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import hashlib, json, os, signal, sys
from pathlib import Path

folder, output, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
port, processes, process, killed_at = map(int, sys.argv[4:])
written = []

def audit(event, arguments):
    # Whatever changes the folder: a file opened to be written, made, moved or removed.
    path = arguments[0] if arguments and isinstance(arguments[0], (str, Path)) else None
    changes = event.startswith(("os.", "shutil.", "tempfile.")) and event not in ("os.listdir", "os.scandir")
    if path and output in (Path(path), *Path(path).parents):
        if changes or (event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")):
            written.append(str(path))

sys.addaudithook(audit)

import jax, keras, numpy as np
from keras_sknet.data import Digits, digits
from keras_sknet.training import Recipe, fit
from keras_sknet.training.distribution import join, leave, this_process
from keras_sknet import Branch, SKNetSmall

digits.SPLITS.update({"train": (0, 16), "validation": (1300, 1307)})  # 48 images, and 21: a last batch of 5
keras.utils.set_random_seed(0)
if processes > 1:
    join(f"localhost:{port}", processes, process)
    assert this_process().shard == (process, processes)

seen = set()
whole = jax.make_array_from_process_local_data

def watched(sharding, local, *rest):
    # What Keras makes of the part that this process has read.
    array = whole(sharding, local, *rest)
    (shard,) = array.addressable_shards
    assert np.array_equal(shard.data, local)
    seen.add((local.shape[0], array.shape[0], shard.index[0].start or 0))
    return array

jax.make_array_from_process_local_data = watched

class Kill(keras.callbacks.Callback):
    steps = 0
    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

sizes = {"depths": (1, 1, 1), "widths": (4, 4, 4), "filters": (8, 8, 8), "stem_filters": 4}
model = SKNetSmall(**sizes, branches=(Branch(3, groups=1), Branch(3, 2, groups=1)))
recipe = Recipe(2, 16, 0.02, weight_decay=1e-3, average=0.9, accumulation=2)
history, best = fit(
    model, Digits("train"), Digits("validation"), recipe, output, callbacks=[Kill()], checkpoint_seconds=0
)
values = [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]
leave()
assert this_process().is_alone and keras.distribution.distribution() is None
np.savez(folder / name, *values)
digest = hashlib.sha256(b"".join(value.tobytes() for value in values)).hexdigest()
images, _ = Digits("validation").arrays()
scores = keras.models.load_model(output / "model.keras").predict(images[:4], verbose=0)
print(json.dumps({
    "digest": digest, "history": history, "best": best, "seen": sorted(seen), "written": written,
    "scores": float(np.abs(scores).sum()),
}))
"""


def run(folder, name, processes, killed_at=0, output=None):
    """Trains in so many processes; returns the exit code of each and what it printed at its end."""
    output = folder / (output or name)
    output.mkdir(exist_ok=True)
    port = free_port()
    # Compiled in half the time, to slower code.
    flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    environment = {
        **os.environ,
        **{"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
    }
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT]
            + [*map(str, (folder, output, f"{name}-{process}", port, processes, process, killed_at))],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(processes)
    ]
    try:
        printed = [process.communicate(timeout=600) for process in running]
    finally:
        for process in running:
            process.kill()
    codes = {process.returncode for process in running}
    assert codes <= {0, -signal.SIGKILL}, [err[-3000:] for _, err in printed]
    return codes, [json.loads(out.splitlines()[-1]) if codes == {0} else out for out, _ in printed]


def relative(folder, name, other):
    with np.load(folder / f"{name}.npz") as one, np.load(folder / f"{other}.npz") as two:
        return max(
            float(np.abs(one[key].astype("float64") - two[key]).max() / max(np.abs(one[key]).max(), 1))
            for key in one.files
        )


@pytest.mark.slow  # trains in seven processes
def test_two_processes_train_as_one_and_resume(tmp_path, require):
    require(importlib.util.find_spec("jax"), "JAX")
    _, (one,) = run(tmp_path, "one", 1)
    _, two = run(tmp_path, "two", 2)
    # Each holds half of every batch of eight, in training and in validation.
    assert one["seen"] == []
    assert [result["seen"] for result in two] == [[[4, 8, 0]], [[4, 8, 4]]]
    assert two[0]["digest"] == two[1]["digest"]
    assert two[0]["history"] == two[1]["history"] and two[0]["best"] == two[1]["best"] == one["best"]
    assert relative(tmp_path, "one-0", "two-0") < 1e-5
    for logs, expected in zip(two[0]["history"], one["history"], strict=True):
        assert logs == pytest.approx(expected, rel=1e-5)
    assert two[0]["scores"] == two[1]["scores"] == pytest.approx(4, rel=1e-5)  # four softmaxes
    # Only the first one writes.
    assert two[0]["written"] and two[1]["written"] == []
    logs = (tmp_path / "two" / "tensorboard").rglob("events.*")
    assert len({path.name.split(".")[-3] for path in logs}) == 1  # the number of the process that wrote it

    # Six steps an epoch: killed in the second one.
    codes, printed = run(tmp_path, "killed", 2, killed_at=8)
    assert codes == {-signal.SIGKILL} and not (tmp_path / "killed-0.npz").exists(), printed
    assert sorted(os.listdir(tmp_path / "killed" / "checkpoints"))[-1] == "step-0000000008.state"
    _, resumed = run(tmp_path, "resumed", 2, output="killed")
    assert [result["digest"] for result in resumed] == [two[0]["digest"]] * 2
    assert resumed[0]["history"] == two[0]["history"]


@pytest.mark.slow  # starts interpreters
def test_processes_that_differ_are_told(tmp_path, require):
    require(importlib.util.find_spec("jax"), "JAX")
    code = """
import sys
import keras
from keras_sknet.training.distribution import Process, join
process = int(sys.argv[2])
this = join(f"localhost:{sys.argv[1]}", 2, process)
this.require_same(seed=3, steps=[1, 2])
try:
    this.require_same(seed=process, steps=[1, 2])
except ValueError as error:
    print(error)
import tensorflow as tf
stream = tf.data.Dataset.zip((tf.data.Dataset.range(32), tf.data.Dataset.range(32)))
for size, drop in ((4, True), (8, True), (4, False)):
    try:
        this.checked(stream.batch(size, drop_remainder=drop), 8)
        print("right")
    except ValueError as error:
        print(error)
keras.distribution.distribution().auto_shard_dataset = True
try:
    this.checked(stream.batch(4, drop_remainder=True), 8)
except ValueError as error:
    print(error)
"""
    port = free_port()
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(port), str(process)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(2)
    ]
    for process, (out, err) in enumerate([each.communicate(timeout=600) for each in running]):
        lines = [line for line in out.splitlines() if not line.startswith("[Gloo]")]
        assert len(lines) == 5, err[-3000:]
        assert lines[0] == (
            "`process` must be started with the same command, data and `--output` as the others. "
            f"Received: process={process}, seed={process}"
        )
        wrong = "`stream` must be of batches of 4, the part of this process. Received: sizes={%s}, "
        wrong += "step_size=8, processes=2"
        assert lines[1:4] == ["right", wrong % 8, wrong % None]
        assert lines[4].startswith("`distribution` must be made with `auto_shard_dataset=False`")


def test_a_process_that_joined_no_other_is_alone():
    this = this_process()
    assert this.is_first and this.is_alone and this.shard == (0, 1) and this.part(7) == 7
    stream = object()
    assert this.checked(stream, 7) is stream
    this.require_same(step=3)
    this.wait()
    leave()


def test_each_process_gets_its_part():
    assert [Process(process, 2).part(16) for process in (0, 1)] == [8, 8]
    assert [Process(process, 3).is_first for process in range(3)] == [True, False, False]
    with pytest.raises(ValueError, match="divisible by the processes .* Received: step_size=9, processes=2"):
        Process(1, 2).part(9)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((2, 2), "`process` must be below `processes`. Received: process=2, processes=2"),
        ((-1, 2), "`process` must be an integer of 0 or more"),
        ((0, 0), "`processes` must be a positive integer"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Process(*arguments)


def test_another_backend_is_refused():
    assert keras.backend.backend() == "tensorflow"
    with pytest.raises(ValueError, match="`coordinator` must be left out .*KERAS_BACKEND=jax"):
        join("localhost:1234", 2, 0)


def test_fit_leaves_the_own_weights():
    x = np.random.default_rng(0).normal(size=(8, 2))

    def trained(*callbacks):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.1, use_ema=bool(callbacks), ema_momentum=0.9), "mse")
        model.fit(x, x[:, :1], epochs=3, shuffle=False, verbose=0, callbacks=list(callbacks))
        return model.get_weights()

    for own, averaged in zip(trained(), trained(OwnWeights()), strict=True):
        np.testing.assert_array_equal(own, averaged)
