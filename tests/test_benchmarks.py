import json
import os
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from checks import images, randomize, relative_difference
from nets import tiny

pytestmark = pytest.mark.slow  # each builds networks in several processes

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
SERVING = f"""
import sys, time
sys.path.insert(0, {str(BENCHMARKS)!r})
from worker import repeated, serve
print("before the first command")

def echo(**options):
    print("a library talks")
    return options

def fail():
    raise ValueError("no such\\nthing")

def leave():
    sys.exit("gone for good")

serve({{"echo": echo, "fail": fail, "leave": leave, "sleep": lambda: repeated(lambda: time.sleep(0.01))}})
"""


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    """The scripts' modules can be imported."""
    monkeypatch.syspath_prepend(BENCHMARKS)


def run(script, *arguments):
    process = subprocess.run(
        [sys.executable, BENCHMARKS / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, f"{process.stdout[-2000:]}\n{process.stderr[-4000:]}"
    return process.stdout


def read(path):
    """JSON as the standard has it, without NaN."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_speed_writes_what_it_measured(tmp_path):
    wanted = ("train/sknet50", "train/resnext50", "infer-1/litert-sknet50")
    output = tmp_path / "speed.json"
    trial = ("--small", "--size", 32, "--rounds", 1, "--turn", 1e-6, "--output", output)
    printed = run("speed.py", *trial, "--only", *wanted, "infer-1/timm-*")

    result = read(output)
    assert set(result["rows"]) == {*wanted, "infer-1/timm-sknet50", "infer-1/timm-resnext50"}
    for name in wanted:
        row = result["rows"][name]
        assert row["runs"] == len(row["seconds"]) == 1 and row["median_ms"] > 0
        assert f"| {name} | {row['median_ms']:,.1f} |" in printed
    assert result["rows"]["train/sknet50"]["training_mb"] > 0
    assert result["rows"]["infer-1/timm-sknet50"] == {"note": "no interpreter has what peer needs"}
    (ratio,) = result["ratios"]
    assert (ratio["row"], ratio["against"]) == ("train/sknet50", "train/resnext50")
    assert result["machine"]["cores"] >= 1 and result["machine"]["versions"]["ours"]["keras"]
    assert 0 <= result["machine"]["share_of_others"] <= 1
    assert "startup" not in result


def test_speed_measures_how_it_starts_up(tmp_path):
    output = tmp_path / "speed.json"
    printed = run("speed.py", "--small", "--size", 32, "--rounds", 1, "--only", "startup", "--output", output)
    result = read(output)
    assert result["rows"] == {}
    assert [ratio["of"] for ratio in result["ratios"]] == ["import, s", "build", "first step"]
    assert "| ResNet50 |" in printed


def test_speed_refuses_a_row_that_does_not_exist():
    process = subprocess.run(
        [sys.executable, BENCHMARKS / "speed.py", "--only", "train/sknet5"], capture_output=True, text=True
    )
    assert process.returncode == 2
    assert "no such row: train/sknet5. There are train/sknet50, " in process.stderr


def test_growth_writes_points_and_a_figure(tmp_path):
    run("growth.py", "--small", "--runs", 1, "--sweeps", "size", "--output", tmp_path / "growth.json")
    result = read(tmp_path / "growth.json")
    small, large = result["points"]
    assert (small["size"], large["size"]) == (32, 64)
    assert 3 < large["multiply_adds"] / small["multiply_adds"] < 5
    for point in small, large:
        assert set(point["infer"]) == {"keras_sknet", "Keras' convolutions"}
        assert set(point["train"]) == {"keras_sknet"}
        assert all(median > 0 for median in [*point["infer"].values(), *point["train"].values()])
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_exports_measures_every_format(tmp_path):
    output = tmp_path / "exports.json"
    trial = ("--small", "--size", 32, "--rounds", 1, "--turn", 1e-6, "--output", output)
    printed = run("exports.py", *trial)
    result = read(output)["networks"]
    assert set(result) == {"sknet50", "resnext50"}
    for network in result.values():
        exact = {name for name, row in network.items() if row["difference"] < 1e-4}
        assert exact == {"saved_model", "openvino", "model.onnx", "float32.tflite"}
        assert network["float16.tflite"]["bytes"] < 0.7 * network["float32.tflite"]["bytes"]
        for row in network.values():
            assert row["median_ms"] > 0
            assert f"| {row['bytes'] / 1e6:.1f} | {row['median_ms']:.1f} |" in printed


def test_accelerator_measures_what_jax_has(tmp_path):
    output, profiles = tmp_path / "accelerator.json", tmp_path / "profiles"
    trial = ("--small", "--size", 32, "--batch", 2, "--runs", 1, "--dtype", "float32")
    printed = run("accelerator.py", *trial, "--profile", profiles, "--output", output)
    machine, rows = read(output).values()
    assert machine["jax_device"]["platform"] == "cpu" and machine["versions"]["ours"]["jax"]
    assert "Keras on JAX computed on: cpu (cpu)" in printed
    assert [(row["job"], row["dtype"], row["batch"]) for row in rows] == [
        ("train", "float32", 2),
        ("infer", "float32", 2),
    ]
    for row in rows:
        assert row["keras"]["images_per_second"] == pytest.approx(2 / row["keras"]["seconds"])
        assert any(profiles.joinpath(f"{row['job']}-float32-2").rglob("*.xplane.pb"))
        assert f"| {row['job']} | float32 | 2 | {row['keras']['images_per_second']:,.1f} |" in printed


def test_peer_measures_timm(require):
    python = os.environ.get("PEER_PYTHON")
    require(python, "PEER_PYTHON, the path of an interpreter with torch and timm")
    from worker import Worker

    with Worker("peer.py", python) as worker:
        for make in ("train", "infer"):
            for options in ({}, {"kernels": 3, "depths": [1, 1, 1, 1], "dtype": "bfloat16"}):
                worker.ask(make=make, network_name="sknet50", batch=2, size=32, small=True, **options)
                answer = worker.ask(run=2)
                assert len(answer["seconds"]) == 2 and answer["peak_mb"] > 100


def test_frozen_model_computes_the_same():
    import tensorflow as tf
    from jobs import frozen

    model = tiny(classifier_activation=None)
    randomize(model)
    x = tf.constant(images(2, (32, 32, 3)))
    function = frozen(model).get_concrete_function(x)
    assert not function.captured_inputs  # of weights
    assert relative_difference(function(x), model(x, training=False)) < 1e-5


def test_kernels_of_a_network_are_the_first_ones():
    from jobs import network

    from keras_sknet import K3, K5, K7, Branch

    def branches(**options):
        return network("sknet50", 32, small=True, **options).get_layer("sk_2_1").get_config()["branches"]

    assert [Branch(*branch) for branch in branches(kernels=4)] == [K3, K5, K7, Branch(3, 4)]
    assert branches(kernels=2) == branches()


def test_worker_answers_beside_what_libraries_print(tmp_path):
    from worker import Worker, WorkerError

    script = tmp_path / "serving.py"
    script.write_text(SERVING)
    with Worker(script) as worker:
        assert worker.ask(make="echo", a=[1, "é"]) == {"a": [1, "é"]}
        with pytest.raises(WorkerError, match="^ValueError: no such thing$"):
            worker.ask(make="fail")
        worker.ask(make="sleep")
        seconds = worker.ask(run=3)["seconds"]
        assert len(seconds) == 3 and min(seconds) >= 0.01
        assert worker.ask(release=True) == {}
        with pytest.raises(WorkerError, match="TypeError"):
            worker.ask(run=1)
        with pytest.raises(WorkerError, match="^the process ended: .*gone for good$"):
            worker.ask(make="leave")


def test_worker_that_takes_too_long_is_given_up(tmp_path):
    from worker import Worker, WorkerError

    script = tmp_path / "serving.py"
    script.write_text(SERVING)
    with Worker(script) as worker:
        worker.ask(make="sleep")
        start = time.monotonic()
        with pytest.raises(WorkerError, match="not finished after 1 s"):
            worker.ask(timeout=1, run=100_000)
        assert time.monotonic() - start < 60


def test_interpreter_that_is_missing_is_an_error():
    from worker import Worker, WorkerError

    with pytest.raises(WorkerError, match="/nowhere/python does not start"):
        Worker("jobs.py", "/nowhere/python")


def test_ratios_name_rows_that_exist():
    from rows import MEMORY, TIMES, rows

    names = {row.id for row in rows("files", compiled=True, plain_training=True)}
    mentioned = {name for row, against, _ in (*TIMES, *MEMORY) for name in (row, against)}
    assert mentioned <= names
    assert {name for name in names if "compiled" in name or name.startswith("train")} <= mentioned | {
        "infer-1/timm-resnext50-compiled"
    }


def test_summary_and_ratios():
    from report import ratios, summary

    assert summary([0.004, 0.001, 0.002, 0.003, 0.005]) == {
        "median_ms": 3.0,
        "quartiles_ms": [2.0, 4.0],
        "runs": 5,
    }
    assert summary([0.5])["quartiles_ms"] == [500.0, 500.0]
    measured = {
        "train/sknet50": {"median_ms": 70.0, "training_mb": 300.0},
        "train/timm-sknet50": {"median_ms": 100.0, "training_mb": 200.0},
        "train/resnext50": {"note": "left out"},
    }
    time_ratio, memory_ratio = ratios(measured)
    assert (time_ratio["ratio"], time_ratio["target"], time_ratio["reached"]) == (0.7, 0.72, True)
    assert (memory_ratio["of"], memory_ratio["ratio"], memory_ratio["reached"]) == ("memory", 1.5, False)
    assert np.isclose(memory_ratio["target"], 1.0)


def test_operations_add_up():
    printed = run("operations.py", "--small", "--size", 32, "--batch", 2, "--runs", 2, "--slowest", 2)
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("| ")]
    milliseconds = {row[0]: float(row[1]) for row in rows[1:]}
    total = milliseconds.pop("all")
    assert total == pytest.approx(sum(milliseconds.values()), abs=0.06 * len(milliseconds))
    assert any("Conv2DBackpropFilter" in kind for kind in milliseconds)
    assert len([line for line in printed.splitlines() if " ms  " in line]) == 2


def test_a_mended_model_computes_the_same_and_can_be_exported(tmp_path):
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3, groups=4)(x))
    keras.Model(inputs, keras.layers.Dense(5, "softmax")(x)).save(tmp_path / "plain.keras")
    output = tmp_path / "mend.json"
    few = ("--runs", 2, "--plain-runs", 1, "--batch", 2)
    printed = run("mend.py", "--model", tmp_path / "plain.keras", *few, "--output", output)

    result = read(output)
    assert result["grouped convolutions"] == 1 and result["largest difference of outputs"] < 1e-5
    assert "parts that XLA must compile" in result["export"]["plain"]
    assert result["export"]["replaced"] == "written"
    assert [len(result["seconds"][name]) for name in ("replaced", "plain")] == [2, 1]
    assert result["ratio"] == pytest.approx(
        result["seconds"]["plain"][0] / np.median(result["seconds"]["replaced"])
    )
    assert f"ratio {result['ratio']:.1f}" in printed
