"""The statistics and tables of benchmarks/evidence.py on made-up attention, and the script itself."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import keras_sknet
from keras_sknet.analysis import ScaleResponse
from keras_sknet.data import Digits

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"
UNITS = ("sk_2_1", "sk_3_1", "sk_3_2", "sk_4_1")


@pytest.fixture
def runs(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import evidence_runs

    return evidence_runs


@pytest.fixture
def tables(runs):
    import evidence_tables

    return evidence_tables


def made_up(changes, noise=0.01, digits=200):
    """A response in which a(largest) - a(smallest) rises by so much from 1.0 to 2.0, on average, by unit."""
    random = np.random.default_rng(0)
    attention = {}
    for unit, change in zip(UNITS, changes, strict=True):
        # The offset of a digit is large and the same at every scale: pairs tell the change all the same.
        offset = random.normal(-0.3, 0.2, (digits, 1))
        difference = offset + np.array([0, 0.5, 1]) * change + noise * random.standard_normal((digits, 3))
        attention[unit] = np.stack([(1 - difference) / 2, (1 + difference) / 2], axis=-1)
    return ScaleResponse((1.0, 1.5, 2.0), {unit: (3, 5) for unit in UNITS}, attention)


def test_effects_are_the_changes_within_their_intervals(tables):
    changes = (0.04, 0.02, 0.01, -0.03)
    for (unit, (change, low, high)), true in zip(
        tables.effects(made_up(changes)).items(), changes, strict=True
    ):
        assert change == pytest.approx(true, abs=0.003), unit
        # sqrt(2) of noise over 200 digits: 1.96 * 0.001
        assert high - low == pytest.approx(2 * 1.96 * 0.001, rel=0.2)
        assert low < change < high


def test_a_stage_is_the_mean_of_its_units(tables):
    found = tables.stage_changes(made_up((0.04, 0.02, -0.06, 0), noise=0))
    assert {stage: values.mean().round(6) for stage, values in found.items()} == {2: 0.04, 3: -0.02, 4: 0}


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ((0.04, 0.02, 0.01, 0.0), [1, 2, 3]),  # as in the paper
        ((0.04, 0.02, 0.01, -0.03), [1, 2, 3]),  # falling is no rise
        ((0.04, 0.02, 0.01, 0.01), [1, 2]),  # not gone
        ((0.02, 0.04, 0.04, 0.0), [1, 3]),  # more in the middle
        ((0.04, -0.02, -0.02, 0.0), [1, 3]),  # falls in the middle, which is no smaller rise
        ((-0.02, -0.04, -0.04, 0.02), []),  # the reverse
        ((0.0, 0.0, 0.0, 0.0), [3]),  # attention that is stuck
    ],
)
def test_hypotheses_hold_where_they_should(tables, changes, holds):
    response = made_up(changes)
    # Noise of no bias: a change of 0 is 0 exactly, on average.
    for unit, change in zip(UNITS, changes, strict=True):
        a = response.attention[unit]
        a -= (a[:, -1:] - a[:, :1]).mean(axis=0) * np.array([0, 0.5, 1])[:, None]
        a += np.array([0, 0.5, 1])[:, None] * np.array([-change / 2, change / 2])
    found = tables.hypotheses(response)
    assert found["holds"] == holds
    middle = (changes[1] + changes[2]) / 2
    expected = {
        "low": changes[0],
        "middle": middle,
        "low \N{MINUS SIGN} middle": changes[0] - middle,
        "last": changes[3],
    }
    for name, value in expected.items():
        mean, low, high = found["numbers"][name]
        assert mean == pytest.approx(value, abs=1e-6) and low <= mean <= high


def test_tables_hold_means_deviations_and_minus_signs(tables):
    found = {
        ("SKNet", seed, "drawn"): {"sk_2_1": (value, -0.25, 0.5)} for seed, value in enumerate((0.1, 0.3))
    }
    assert tables.effect_table(found, "SKNet", "drawn").splitlines() == [
        "| unit | seed 0 | seed 1 | mean ± sd |",
        "| --- | --- | --- | --- |",
        "| sk_2_1 | +0.100 [−0.250, +0.500] | +0.300 [−0.250, +0.500] | +0.200 ± 0.141 |",
    ]
    assert tables.control_table(found, "drawn").splitlines()[2:] == ["| SKNet | +0.200 ± 0.141 |"]
    results = [
        {
            "setting": "SENet",
            "parameters": 1234,
            "multiply_adds": 2500000,
            "accuracy": {"all": a, "1.0": a / 2},
        }
        for a in (0.8, 0.9)
    ]
    assert tables.accuracy_table(results, ("SKNet", "SENet")).splitlines() == [
        "| network | seeds | parameters | multiply-adds | all | 1.0× |",
        "| --- | --- | --- | --- | --- | --- |",
        "| SENet | 2 | 1,234 | 2.50 M | 85.0 % ± 7.1 % | 42.5 % ± 3.5 % |",
    ]


def test_rivals_are_of_one_size(runs):
    sizes = {name: keras_sknet.complexity(runs.NETWORKS[name]()) for name in ("SKNet", "SENet", "ResNeXt")}
    for count in ("trainable_parameters", "parameters", "multiply_adds_with_select"):
        values = {name: getattr(size, count) for name, size in sizes.items()}
        assert all(abs(value / values["SKNet"] - 1) < 0.01 for value in values.values()), (count, values)


def test_centred_digits_change_in_size_alone(runs):
    digits = runs.CentredDigits("test")
    images = [digits.render(3 + scale).astype("float32") for scale in range(3)]
    for image, size in zip(images, (12, 18, 24), strict=True):
        margin = (32 - size) // 2
        digit = image[margin:-margin, margin:-margin]
        assert digit.max() > image[:margin].max() + 50, "the digit is in the middle"
        assert np.array_equal(image[:4], images[0][:4]), "ground and noise are those of the smallest"
    assert not np.array_equal(digits.render(0)[:4], digits.render(3)[:4])
    others = Digits("test")
    assert len(digits) == len(others) and np.array_equal(digits.element_scales, others.element_scales)


def test_crops_of_centred_digits_are_as_large_as_those_that_were_drawn(runs):
    drawn = runs.by_digit(runs.CentredDigits("test"), 3)
    assert drawn.shape == (3, 3, 32, 32, 3)
    crops = runs.enlarged(drawn)
    np.testing.assert_array_equal(crops[:, 0], drawn[:, 0])
    for scale in (1, 2):
        # Noise is what differs. In one canvas and another of the same digit ink lies at the same places.
        alike = np.corrcoef(crops[:, scale].ravel(), drawn[:, scale].ravel())[0, 1]
        assert alike > 0.9 > np.corrcoef(crops[:, scale].ravel(), drawn[:, 0].ravel())[0, 1]


def test_projections_start_larger_from_the_same_numbers(runs):
    plain, larger = (runs.build(runs.SETTINGS[name], 1) for name in ("SKNet", "projection ×10"))
    for unit, other in zip(runs.selecting_units(plain), runs.selecting_units(larger), strict=True):
        np.testing.assert_allclose(10 * unit.projection.kernel, other.projection.kernel, rtol=1e-6)
    assert len(runs.selecting_units(plain)) == 5


def run(*options):
    return subprocess.run(
        [sys.executable, BENCHMARKS / "evidence.py", *map(str, options)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_script_runs_and_repeats_nothing(tmp_path):
    options = ("--seeds", 1, "--epochs", 1, "--digits", 22, "-o", tmp_path, "--settings")
    process = run(*options, "ResNeXt", "SKNet")
    assert process.returncode == 0, process.stderr[-3000:]
    assert re.search(r"^SKNet, seed 0: \d+\.\d%$", process.stdout, re.M)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/result.json")}
    assert len(kept) == 2

    process = run(*options, "SKNet", "random")
    assert process.returncode == 0, process.stderr[-3000:]
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    made = {path.name for path in tmp_path.iterdir()}
    figures = {"attention-by-scale.png", "accuracy-by-scale.png"}
    assert made == {"runs", "results.json", "tables.md", "accuracy.csv", "response.csv", *figures}
    summary = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [run["setting"] for run in summary["runs"]] == ["SKNet", "random", "ResNeXt"]
    assert len(summary["effects"]) == len(summary["hypotheses"]) == 2 * 4
    ways = summary["runs"][0]["accuracy_by_way"]
    assert ways["cropped"]["1.0"] == ways["drawn"]["1.0"] == summary["runs"][0]["accuracy"]["1.0"]
    # Four ways of enlarging, five units, three scales.
    assert len((tmp_path / "response.csv").read_text().splitlines()) == 1 + 2 * 4 * 5 * 3
    assert "| ResNeXt | 1 | 161,684 | 16.28 M |" in (tmp_path / "tables.md").read_text(encoding="utf-8")

    process = run(*options[:2], "--epochs", 2, *options[4:], "SKNet")
    assert process.returncode == 1 and "is of other options" in process.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--settings", "nonsense"), "--settings: no ['nonsense']; there are ['SKNet', "),
        (("--seeds", "0"), "--seeds: must be 1 or more. Received: 0"),
        (("--digits", "-3"), "--digits: must be 1 or more. Received: -3"),
    ],
)
def test_bad_options_are_one_line(tables, tmp_path, capsys, options, message):
    import evidence

    with pytest.raises(SystemExit) as stopped:
        evidence.main([*options, "-o", str(tmp_path / "new")])
    assert stopped.value.code == 2 and message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "new").exists()
