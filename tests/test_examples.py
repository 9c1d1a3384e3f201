import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_transfer_compares(tmp_path):
    options = ["--epochs", "1", "--seeds", "1", "--output", tmp_path / "out"]
    process = subprocess.run(
        [sys.executable, ROOT / "examples" / "transfer.py", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert re.search(r"^seed 0: transfer \d+\.\d%, scratch \d+\.\d%$", process.stdout, re.M)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"base-0", "transfer-0", "scratch-0"}


@pytest.mark.slow
def test_ablation_compares_kernels(tmp_path):
    options = ["--table", "7", "--settings", "K3", "K3+K5, SK", "--epochs", "1", "--output", tmp_path / "out"]
    process = subprocess.run(
        [sys.executable, ROOT / "examples" / "ablate_kernels.py", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    rows = list(csv.DictReader((tmp_path / "out" / "ablation.csv").read_text().splitlines()))
    assert [row["setting"] for row in rows] == ["K3", "K3+K5, SK"]
    assert int(rows[0]["parameters"]) < int(rows[1]["parameters"])
    assert all(0 < float(row[scale]) < 1 for row in rows for scale in ("all", "1.0", "1.5", "2.0"))
    assert (tmp_path / "out" / "ablation.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("script, files", [("own_network.py", {"model.keras", "model.tflite"})])
def test_runs_and_writes_what_it_says(script, files, tmp_path):
    process = subprocess.run(
        [sys.executable, ROOT / "examples" / script, "--epochs", "1", "--output", tmp_path / "out"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert {path.name for path in (tmp_path / "out").iterdir()} == files
    assert "Held-out digits: " in process.stdout
