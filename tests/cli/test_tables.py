import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_sknet.cli import main
from keras_sknet.cli.errors import CommandError
from keras_sknet.cli.tables import write

ROOT = Path(__file__).resolve().parents[2]


def test_table_1_is_as_printed(capsys):
    assert main(["tables", "1", "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    header, *rows = csv.reader(io.StringIO(out))
    assert header == ["table", "network", "output (paper)", "layers (paper)", "output", "layers", "same"]
    assert len(rows) == 27
    assert [row[1:3] for row in rows if not row[-1].startswith("yes")] == [["SENet-50", "#P"]]
    assert err == "Building the networks of table 1 …\n"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("4", "argument TABLE: must be one of 1, 2, 3, 6, 7, S9, claims, not '4'"),
        ("--format html", "argument --format: invalid choice: 'html' (choose from "),
        ("2 -o x.md", "unrecognized arguments: -o"),
    ],
)
def test_a_mistake_is_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["tables", *arguments.split()])
    out, err = capsys.readouterr()
    assert (exit.value.code, out) == (2, "")
    assert err.startswith(f"keras-sknet: error: {message}") and err.count("\n") == 1


def test_a_full_disk_is_an_error_that_python_does_not_meet_again_at_its_end(monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(CommandError, match=r"^cannot write to .* \(No space left on device\)$"):
            write("text")


@pytest.mark.slow
@pytest.mark.parametrize("reader, reason", [("/dev/full", "No space left on device"), (None, "Broken pipe")])
def test_output_that_nobody_takes_is_one_line(reader, reason):
    command = [sys.executable, "-m", "keras_sknet", "tables", "1"]
    if reader:
        stdout = os.open(reader, os.O_WRONLY)
    else:
        gone, stdout = os.pipe()
        os.close(gone)
    process = subprocess.run(command, cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=300)
    os.close(stdout)
    assert process.returncode == 2
    assert process.stderr.endswith(f"\nkeras-sknet: error: cannot write to standard output ({reason})\n")
