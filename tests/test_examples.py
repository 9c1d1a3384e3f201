import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


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
