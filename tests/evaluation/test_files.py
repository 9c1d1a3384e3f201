import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from keras_sknet.evaluation import draw_confusion, evaluate, write_evaluation

FILES = ["classes.csv", "confusion.csv", "confusion.png", "evaluation.json"]


def evaluation(classes=3, names=None, count=200):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, count)
    scores = rng.normal(size=(count, classes)) + 2 * np.eye(classes)[labels]
    return evaluate(lambda images: scores, [(scores, labels, np.ones(count))], names)


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_the_files_say_what_was_found(tmp_path):
    names = ("blue tit, male", 'Gänseblümchen "x"', "ox\nen")
    result = evaluation(names=names)
    write_evaluation(result, tmp_path, {"model": "x.keras", "seconds": 1.5})
    assert sorted(os.listdir(tmp_path)) == [
        "classes.csv",
        "confusion.csv",
        "confusion.png",
        "evaluation.json",
    ]
    summary = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    numbers = {name: getattr(result, name) for name in ("images", "top1_error", "top5_error", "loss")}
    assert summary == {**numbers, "model": "x.keras", "seconds": 1.5}
    header, *rows = table(tmp_path / "classes.csv")
    assert header == ["name", "images", "top1_accuracy", "top5_accuracy", "precision"]
    assert [row[0] for row in rows] == list(names)
    for row, expected in zip(rows, result.classes, strict=True):
        assert [float(value) for value in row[1:]] == list(expected[1:])
    header, *rows = table(tmp_path / "confusion.csv")
    assert header == ["true class", *names] and [row[0] for row in rows] == list(names)
    np.testing.assert_array_equal([[int(n) for n in row[1:]] for row in rows], result.confusion)


def test_what_is_not_defined_is_empty(tmp_path):
    scores = np.array([[0.9, 0.1, 0]])
    result = evaluate(lambda images: scores, [(scores, np.array([1]), np.ones(1))])
    write_evaluation(result, tmp_path)
    assert table(tmp_path / "classes.csv")[1:] == [
        ["0", "0", "", "", "0.0"],
        ["1", "1", "0.0", "1.0", ""],
        ["2", "0", "", "", ""],
    ]


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "classes.csv").write_text("mine")
    with pytest.raises(ValueError, match="`path` must be new: nothing is overwritten"):
        write_evaluation(evaluation(), tmp_path)
    assert (tmp_path / "classes.csv").read_text() == "mine"


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_written_beside_a_file_that_is_there(name, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match=f"`path` must be new: nothing is overwritten.*{name}'"):
        write_evaluation(evaluation(), tmp_path)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("details", [{"model": Path("x")}, {("a", "b"): 1}])
def test_details_that_are_not_of_json_leave_nothing(details, tmp_path):
    with pytest.raises(ValueError, match="`details` must be a dictionary of JSON's types"):
        write_evaluation(evaluation(), tmp_path, details)
    assert os.listdir(tmp_path) == []


def test_an_interrupted_file_does_not_appear(tmp_path, monkeypatch):
    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    # The way in which only the last file is written.
    monkeypatch.setattr(Path, "write_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_evaluation(evaluation(), tmp_path)
    assert sorted(os.listdir(tmp_path)) == FILES[:3]


@pytest.mark.parametrize("classes", [2, 10, 30])
def test_names_and_counts_stand_in_the_picture(classes):
    names = [f"a class that costs $1 or $2, of a long name: {number}" for number in range(classes)]
    result = evaluation(classes, names)
    figure = draw_confusion(result)
    axis, bar = figure.axes
    for labels in (axis.get_xticklabels(), axis.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["a class that costs $1 o…"] * classes
    counts = {tuple(map(round, text.get_position())): text.get_text() for text in axis.texts}
    assert counts == {(j, i): str(result.confusion[i, j]) for i, j in np.argwhere(result.confusion).tolist()}
    shares = axis.images[0].get_array()
    np.testing.assert_allclose(shares, result.confusion / result.confusion.sum(axis=1, keepdims=True))
    assert axis.get_title() == f"{1 - result.top1_error:.1%} of 200 images right"
    assert bar.get_ylabel() == "share of the true class"


@pytest.mark.parametrize(
    "details, text",
    [
        ({"loss": "crossentropy"}, r"`details` must be other than what is measured, .* details=\['loss'\]"),
        ({"rate": float("nan")}, "`details` must be a dictionary of JSON's types"),
    ],
)
def test_details_that_would_hide_a_figure_or_are_no_json_are_refused(details, text, tmp_path):
    with pytest.raises(ValueError, match=text):
        write_evaluation(evaluation(), tmp_path, details)
    assert os.listdir(tmp_path) == []


def test_a_name_that_is_no_unicode_is_drawn(tmp_path):
    """As folders are named on disks of other systems."""
    figure = draw_confusion(evaluation(2, ["caf\udce9", "thé"]))
    figure.savefig(tmp_path / "confusion.png")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [r"caf\udce9", "thé"]


def test_a_thousand_classes_are_an_image(tmp_path):
    result = evaluation(1000, count=3000)
    figure = draw_confusion(result)
    figure.savefig(tmp_path / "confusion.png")
    axis = figure.axes[0]
    box = axis.get_window_extent()
    assert min(box.width, box.height) > 1000 and not axis.texts  # a pixel or more for each class
    assert len(axis.get_xticklabels()) < 20
    pixels = imread(tmp_path / "confusion.png")
    assert (pixels[..., 0] < 0.5).sum() > 1000  # the diagonal


def test_without_matplotlib_the_error_names_the_extra(uninstalled, tmp_path):
    uninstalled("matplotlib")
    result = evaluate(lambda x: x, [(np.eye(2), np.array([0, 1]), np.ones(2))])
    with pytest.raises(
        ImportError, match=r'^matplotlib is not installed: pip install "keras_sknet\[train\]"$'
    ):
        write_evaluation(result, tmp_path)
