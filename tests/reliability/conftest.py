import os
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "faults"


@pytest.fixture
def faults(monkeypatch):
    """The modules of `benchmarks/faults` can be imported."""
    monkeypatch.syspath_prepend(FAULTS.parent)
    monkeypatch.syspath_prepend(FAULTS)


@pytest.fixture(scope="session")
def run_faults():
    """`run_faults(script, *arguments)`: exit code of a script of `benchmarks/faults`, and what it prints."""

    def run_faults(script, *arguments):
        process = subprocess.run(
            [sys.executable, FAULTS / script, *map(str, arguments)],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        return process.returncode, process.stdout

    return run_faults
