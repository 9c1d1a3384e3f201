import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.slow


def run(script, output, *options):
    """What an example prints, and the names of what it writes."""
    process = subprocess.run(
        [sys.executable, ROOT / "examples" / script, "--epochs", "1", *options, "--output", output],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout, {path.name for path in output.iterdir()}


def test_a_network_of_ones_own(tmp_path):
    printed, files = run("own_network.py", tmp_path / "out")
    assert "Held-out digits: " in printed
    assert files == {"model.keras", "model.tflite"}


def test_transfer_compares(tmp_path):
    printed, files = run("transfer.py", tmp_path / "out", "--seeds", "1")
    assert re.search(r"^seed 0: transfer \d+\.\d%, scratch \d+\.\d%$", printed, re.M)
    assert files == {"base-0", "transfer-0", "scratch-0"}


def test_ablation_compares_kernels(tmp_path):
    _, files = run("ablate_kernels.py", tmp_path / "out", "--table", "7", "--settings", "K3", "K3+K5, SK")
    assert files == {"ablation.csv", "ablation.png", "runs"}
    rows = list(csv.DictReader((tmp_path / "out" / "ablation.csv").read_text().splitlines()))
    assert [row["setting"] for row in rows] == ["K3", "K3+K5, SK"]
    assert int(rows[0]["parameters"]) < int(rows[1]["parameters"])
    assert all(0 < float(row[scale]) < 1 for row in rows for scale in ("all", "1.0", "1.5", "2.0"))
