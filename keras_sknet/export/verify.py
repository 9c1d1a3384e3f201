"""Whether an export computes what its model does."""

import itertools
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from keras_sknet.export.formats import FORMATS, load, recognize
from keras_sknet.export.inference import other_dtypes, require_exportable
from keras_sknet.export.runtimes import runnable
from keras_sknet.export.samples import check_images, random_inputs, with_images
from keras_sknet.validation import require

BATCH = 32
# By how much of the largest output less precise ones may differ; integers are judged by which is the largest.
TOLERANCES = {"float16": 3e-2, "bfloat16": 5e-2, "int8": np.inf}
AGREEMENT = 0.5
# Where there is one output, none is at the top: by how much of the largest value integers may differ, for an
# image whose ranges are known, and on average for others, some of which leave the ranges.
SINGLE, SINGLE_ON_AVERAGE = 0.5, 0.25
# 8-bit probabilities come in steps of 1/256: smaller ones than this are not compared with each other.
SMALL_PROBABILITY = 1 / 64


class VerificationError(RuntimeError):
    """An export that does not compute what its model does."""


class Report(NamedTuple):
    """What became of an export.

    `path` and `format` tell where it is and what, `bytes` how large. `difference` is the largest one between
    its outputs and the model's, relative to the largest output; `agreement` the share of images of which
    both have the same output at the top, or, of a single output, values that differ by at most half of the
    largest. Both are `None` where it was not verified.
    """

    path: str
    format: str
    bytes: int
    difference: float | None = None
    agreement: float | None = None

    def __str__(self):
        verified = "not verified"
        if self.difference is not None:
            verified = (
                f"outputs within {self.difference:.1e} of the largest, "
                f"the same one largest for {self.agreement:.0%} of the images"
            )
        return f"{self.path}: {self.format}, {self.bytes / 1e6:.1f} MB, {verified}"


def verify_export(model, path, images=None):
    """Compares an exported model with the Keras model that it was made of, in inference mode.

    Both get the same random images, and `images` where given (instead of random ones if the model fixes the
    batch size, or takes images of any size and these have another than 64×64). Allowed are differences of
    1e-4 of the largest output (of 1e-5 for a `.keras` file), of 3e-2 where weights or arithmetic are
    float16, and of 5e-2 where they are bfloat16. A file of 8-bit integers must have the same output at the
    top for half of the images, and a single output, which is always at the top, may be off by a quarter of
    the largest on average: this shows that it is not broken. How accurate it is, only labelled images can
    tell.

    Args:
        model: Functional `keras.Model`, on the TensorFlow backend.
        path: File or folder of an export, or a `.keras` file.
        images: Array of images as the model takes them, for a model of one input. Defaults to `None`.

    Returns:
        `Report` with `path`, `format`, `bytes`, `difference` and `agreement`.

    Raises:
        VerificationError: if the outputs differ by more, or have other names or shapes.
        ValueError: if `path` is in no format that is known, `images` are none of the model's, or none are
            given and the model, of images of any size, gives no numbers for random ones.
        ImportError: if the package that runs this format is not installed.

    Example:

    ```python
    model = keras_sknet.SKNetSmall()
    keras_sknet.export_saved_model(model, "saved")
    report = keras_sknet.export.verify_export(model, "saved")
    assert report.difference < 1e-5
    ```
    """
    require_exportable(model)
    if images is not None:
        check_images(model, "images", images)
    inputs = with_images(model, _random_inputs(model, "images", images is None), images)
    return _compare(model, Path(path), path, recognize(path), inputs)


def check_verify(model, verify):
    """Raises an error unless an exporter's argument `verify` is what `verified` takes."""
    if not isinstance(verify, bool):
        check_images(model, "verify", verify)


def verified(model, unfinished, path, format, verify, calibration=None):
    """Verifies an export before it gets its name; the last line of every exporter.

    Args:
        model: `keras.Model`.
        unfinished: Path of the complete file or folder.
        path: The path that it will have.
        format: String, a key of `FORMATS`.
        verify: The exporter's argument: `True`, `False`, or an array of images.
        calibration: Array of images that activations' ranges were found with, on which it is verified too.
            Defaults to `None`.

    Returns:
        `Report`, of the worst that was seen.
    """
    format = FORMATS[format]
    if verify is False:
        return Report(str(path), format.name, size_in_bytes(unfinished))
    inputs = _random_inputs(model, "verify", verify is True, calibration)
    inputs = inputs if verify is True else with_images(model, inputs, verify)
    reports = [_compare(model, unfinished, path, format, inputs)]
    if calibration is not None:
        # By themselves, lest one kind of images outvotes the other.
        known = dict.fromkeys(inputs, calibration)
        reports.append(_compare(model, unfinished, path, format, known, known_ranges=True))
    return reports[0]._replace(
        difference=max(report.difference for report in reports),
        agreement=min(report.agreement for report in reports),
    )


def differs(model, copy):
    """Tells whether a copy of a model has other outputs than exports may have, on random inputs.

    If the model itself gives no numbers on these, nothing is known against the copy.
    """
    inputs = {name: x[:2] for name, x in random_inputs(model).items()}
    expected = _numbers(model, inputs)
    if expected is None:
        return False
    got, tolerance = _numbers(copy, inputs), _tolerance(FORMATS["saved_model"], other_dtypes(model))
    return got is None or any(_difference(got[name], expected[name]) > tolerance for name in expected)


def size_in_bytes(path):
    """Returns the size of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())


def _numbers(model, inputs):
    """A model's outputs; `None` if it fails, or if these are not all finite numbers."""
    try:
        # In this scope no call changes a model, as it would one with a stateful recurrent layer.
        with keras.StatelessScope():
            outputs = runnable(model).run(inputs)
        finite = all(_is_text(y) or np.isfinite(np.asarray(y, "float64")).all() for y in outputs.values())
        finite = finite and all(np.size(y) for y in outputs.values())
    except Exception:  # of any kind: others' layers are called
        return None
    return outputs if finite else None


def _random_inputs(model, argument, alone, calibration=None):
    """Random inputs; an error if they are `alone`, their size is a guess, and the model cannot take them."""
    inputs = random_inputs(model, calibration)
    if alone and any(None in x.shape[1:] for x in model.inputs):
        require(
            _numbers(model, {name: x[:1] for name, x in inputs.items()}) is not None,
            argument,
            "images of a size for which the model gives numbers, as it gives none for random ones",
            random_images={name: x.shape[1:] for name, x in inputs.items()},
        )
    return inputs


def _compare(model, file, path, format, inputs, known_ranges=False):
    export = load(file, format)
    original = runnable(model)
    _require_same("inputs", path, export.inputs, model, original.inputs)
    with keras.StatelessScope():
        expected, got = (_run(run, inputs, model.inputs[0].shape[0]) for run in (original.run, export.run))
    shapes, others = ({name: y.shape for name, y in outputs.items()} for outputs in (expected, got))
    _require_same("outputs", path, others, model, shapes)
    difference = max(_difference(got[name], expected[name]) for name in expected)
    agreement = min(_agreement(got[name], expected[name]) for name in expected)
    _judge(path, model, format, export.precision, difference, agreement)
    if export.precision == "int8":
        for name in filter(lambda name: _is_single(expected[name]), expected):
            _judge_single(path, model, _single(got[name], expected[name]), known_ranges)
    return Report(str(path), format.name, size_in_bytes(file), difference, agreement)


def _require_same(what, path, shapes, model, expected):
    # Some formats fix the batch size.
    shapes, expected = ({name: shape[1:] for name, shape in sorted(x.items())} for x in (shapes, expected))
    if shapes != expected:
        raise VerificationError(
            f"{str(path)!r} is no export of model {model.name!r}: {what} without the batch are {shapes}, "
            f"not {expected}"
        )


def _judge(path, model, format, precision, difference, agreement):
    tolerance = _tolerance(format, [precision, *other_dtypes(model)])
    # A comparison with NaN is false.
    if not difference <= tolerance:
        raise VerificationError(
            f"{str(path)!r} does not compute what model {model.name!r} does: outputs differ by "
            f"{difference:.1e} of the largest, and {tolerance:.0e} is allowed ({format.name}, {precision})"
        )
    if precision == "int8" and agreement < AGREEMENT:
        raise VerificationError(
            f"{str(path)!r} does not compute what model {model.name!r} does: {agreement:.0%} of the "
            f"images have the same largest output, and {AGREEMENT:.0%} must ({format.name}, {precision})"
        )


def _judge_single(path, model, differences, known_ranges):
    found, allowed = differences.mean(), SINGLE_ON_AVERAGE
    if known_ranges:
        found, allowed = differences.max(), SINGLE
    if not found <= allowed:
        raise VerificationError(
            f"{str(path)!r} does not compute what model {model.name!r} does: its single output differs by "
            f"{found:.0%} of the largest{'' if known_ranges else ' on average'}, and {allowed:.0%} is allowed"
        )


def _tolerance(format, dtypes):
    return max((TOLERANCES.get(dtype, format.tolerance) for dtype in dtypes), default=format.tolerance)


def _run(run, inputs, batch_size):
    """Runs in batches: of one element, of several, and of the rest; or of the size that the model fixes."""
    count = len(next(iter(inputs.values())))
    edges = [0, 1, *range(1 + BATCH, count, BATCH), count] if batch_size is None else [0, count]
    pieces = [
        run({name: x[start:stop] for name, x in inputs.items()})
        for start, stop in itertools.pairwise(sorted(set(edges)))
    ]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _difference(got, expected):
    if _is_text(expected):
        return 0.0 if np.array_equal(got, expected) else np.inf
    got, expected = (np.asarray(y, "float64") for y in (got, expected))
    return float(np.abs(got - expected).max() / max(np.abs(expected).max(), np.finfo("float32").tiny))


def _agreement(got, expected):
    if _is_text(expected):
        return float(np.mean(got == expected))
    if _is_single(expected):
        return float(np.mean(_single(got, expected) <= SINGLE))
    return float(np.mean(got.argmax(-1) == expected.argmax(-1)))


def _is_text(y):
    return np.asarray(y).dtype.kind in "OSU"


def _is_single(y):
    return not _is_text(y) and (y.ndim < 2 or y.shape[-1] == 1)


def _single(got, expected):
    """By how much of the largest value an output of one channel differs, on average over each image."""
    got, expected = (np.asarray(y, "float64").reshape(len(y), -1) for y in (got, expected))
    probable = expected.min() >= 0 and expected.max() <= 1
    least = SMALL_PROBABILITY if probable else np.finfo("float32").tiny
    return np.abs(got - expected).mean(axis=1) / max(np.abs(expected).max(), least)
