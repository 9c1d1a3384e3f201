import csv
import json
import os
from pathlib import Path

from keras_sknet.evaluation.figures import draw_confusion
from keras_sknet.evaluation.result import ClassResult
from keras_sknet.files import appearing_whole
from keras_sknet.validation import require

FILES = "confusion.png", "classes.csv", "confusion.csv", "evaluation.json"


def write_evaluation(result, folder, details=None):
    """Writes an evaluation's files, each of which appears whole or not at all, and none if one exists.

    - `evaluation.json`: the numbers over all images.
    - `classes.csv`: a row for each class, with fields left empty where there is nothing to divide by.
    - `confusion.csv`: a row for each true class, a column for each predicted one.
    - `confusion.png`: the same as a picture.

    Args:
        result: `Evaluation`.
        folder: String or path object, a folder that exists and has no such files.
        details: Dictionary of JSON's types, what else `evaluation.json` is to tell. Defaults to `None`.

    Raises:
        ValueError: if a file exists, or `details` are not of JSON's types.
        ImportError: without Matplotlib.
        OSError: if the folder cannot be written to.

    Example:

    ```python
    from keras_sknet.evaluation import evaluate, write_evaluation

    scores = np.array([[0.9, 0.1], [0.7, 0.3]])
    result = evaluate(lambda images: scores, [(np.zeros((2, 8, 8, 3)), np.array([0, 1]), np.ones(2))])
    write_evaluation(result, ".", {"model": "small.keras"})
    ```
    """
    folder = Path(folder)
    names = [row.name for row in result.classes]
    # First what may fail for want of a package, and all else that can be known before there are files.
    figure = draw_confusion(result)
    text = _summary(result, details or {})
    for path in (folder / name for name in FILES):
        require(not os.path.lexists(path), "path", "new: nothing is overwritten", path=str(path))
    with appearing_whole(folder / "confusion.png") as unfinished:
        figure.savefig(unfinished)
    _write_table(folder / "classes.csv", ClassResult._fields, result.classes)
    _write_table(
        folder / "confusion.csv",
        ["true class", *names],
        ([name, *row] for name, row in zip(names, result.confusion.tolist(), strict=True)),
    )
    with appearing_whole(folder / "evaluation.json") as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")


def _summary(result, details):
    summary = {name: getattr(result, name) for name in ("images", "top1_error", "top5_error", "loss")}
    taken = sorted(summary.keys() & details)
    require(not taken, "details", f"other than what is measured, {list(summary)}", details=taken)
    try:
        return json.dumps({**summary, **details}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`details` must be a dictionary of JSON's types. Received: details={details!r} ({error})"
        ) from error


def _write_table(path, header, rows):
    # Names of folders need not be text.
    options = {"newline": "", "encoding": "utf-8", "errors": "backslashreplace"}
    with appearing_whole(path) as unfinished, open(unfinished, "w", **options) as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
