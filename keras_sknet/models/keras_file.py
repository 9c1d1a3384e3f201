"""A `.keras` file is checked to the last byte before anything in it is used."""

import io
import os
import shutil
import stat
import zipfile
from pathlib import PurePosixPath

import keras

BLOCK = 2**20
# Of the systems on which Python writes archives: Windows, and all others.
SYSTEMS = (0, 3)
# Where a member's header tells how long its additional fields are, of which Python writes one at most.
EXTRA_LENGTH = slice(28, 30)


def load_keras_file(path):
    """Loads a model as `keras.models.load_model` does, in its safe mode, after `check_keras_file`.

    Args:
        path: String or path object, a `.keras` file.

    Returns:
        `keras.Model`, not compiled.

    Raises:
        ValueError: if the file is not as Keras wrote it.
        Exception: of any kind, Keras' own, if there is no such model in it.

    Example:

    ```python
    from keras_sknet.models.keras_file import load_keras_file

    keras_sknet.SKNetSmall().save("small.keras")
    model = load_keras_file("small.keras")
    ```
    """
    check_keras_file(path)
    return keras.models.load_model(path, compile=False)


def check_keras_file(path):
    """Checks that the archive is to the byte what Keras writes of the members in it.

    Keras itself reads the members that it needs, and looks at nothing else. Here every member's checksum is
    compared, and all that lies between them: the archive is written anew in memory, and must be the same.
    An archive that another program packed, or that has a name of a file outside of it, is none.

    Args:
        path: String or path object.

    Raises:
        ValueError: if it is not; it tells what is wrong, not the path.
        OSError: if it cannot be read.

    Example:

    ```python
    from keras_sknet.models.keras_file import check_keras_file

    keras_sknet.SKNetSmall().save("small.keras")
    check_keras_file("small.keras")
    ```
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                _require_plain(archive, os.path.getsize(path))
                whole = _is_same(file, _written_anew(file, archive))
        except Exception as error:  # a damaged archive makes zipfile raise all kinds
            raise ValueError(f"the archive is damaged: {error}") from error
        if not whole:
            raise ValueError("the archive is damaged, or another program than Keras packed it")


def _require_plain(archive, size):
    """Refuses what Keras does not write, before anything is unpacked."""
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise ValueError("it has several members of one name")
    if sum(member.file_size for member in members) > size:
        raise ValueError("its members are larger than the file")
    for member in members:
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or set(member.filename) & set("\\:"):
            raise ValueError(f"it has a member outside of it, {member.filename!r}")
        mode = member.external_attr >> 16
        written = mode == 0o600 or stat.S_IFMT(mode) == stat.S_IFREG
        if member.create_system not in SYSTEMS or not written or member.external_attr & 0xFFFF:
            raise ValueError(f"its member {member.filename!r} has attributes that Keras does not write")


def _written_anew(file, archive):
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w") as new:
        for old in archive.infolist():
            info = zipfile.ZipInfo(old.filename, old.date_time)
            info.create_system, info.external_attr = old.create_system, old.external_attr
            file.seek(old.header_offset)
            has_extra = any(file.read(EXTRA_LENGTH.stop)[EXTRA_LENGTH])
            with archive.open(old) as source, new.open(info, "w", force_zip64=has_extra) as target:
                shutil.copyfileobj(source, target, BLOCK)
    return copy


def _is_same(file, copy):
    file.seek(0)
    copy.seek(0)
    while block := file.read(BLOCK):
        if block != copy.read(BLOCK):
            return False
    return not copy.read(1)
