"""`keras-sknet train --coordinator`: mistakes, and two processes that are started at the same time."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import error_of, free_port

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = """
import functools, sys
import keras_sknet
from keras_sknet import Branch
from keras_sknet.cli import main
from keras_sknet.data import digits

digits.SPLITS.update({"train": (0, 16), "validation": (1300, 1307), "test": (1437, 1441)})
sizes = {"depths": (1, 1, 1), "widths": (4, 4, 4), "filters": (8, 8, 8), "stem_filters": 4}
branches = (Branch(3, groups=1), Branch(3, 2, groups=1))
keras_sknet.SKNetSmall = functools.partial(keras_sknet.SKNetSmall, **sizes, branches=branches)
sys.exit(main(["train", "--no-export", "--batch-size", "24", *sys.argv[1:]]))
"""
# Either the step fails, or JAX notices first and ends the process itself.
LOST = (
    "keras-sknet: error: The processes cannot go on together: one is gone",
    "Terminating process because the JAX distributed service detected fatal errors",
)


def launch(folder, *options):
    """Starts two processes with the same output folder; stdout and stderr of each go to files."""
    port = free_port()
    flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    environment = {
        **os.environ,
        **{"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)},
    }
    running = []
    for process in range(2):
        arguments = ["--coordinator", f"localhost:{port}", "--processes", "2", "--process", str(process)]
        with open(folder / f"{process}.out", "w") as out, open(folder / f"{process}.err", "w") as err:
            running.append(
                subprocess.Popen(
                    [sys.executable, "-u", "-c", LAUNCH, *arguments, "-o", str(folder / "run"), *options],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                )
            )
    return running


@pytest.mark.slow  # starts interpreters
def test_two_processes_share_a_folder_and_the_first_one_writes(tmp_path, require):
    require(importlib.util.find_spec("jax"), "JAX")
    running = launch(tmp_path, "--epochs", "2")
    codes = [process.wait(timeout=600) for process in running]
    assert codes == [0, 0], [(tmp_path / f"{i}.err").read_text()[-3000:] for i in (0, 1)]
    first, second = ((tmp_path / f"{i}.out").read_text() for i in (0, 1))
    assert "Epoch 2/2" in first and f"Written to {tmp_path / 'run'}: attention.png" in first
    assert "Epoch" not in second and "Written" not in second
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("attention.png", "classes.csv", "confusion.csv", "confusion.png", "curves.png", "evaluation.json"),
        *("history.csv", "metrics.json", "model.keras", "tensorboard"),
    }


@pytest.mark.slow  # starts interpreters
@pytest.mark.parametrize("victim", [0, 1])
def test_where_one_dies_the_other_ends_too(tmp_path, victim, require):
    require(importlib.util.find_spec("jax"), "JAX")
    running = launch(tmp_path, "--epochs", "1000")
    try:
        deadline = time.monotonic() + 600
        while "Epoch 1/" not in (tmp_path / "0.out").read_text():
            assert time.monotonic() < deadline and running[0].poll() is None
            time.sleep(0.2)
        running[victim].send_signal(signal.SIGKILL)
        assert running[1 - victim].wait(timeout=150) != 0
    finally:
        for process in running:
            process.kill()
            process.wait()
    told = (tmp_path / f"{1 - victim}.err").read_text()
    assert any(line in told for line in LOST), told[-3000:]
    assert list((tmp_path / "run" / "checkpoints").glob("step-*.state"))


ALL = ("--coordinator", "localhost:1234", "--processes", 2, "--process", 0)


@pytest.mark.parametrize(
    "options, message",
    [
        (ALL, "argument --coordinator: `coordinator` must be left out unless .*KERAS_BACKEND=jax"),
        (ALL[:2], "arguments --coordinator, --processes and --process: give all three or none"),
        (ALL[2:], "arguments --coordinator, --processes and --process: give all three or none"),
        ((*ALL, "--strategy", "mirrored"), "argument --strategy: not together with --coordinator"),
        ((*ALL, "--process", -1), "argument --process: must be a whole number, 0 or more, not '-1'"),
    ],
    ids=str,
)
def test_mistakes_are_one_line(options, message, tmp_path, capsys):
    code, error = error_of(capsys, "train", *options, "--output", tmp_path / "run")
    assert code == 2 and error.count("\n") == 1
    assert re.search(message, error), error
    assert not (tmp_path / "run").exists()


@pytest.mark.slow  # starts interpreters
def test_mistakes_on_jax_are_one_line(run_python, tmp_path, require):
    require(importlib.util.find_spec("jax"), "JAX")
    code = """
import sys
from keras_sknet.cli import main
for options in (
    ["localhost", "--processes", "2", "--process", "0"],
    ["localhost:1234", "--processes", "2", "--process", "2"],
    ["localhost:1234", "--processes", "2", "--process", "0", "--batch-size", "33"],
    ["localhost:1234", "--processes", "2", "--process", "0", "--batch-size", "34", "--accumulation", "2"],
):
    sys.stderr = sys.stdout
    print(main(["train", "--no-export", "-o", sys.argv[1], "--coordinator", *options]))
"""
    lines = run_python(code, tmp_path / "run", KERAS_BACKEND="jax", JAX_PLATFORMS="cpu").splitlines()
    error = "keras-sknet: error: argument --coordinator: "
    assert lines == [
        f"{error}`coordinator` must be 'HOST:PORT' of process 0. Received: coordinator='localhost'",
        "2",
        f"{error}`process` must be below `processes`. Received: process=2, processes=2",
        "2",
        f"{error}`batch_size` must be divisible by the processes (and parts to accumulate). "
        "Received: step_size=33, processes=2",
        "2",
        f"{error}`batch_size` must be divisible by the processes (and parts to accumulate). "
        "Received: step_size=17, processes=2",
        "2",
    ]
    assert not (tmp_path / "run").exists()
