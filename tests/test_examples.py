import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# A third of the digits, and two epochs of every recipe that is the script's own.
SHORT = """
import dataclasses, importlib, sys
from keras_sknet.data import digits
from keras_sknet.training import Recipe
digits.SPLITS.update(train=(0, 430), validation=(1300, 1345), test=(1437, 1557))
script = importlib.import_module(sys.argv.pop(1))
for name, value in vars(script).copy().items():
    if isinstance(value, Recipe):
        setattr(script, name, dataclasses.replace(value, epochs=2))
script.main()
"""

pytestmark = pytest.mark.slow


def run(script, output, *options):
    """What an example prints, and the names of what it writes."""
    process = subprocess.run(
        [sys.executable, "-c", SHORT, script, "--epochs", "1", *options, "--output", output],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "examples")])},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout, {path.name for path in output.iterdir()}


def test_a_network_of_ones_own(tmp_path):
    printed, files = run("own_network", tmp_path / "out")
    assert "Held-out digits: " in printed
    assert files == {"model.keras", "model.tflite"}


def test_transfer_compares(tmp_path):
    printed, files = run("transfer", tmp_path / "out", "--seeds", "1")
    assert re.search(r"^seed 0: transfer \d+\.\d%, scratch \d+\.\d%$", printed, re.M)
    assert files == {"base-0", "transfer-0", "scratch-0"}


def test_ablation_compares_kernels(tmp_path):
    _, files = run("ablate_kernels", tmp_path / "out", "--table", "7", "--settings", "K3", "K3+K5, SK")
    assert files == {"ablation.csv", "ablation.png", "runs"}
    rows = list(csv.DictReader((tmp_path / "out" / "ablation.csv").read_text().splitlines()))
    assert [row["setting"] for row in rows] == ["K3", "K3+K5, SK"]
    assert int(rows[0]["parameters"]) < int(rows[1]["parameters"])
    assert all(0 < float(row[scale]) < 1 for row in rows for scale in ("all", "1.0", "1.5", "2.0"))
