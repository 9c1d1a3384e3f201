import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "input.py"


@pytest.mark.slow
def test_throughput_is_measured(tmp_path):
    output = tmp_path / "input.json"
    trial = ("--images", "64", "--rounds", "1", "--batches", "1", "--size", "32", "--output", output)
    process = subprocess.run(
        [sys.executable, SCRIPT, *map(str, trial)], capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr[-4000:]
    rows = json.loads(output.read_text())["rows"]
    assert len(rows) == 6 and all(row["median"] > 0 and row["runs"] == 1 for row in rows.values())
    assert f"| training_transform | {rows['training_transform']['median']:,.0f} |" in process.stdout
    assert "of the processor went to something else" in process.stdout
