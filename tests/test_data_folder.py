import os

import numpy as np
import pytest
import tensorflow as tf
from data_sources import encoded, picture, write_folder

from keras_sknet.data import open_source


def contents(source):
    return {
        source.describe(index): (source.element(index, 0, 0)[0].numpy(), int(source.element(index, 0, 0)[1]))
        for index in range(len(source))
    }


def refused(root, split="train"):
    with pytest.raises(ValueError, match="^`text` must be ") as caught:
        open_source(f"folder:{root}", split)
    message = str(caught.value)
    assert f"Received: text='folder:{root}'" in message and "\n" not in message
    return message


@pytest.mark.parametrize("name", ["validation", "val", "valid"])
@pytest.mark.parametrize("cache", [False, True])
def test_files_and_labels_of_a_split(tmp_path, name, cache):
    counts = {"train": {"dog": 4, "cat": 3}, name: {"dog": 1, "cat": 2}, "test": {"dog": 1, "cat": 1}}
    files = write_folder(tmp_path, counts)
    for split, folder in (("train", "train"), ("validation", name), ("test", "test")):
        source = open_source(f"folder:{tmp_path}", split, cache=cache)
        assert source.class_names == ("cat", "dog") and len(source) == sum(counts[folder].values())
        assert contents(source) == {
            str(tmp_path / path): (file, path.split(os.sep)[1] == "dog")
            for path, file in files.items()
            if path.startswith(f"{folder}{os.sep}")
        }


def test_cached_files_may_go(tmp_path):
    write_folder(tmp_path, {"train": {"cat": 2, "dog": 2}})
    source = open_source(f"folder:{tmp_path}", "train", cache=True)
    expected = contents(source)
    for path in tmp_path.rglob("*.jpg"):
        path.unlink()
    assert contents(source) == expected and source.element(1, 0, 0)[1].dtype == tf.int32


def test_the_order_is_by_class_and_name_whatever_the_disk_says(tmp_path):
    for name in ("b/10.jpg", "a/2.JPG", "b/1.jpeg", "a/1.Png"):
        path = tmp_path / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture()))
    paths = open_source(f"folder:{tmp_path}", "train").paths
    assert [os.path.relpath(path, tmp_path / "train") for path in paths] == [
        "a/1.Png",
        "a/2.JPG",
        "b/1.jpeg",
        "b/10.jpg",
    ]


def test_what_is_hidden_or_no_image_is_not_there_and_links_are(tmp_path):
    files = write_folder(tmp_path / "data", {"train": {"cat": 1, "dog": 1}})
    train = tmp_path / "data" / "train"
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "one.jpg").write_bytes(encoded(picture()))
    (train / "bird").symlink_to(outside)
    (train / "cat" / "link.jpg").symlink_to(outside / "one.jpg")
    (train / "dog" / "gone.jpg").symlink_to(outside / "gone.jpg")
    for name in (".DS_Store", "cat/._000.jpg", "cat/labels.txt", "cat/Thumbs.db", "notes.txt"):
        (train / name).write_bytes(b"x")
    (train / ".ipynb_checkpoints").mkdir()
    (train / "cat" / "more.jpg").mkdir()
    source = open_source(f"folder:{tmp_path / 'data'}", "train")
    assert source.class_names == ("bird", "cat", "dog") and len(files) == 2
    names = [os.path.relpath(path, train) for path in source.paths]
    # A link that leads nowhere is kept, for reading it to fail rather than an image to be missing silently.
    assert names == ["bird/one.jpg", "cat/000.jpg", "cat/link.jpg", "dog/000.jpg", "dog/gone.jpg"]


@pytest.mark.parametrize(
    "name", ["a b", "ü*?[x]", "100%", "a:b", b"\xff\xfe".decode("utf-8", "surrogateescape")]
)
def test_paths_are_data(tmp_path, name):
    root = tmp_path / name
    for label in ("cat", "dog"):
        folder = root / "train" / label
        os.makedirs(folder)
        (folder / f"{name}.jpg").write_bytes(encoded(picture(seed=len(label))))
    source = open_source(f"folder:{root}", "train")
    assert len(source) == 2
    assert source.element(0, 0, 0)[0] == encoded(picture(seed=3))


def test_the_home_folder_is_known(tmp_path, monkeypatch):
    write_folder(tmp_path / "pets", {"train": {"cat": 1, "dog": 1}})
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(open_source("folder:~/pets", "train")) == 2


def test_a_folder_without_splits_is_split_by_name(tmp_path):
    for label in ("cat", "train"):
        folder = tmp_path / label
        folder.mkdir()
        for number in range(300):
            (folder / f"{number}.png").write_bytes(b"not decoded here")
    sources = {split: open_source(f"folder:{tmp_path}", split) for split in ("train", "validation", "test")}
    paths = {split: set(source.paths) for split, source in sources.items()}
    assert sum(map(len, paths.values())) == len(set.union(*paths.values())) == 600
    assert all(source.class_names == ("cat", "train") for source in sources.values())
    assert (
        440 < len(paths["train"]) < 520
        and 40 < len(paths["validation"]) < 80
        and 40 < len(paths["test"]) < 80
    )
    shares = np.mean(sources["test"].labels)
    assert 0.3 < shares < 0.7
    (tmp_path / "cat" / "new.png").write_bytes(b"")
    assert all(paths[split] <= set(open_source(f"folder:{tmp_path}", split).paths) for split in paths)


def test_a_missing_folder_names_what_is_there(tmp_path):
    (tmp_path / "flowers").mkdir()
    message = refused(tmp_path / "flower")
    assert f"a folder that exists (there is '{tmp_path / 'flowers'}')" in message
    assert "a folder that exists. " in refused(tmp_path / "nowhere" / "at all")
    (tmp_path / "file").write_text("x")
    assert "a folder that exists" in refused(tmp_path / "file")


def test_a_missing_split_names_those_there_are(tmp_path):
    write_folder(tmp_path, {"train": {"cat": 1, "dog": 1}, "val": {"cat": 1, "dog": 1}})
    message = refused(tmp_path, "test")
    assert "must be a folder that has the split. " in message
    assert "split='test', found=['train', 'val']" in message


def test_splits_must_have_the_same_classes(tmp_path):
    write_folder(tmp_path, {"train": {"cat": 1, "dog": 1}, "val": {"cat": 1, "bird": 1}})
    assert len(open_source(f"folder:{tmp_path}", "train")) == 2
    message = refused(tmp_path, "validation")
    assert "the same classes in 'train' and 'val'" in message
    assert "missing=['dog'], additional=['bird']" in message


def test_one_class_is_no_data(tmp_path):
    write_folder(tmp_path, {"train": {"cat": 3}})
    message = refused(tmp_path)
    assert "data of two classes or more" in message and "classes=('cat',)" in message


def test_a_folder_or_class_without_images_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "a folder of one folder for each class" in refused(tmp_path / "empty")
    write_folder(tmp_path / "some", {"train": {"cat": 3, "dog": 1}})
    (tmp_path / "some" / "train" / "bird").mkdir()
    message = refused(tmp_path / "some")
    assert "images (.jpg, .jpeg, .png) of each class" in message and "bird'" in message
    for label in ("cat", "dog"):
        (tmp_path / "none" / "train" / label).mkdir(parents=True)
        (tmp_path / "none" / "val" / label).mkdir(parents=True)
    assert "of each class" in refused(tmp_path / "none")
    assert "of this split" in refused(tmp_path / "none", "validation")
