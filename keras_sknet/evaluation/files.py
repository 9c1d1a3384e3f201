import csv
import json
from pathlib import Path

from keras_sknet.evaluation.figures import draw_confusion
from keras_sknet.evaluation.result import ClassResult
from keras_sknet.files import appearing_whole


def write_evaluation(result, folder, details=None):
    """Writes an evaluation's files, each of which appears whole or not at all.

    - `evaluation.json`: the numbers over all images.
    - `classes.csv`: a row for each class, with fields left empty where there is nothing to divide by.
    - `confusion.csv`: a row for each true class, a column for each predicted one.
    - `confusion.png`: the same as a picture.

    Args:
        result: `Evaluation`.
        folder: String or path object, a folder that exists and has no such files.
        details: Dictionary of JSON's types, what else `evaluation.json` is to tell. Defaults to `None`.

    Raises:
        ValueError: if a file exists.
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
    # First what may fail for want of a package.
    figure = draw_confusion(result)
    with appearing_whole(folder / "confusion.png") as unfinished:
        figure.savefig(unfinished)
    _write_table(folder / "classes.csv", ClassResult._fields, result.classes)
    _write_table(
        folder / "confusion.csv",
        ["true class", *names],
        ([name, *row] for name, row in zip(names, result.confusion.tolist(), strict=True)),
    )
    summary = {name: getattr(result, name) for name in ("images", "top1_error", "top5_error", "loss")}
    with appearing_whole(folder / "evaluation.json") as unfinished:
        text = json.dumps({**summary, **(details or {})}, indent=2, ensure_ascii=False)
        unfinished.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def _write_table(path, header, rows):
    with appearing_whole(path) as unfinished, open(unfinished, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
