"""Small files that travel in a LiteRT file: the names of the classes, and how images are prepared."""

import json
import zipfile

from keras_sknet.export.labels import labels_text
from keras_sknet.export.metadata import metadata


def append_files(path, model):
    """Appends `labels.txt` and `metadata.json` to a LiteRT file, as far as the model has something to say.

    They are appended as a zip archive, the way in which LiteRT files carry other files: a flatbuffer is read
    from its beginning and a zip archive from its end, so that neither is in the other's way.

    Args:
        path: `Path` of the file.
        model: The `keras.Model` that it was made of. `labels.txt` has one class a line, in the order of the
            scores; `metadata.json` what else `metadata` says.

    Example:

    ```python
    import zipfile
    from keras_sknet.export.associated import append_files

    append_files("labels.zip", keras_sknet.SKNetSmall(class_names=list("0123456789")))
    assert zipfile.ZipFile("labels.zip").read("labels.txt").split()[7] == b"7"
    ```
    """
    described = metadata(model)
    files = {}
    if "class_names" in described:
        names = json.loads(described.pop("class_names"))
        files["labels.txt"] = labels_text(names)
    if described:
        files["metadata.json"] = json.dumps(described) + "\n"
    if files:
        with zipfile.ZipFile(path, "a") as archive:
            for name, text in files.items():
                # Of a fixed date, so that the same model always gives the same file.
                archive.writestr(zipfile.ZipInfo(name), text)
