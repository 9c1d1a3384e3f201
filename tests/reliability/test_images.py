import importlib

import numpy as np
import pytest
import tensorflow as tf

from keras_sknet.data import decode, find_corrupt, open_source, skip_corrupt
from keras_sknet.data.transforms import PIXELS


@pytest.fixture
def pictures(faults):
    return importlib.import_module("pictures")


@pytest.fixture
def folder(pictures, tmp_path):
    """Files of every kind in one class folder, good ones in another."""
    files = pictures.odd_files(len(pictures.KINDS))
    for name, contents in {name: contents for name, (contents, _) in files.items()}.items():
        (tmp_path / "train" / "odd").mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / "odd" / name).write_bytes(contents)
    (tmp_path / "train" / "good").mkdir()
    for number in range(3):
        path = tmp_path / "train" / "good" / f"{number}.jpg"
        path.write_bytes(pictures.encoded(pictures.picture(number)))
    return tmp_path


def test_files_of_every_kind_are_told_apart(pictures, folder):
    source = open_source(f"folder:{folder}", "train")
    found = {path.rpartition("/")[2]: reason for _, path, reason in find_corrupt(source)}
    files = pictures.odd_files(len(pictures.KINDS))
    assert found == {name: reason for name, (_, reason) in files.items() if reason}
    assert len(found) == 17
    kept, corrupt = skip_corrupt(source, size=32)
    (small,) = [reason for _, path, reason in corrupt if "one_pixel" in path]
    assert small == "has 1x1 pixels, fewer than 32x32"
    assert len(kept) == len(source) - 18


def test_unusual_files_are_read_as_pillow_reads_them(pictures):
    for name, (contents, reason) in pictures.odd_files(len(pictures.KINDS)).items():
        if reason or name.startswith(("cmyk", "deep", "one_pixel")):
            continue  # of these the documentation says how
        with pictures.Image.open(pictures.io.BytesIO(contents)) as image:
            expected = np.asarray(image.convert("RGB"))
        np.testing.assert_array_equal(decode(contents), expected, err_msg=name)


def test_a_file_cannot_claim_more_memory_than_the_limit(pictures):
    one = bytearray(pictures.encoded(pictures.picture(0, 1, 1), "PNG"))
    for height, width, refused in (
        (PIXELS + 1, 1, True),
        (1, PIXELS + 1, True),
        (2**31 - 1, 2**31 - 1, True),
        (PIXELS, 1, False),
    ):
        one[16:24] = np.array([width, height], ">u4").tobytes()
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            decode(bytes(one))
        assert ("More pixels than an image may have" in caught.value.message) == refused


@pytest.mark.slow
def test_the_commands_name_bad_files_and_change_no_other_answer(run_faults):
    code, printed = run_faults("images.py", "--files", 28, "--good", 32)
    assert code == 0, printed[-3000:]
    assert "28 odd files, 17 of which cannot be read" in printed
    assert "image files, in each command: " in printed and ", 0 not\n" in printed
