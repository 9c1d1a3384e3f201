import importlib
import sys

import pytest


@pytest.fixture
def memory(faults):
    return importlib.import_module("memory")


@pytest.mark.parametrize(
    "megabytes_a_step, good", [(0, True), (0.001, True), (0.012, True), (0.015, False), (0.1, False)]
)
def test_growth_is_judged_behind_the_first_quarter(memory, capsys, megabytes_a_step, good):
    # The first quarter, in which memory is filled for the first time, is steeper.
    samples = [(step, 900 + min(step, 500) + megabytes_a_step * step) for step in range(25, 2001, 25)]
    tally = memory.Tally("runs")
    memory.judge(tally, "training", 2000, samples)
    assert tally.end() == (0 if good else 1)
    assert f"slope {megabytes_a_step * 1000:+.2f} MB a 1,000" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_is_taken_is_seen(memory):
    before = memory.resident_megabytes()
    taken = bytearray(64 * 2**20)
    assert 60 < memory.resident_megabytes() - before < 80
    del taken


@pytest.mark.slow
def test_few_predictions_are_flat(run_faults):
    code, printed = run_faults("memory.py", "--only", "LiteRT", "--predictions", 1000)
    assert code == 0, printed
    assert "ok  LiteRT, 1,000 times: " in printed
