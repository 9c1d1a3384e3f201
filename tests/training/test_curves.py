import csv
import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from keras_sknet.training.curves import draw_curves, write_history

HISTORY = [
    {
        "epoch": epoch,
        "accuracy": 1 - 1 / epoch,
        "loss": 2 / epoch,
        "learning_rate": 0.1,
        "val_accuracy": 0.5,
        "val_loss": 3 / epoch,
    }
    for epoch in range(1, 13)
]


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved."""
    saved = []
    save = Figure.savefig

    def keep(self, *arguments, **keywords):
        saved.append(self)
        save(self, *arguments, **keywords)

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


def test_the_picture_shows_the_history(tmp_path, figures):
    draw_curves(HISTORY, tmp_path / "curves.png")
    (figure,) = figures
    assert [axis.get_title() for axis in figure.axes] == ["loss", "accuracy", "learning rate"]
    for axis, names in zip(
        figure.axes, (("loss", "val_loss"), ("accuracy", "val_accuracy"), ("learning_rate",)), strict=True
    ):
        assert [line.get_label() for line in axis.lines] == ["training", "validation"][: len(names)]
        for line, name in zip(axis.lines, names, strict=True):
            points = [(logs["epoch"], logs[name]) for logs in HISTORY]
            np.testing.assert_allclose(line.get_xydata(), points)
    pixels = imread(tmp_path / "curves.png")[..., :3]
    assert 1500 < pixels.shape[1] < 1900
    for colour in ((0, 114, 178), (213, 94, 0)):
        near = np.abs(pixels * 255 - colour).max(axis=-1) < 8
        assert near.sum() > 500


@pytest.mark.parametrize("epochs, marked", [(1, True), (40, True), (41, False)])
def test_few_epochs_are_marked(epochs, marked, tmp_path, figures):
    draw_curves([{"epoch": epoch + 1, "loss": 1.0} for epoch in range(epochs)], tmp_path / "curves.png")
    (axis,) = figures[0].axes
    assert (axis.lines[0].get_marker() == "o") == marked
    ticks = [tick for tick in axis.get_xticks() if 1 <= tick <= epochs]
    assert ticks and all(tick == round(tick) for tick in ticks)


def test_gaps_and_what_is_not_finite(tmp_path, figures):
    history = [
        {"epoch": 1, "loss": 2.0},
        {"epoch": 2, "loss": 1.0, "val_loss": 1.5},
        {"epoch": 3, "loss": math.nan},
    ]
    draw_curves(history, tmp_path / "curves.png")
    (axis,) = figures[0].axes
    np.testing.assert_array_equal(axis.lines[0].get_xydata(), [(1, 2), (2, 1), (3, np.nan)])
    np.testing.assert_array_equal(axis.lines[1].get_xydata(), [(2, 1.5)])


def test_the_files_are_replaced_when_they_are_complete(tmp_path, monkeypatch):
    picture, table = tmp_path / "curves.png", tmp_path / "history.csv"
    for count in (5, 12):
        draw_curves(HISTORY[:count], picture)
        write_history(HISTORY[:count], table)
    before = picture.read_bytes(), table.read_bytes()

    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", interrupted)
    monkeypatch.setattr(csv.DictWriter, "writerows", interrupted)
    for write, path in ((draw_curves, picture), (write_history, table)):
        with pytest.raises(KeyboardInterrupt):
            write(HISTORY[:1], path)
    assert (picture.read_bytes(), table.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "history.csv"]


def test_the_table_has_a_row_for_each_epoch(tmp_path):
    history = [*HISTORY, {"epoch": 13, "loss": 0.25, "extra": 1}]
    write_history(history, tmp_path / "history.csv")
    with open(tmp_path / "history.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [*HISTORY[0], "extra"]
    for row, logs in zip(rows, history, strict=True):
        assert {name: float(value) for name, value in row.items() if value} == logs


@pytest.mark.parametrize("write", [draw_curves, write_history])
def test_what_is_no_history(write, tmp_path):
    for history in ([], {"loss": [1.0]}, [{"loss": 1.0}]):
        with pytest.raises(ValueError, match="`history` must be a list of a dictionary for each epoch"):
            write(history, tmp_path / "file")
    with pytest.raises(ValueError, match="`path` must be in a folder that exists"):
        write(HISTORY, tmp_path / "missing" / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_history_with_nothing_to_draw(tmp_path):
    with pytest.raises(ValueError, match=r"`history` must be of epochs with some of \('loss', 'accuracy'"):
        draw_curves([{"epoch": 1, "mae": 1.0}], tmp_path / "curves.png")
