import numpy as np
import pytest
from data_sources import encoded, picture

from keras_sknet.data import (
    batches,
    decode,
    evaluation_batches,
    evaluation_transform,
    open_source,
    training_transform,
)
from nets import small

tfds = pytest.importorskip("tensorflow_datasets")

FORMATS = ("tfrecord", "array_record")
SIZES = {"train": 20, "test": 5}


def file_of(split, number):
    return encoded(picture(36 + number, 48, seed=number + 100 * (split == "test")))


class TinyPhotos(tfds.core.GeneratorBasedBuilder):
    """JPEG files, a label and more; no validation split."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="plain"), tfds.core.BuilderConfig(name="alone")]

    def _info(self):
        features = {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=["cat", "dog", "bird"]),
            "other": tfds.features.ClassLabel(num_classes=9),
            "number": np.int64,
        }
        features = tfds.features.FeaturesDict(features)
        return self.dataset_info_from_configs(features=features, supervised_keys=("image", "label"))

    def _split_generators(self, dl_manager):
        splits = SIZES if self.builder_config.name == "plain" else {"train": 20}
        return {split: self._generate_examples(split, size) for split, size in splits.items()}

    def _generate_examples(self, split, size):
        import io

        for number in range(size):
            image = io.BytesIO(file_of(split, number))
            yield number, {"image": image, "label": number % 3, "other": 5, "number": number}


class TinyGrey(tfds.core.GeneratorBasedBuilder):
    """Like MNIST: grey, encoded as PNG."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(28, 28, 1)),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples(),
            "validation": self._generate_examples(),
            "test": self._generate_examples(labels=False),
        }

    def _generate_examples(self, labels=True):
        for number in range(10):
            image = np.full((28, 28, 1), 20 * number, "uint8")
            yield number, {"image": image, "label": number if labels else -1}


class TinyTexts(tfds.core.GeneratorBasedBuilder):
    """No images."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"text": tfds.features.Text()})
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        yield 0, {"text": "a"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """{file format: folder of prepared data sets}"""
    tfds.disable_progress_bar()
    found = {}
    for file_format in FORMATS:
        found[file_format] = folder = tmp_path_factory.mktemp(file_format)
        TinyPhotos(data_dir=folder, config="plain", file_format=file_format).download_and_prepare()
        TinyGrey(data_dir=folder, file_format=file_format).download_and_prepare()
    TinyPhotos(data_dir=found["tfrecord"], config="alone").download_and_prepare()
    TinyTexts(data_dir=found["tfrecord"]).download_and_prepare()
    return found


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("cache", [False, True])
def test_images_stay_encoded_and_keep_their_labels(folders, file_format, cache):
    source = open_source("tfds:tiny_photos/plain", "test", folders[file_format], cache=cache)
    assert source.class_names == ("cat", "dog", "bird") and len(source) == 5
    files = {file_of("test", number): number % 3 for number in range(5)}
    elements = [source.element(index, 0, 0) for index in (4, 2, 0, 1, 3)]
    assert {image.numpy(): int(label) for image, label in elements} == files
    assert source.describe(3) == "tfds:tiny_photos/plain, test[3]"


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_last_tenth_of_the_training_split_validates(folders, file_format):
    train, validation = (
        open_source("tfds:tiny_photos/plain", split, folders[file_format])
        for split in ("train", "validation")
    )
    files = [
        [source.element(i, 0, 0)[0].numpy() for i in range(len(source))] for source in (train, validation)
    ]
    assert [len(part) for part in files] == [18, 2]
    assert set(sum(files, [])) == {file_of("train", number) for number in range(20)}
    assert validation.describe(0) == "tfds:tiny_photos/plain, train[18]"


def test_one_split_serves_for_three(folders):
    sources = [
        open_source("tfds:tiny_photos/alone", split, folders["tfrecord"])
        for split in ("train", "validation", "test")
    ]
    files = [[source.element(i, 0, 0)[0].numpy() for i in range(len(source))] for source in sources]
    assert [len(part) for part in files] == [16, 2, 2] and len(set(sum(files, []))) == 20


@pytest.mark.parametrize("file_format", FORMATS)
def test_grey_images_become_rgb(folders, file_format):
    source = open_source("tfds:tiny_grey", "validation", folders[file_format])
    assert len(source) == 10 and source.class_names == tuple("0123456789")
    transform = evaluation_transform(small())
    images, labels, weights = next(iter(evaluation_batches(source, 10, transform)))
    assert images.shape == (10, 32, 32, 3)
    np.testing.assert_allclose(images[:, 5, 7], 20.0 * np.repeat(labels[:, None], 3, axis=1), atol=1e-2)
    assert decode(source.element(0, 0, 0)[0]).shape == (28, 28, 3)


def test_a_stream_repeats_itself_and_can_be_taken_up_in_both_formats(folders):
    found = []
    for file_format, first in (("tfrecord", 0), ("tfrecord", 3), ("array_record", 3)):
        source = open_source("tfds:tiny_photos/plain", "train", folders[file_format])
        stream = batches(source, 4, epochs=2, seed=1, first_step=first, transform=training_transform(16))
        found.append(list(stream.as_numpy_iterator()))
    assert [len(stream) for stream in found] == [8, 5, 5]
    for others in found[1:]:
        for (images, labels), (expected, numbers) in zip(others, found[0][3:], strict=True):
            np.testing.assert_array_equal(images, expected)
            np.testing.assert_array_equal(labels, numbers)


def refused(text, split, data_dir):
    with pytest.raises(ValueError) as caught:
        open_source(text, split, data_dir)
    assert "\n" not in str(caught.value) and f"text={text!r}" in str(caught.value)
    return str(caught.value)


def test_an_unknown_data_set_has_near_names(folders):
    message = refused("tfds:cifar11", "train", folders["tfrecord"])
    assert (
        "the name of a data set of TensorFlow Datasets (did you mean " in message
        and "tfds:cifar10" in message
    )
    assert "tfds:tiny_photos" in refused("tfds:tiny_photo", "train", folders["tfrecord"])
    assert "(did you" not in refused("tfds:qqqqqqqq", "train", folders["tfrecord"])
    assert "a data set, NAME or NAME/CONFIG" in refused("tfds:../x", "train", folders["tfrecord"])
    assert "a data set, NAME or NAME/CONFIG" in refused(
        "tfds:tiny_photos/plane", "train", folders["tfrecord"]
    )


def test_what_is_not_prepared_is_not_downloaded(folders):
    message = refused("tfds:cifar10", "train", folders["tfrecord"])
    assert "a data set that is prepared here" in message and "wanted='cifar10/3.0.2', found=[]" in message
    message = refused("tfds:tiny_photos/alone", "train", folders["array_record"])
    assert "found=['tiny_photos/plain/1.0.0']" in message


def test_what_has_no_labelled_images_or_no_such_split_is_refused(folders):
    assert "images with labels" in refused("tfds:tiny_texts", "train", folders["tfrecord"])
    assert "whose split has labels" in refused("tfds:tiny_grey", "test", folders["tfrecord"])
    with pytest.raises(ValueError, match="`data_dir` must be a folder that exists"):
        open_source("tfds:cifar10", "train", folders["tfrecord"] / "missing")


@pytest.mark.parametrize("damage", ["cut", "missing", "other"])
def test_damaged_record_files_are_named(folders, tmp_path, damage):
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(folders["tfrecord"] / "tiny_photos", folder / "tiny_photos")
    (file,) = folder.rglob("*plain/**/*test.tfrecord*")
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-5] if damage == "cut" else b"something else, not of this kind")
    message = refused("tfds:tiny_photos/plain", "test", folder)
    assert "a data set of undamaged files" in message and file.name in message


def test_without_the_package_the_error_names_the_extra(uninstalled):
    uninstalled("tensorflow_datasets")
    message = r'^tensorflow-datasets is not installed: pip install "keras_sknet\[tfds\]"$'
    with pytest.raises(ImportError, match=message):
        open_source("tfds:cifar10", "train")
    with pytest.raises(ValueError, match=r"\(did you mean 'digits'\?\)\. Received: text='digit'"):
        open_source("digit", "train")
