"""Checkpoints of a training: all that it needs to go on, in files that tell whether they are whole."""

import contextlib
import hashlib
import io
import json
import os
import re
from pathlib import Path

import numpy as np

KEPT = 2
HEADER = b"keras_sknet training state 1, sha256 "
NAME = re.compile(r"step-(\d{10})\.state")
DOCUMENT = "document"
# One name, so that what a killed process left is written over.
UNFINISHED = ".unfinished.state"


@contextlib.contextmanager
def checkpoint_folder(folder):
    """Makes the folder of checkpoints inside a `with` block; if none is written to it, it goes again.

    A process that is killed before its first checkpoint leaves the folder, by which its run is known.

    Args:
        folder: `Path`. The folder around it must exist.
    """
    folder.mkdir(exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()  # which only an empty folder lets pass


def save_state(folder, step, arrays, document):
    """Writes a checkpoint, whole or not at all, and deletes all but this one and the last before it.

    Args:
        folder: `Path`, made if it is missing.
        step: Integer, which the file is named after.
        arrays: List of NumPy arrays.
        document: What JSON can hold.

    Raises:
        OSError: if it cannot be written, e.g. on a full disk. The checkpoints before are still there.
    """
    path = folder / f"step-{step:010d}.state"
    unfinished = folder / UNFINISHED
    contents = _encode(arrays, document)
    try:
        folder.mkdir(exist_ok=True)
        with open(unfinished, "wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        raise OSError(error.errno, f"Cannot write a checkpoint ({error.strerror})", str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()
    # Those of later steps were passed over as damaged, or the training would not be here.
    paths = _paths(folder)
    place = paths.index(path)
    for other in paths[:place] + paths[place + KEPT :]:
        other.unlink()


def load_state(folder):
    """Reads the last whole checkpoint.

    Args:
        folder: `Path`.

    Returns:
        Arrays and document, or `None` without a checkpoint; and a list of sentences, one for each damaged
        file that was passed over.

    Raises:
        OSError: if a file cannot be read.
    """
    complaints = []
    for path in _paths(folder):
        try:
            return _decode(path.read_bytes()), complaints
        except ValueError as error:
            complaints.append(f"{path} is damaged ({error})")
    return None, complaints


def has_checkpoints(folder):
    """Whether a folder has files that are named as checkpoints are, damaged ones too."""
    return bool(_paths(folder))


def remove_checkpoints(folder):
    """Deletes all checkpoints, and their folder if nothing else is in it."""
    if folder.is_dir():
        for path in [*_paths(folder), folder / UNFINISHED]:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()


def _paths(folder):
    """Checkpoints, the last one first."""
    found = [path for path in Path(folder).glob("step-*.state") if NAME.fullmatch(path.name)]
    return sorted(found, reverse=True)


def _encode(arrays, document):
    payload = io.BytesIO()
    text = np.frombuffer(json.dumps(document).encode(), "uint8")
    np.savez(payload, **{DOCUMENT: text}, **{str(i): array for i, array in enumerate(arrays)})
    payload = payload.getvalue()
    return b"%s%s\n%s" % (HEADER, hashlib.sha256(payload).hexdigest().encode(), payload)


def _decode(contents):
    header, _, payload = contents.partition(b"\n")
    if not header.startswith(HEADER):
        raise ValueError("it does not begin as a checkpoint does")
    if header[len(HEADER) :] != hashlib.sha256(payload).hexdigest().encode():
        raise ValueError("its checksum does not match")
    with np.load(io.BytesIO(payload), allow_pickle=False) as file:
        arrays = [file[str(i)] for i in range(len(file.files) - 1)]
        return arrays, json.loads(file[DOCUMENT].tobytes())
