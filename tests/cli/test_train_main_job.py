import json
import os
import shutil
import subprocess
import sysconfig

import pytest

from train_runs import ROOT


@pytest.mark.slow
def test_the_main_job_reaches_95_percent(tmp_path):
    installed = shutil.which("keras-sknet", path=sysconfig.get_path("scripts"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        [installed, "train", "--no-export"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr[-3000:]
    metrics = json.loads((tmp_path / "sknet-run" / "metrics.json").read_text())
    assert metrics["accuracy"] >= 0.95
    assert min(metrics["accuracy_by_scale"].values()) >= 0.9
    assert (tmp_path / "sknet-run" / "model.keras").is_file()
