"""Data sets of TensorFlow Datasets that are prepared on this machine."""

import os
from difflib import get_close_matches
from pathlib import Path

from keras_sknet.data.missing import split_missing
from keras_sknet.data.records import Records
from keras_sknet.extras import import_extra
from keras_sknet.validation import require

VALIDATION = ("validation", "val", "valid", "dev")
# Parts of the training split, in percent, that stand in for splits that a data set does not have.
HELD_OUT = {"validation": (90, 100)}
BOTH_HELD_OUT = {"validation": (80, 90), "test": (90, 100)}


class Tfds:
    """A split of a prepared data set of TensorFlow Datasets; images stay encoded until they are asked for.

    Elements are read by their number, of TFRecord files as of ArrayRecord files.

    A data set without a validation split lends the last 10 % of its training split (of CIFAR-10 this leaves
    45,000 to train on); one without a test split either lends another 10 %: 80 % are for training then, the
    next 10 % for validation, the last for test. The files are shuffled, always in the same way.

    Args:
        name: As `tfds.builder` takes it: `"cifar10"`, `"imagenette/320px"`, `"cifar10:3.0.2"`.
        split: `"train"`, `"validation"` or `"test"`.
        data_dir: Path of the folder that holds the prepared data sets. Defaults to `None`, TFDS' own.

    Raises:
        ValueError: if there is no such data set, split, or labelled images.
        ImportError: without `tensorflow_datasets`.
    """

    def __init__(self, name, split, data_dir=None):
        self._tfds = import_extra("tensorflow_datasets")
        self._text = f"tfds:{name}"
        builder = self._builder(name, data_dir)
        self._image, self._label = self._keys(builder.info)
        label = builder.info.features[self._label]
        self.class_names = tuple(label.names)
        self._features = self._tfds.features.FeaturesDict(
            {key: builder.info.features[key] for key in (self._image, self._label)}
        )
        sizes = {key: value.num_examples for key, value in builder.info.splits.items()}
        self._split, shares = _resolve(split, sizes)
        with split_missing():
            self._require(self._split, "a data set that has the split", split=split, found=list(sizes))
        count = sizes[self._split]
        self._first, last = (count * share // 100 for share in shares)
        self._count = last - self._first
        with split_missing():
            self._require(self._count > 0, "a data set with images in the split", split=split)
        self._records = self._open(builder)
        self._require(
            0 <= int(self.element(0, 0, 0)[1]) < label.num_classes,
            "a data set whose split has labels",
            split=self._split,
        )

    def __len__(self):
        return self._count

    def element(self, index, seed, epoch):
        """Contents and label of an image."""
        import tensorflow as tf

        record = tf.numpy_function(self._read, [index], tf.string, stateful=False)
        decoders = {self._image: self._tfds.decode.SkipDecoding()}
        example = self._features.deserialize_example(tf.ensure_shape(record, ()), decoders=decoders)
        return example[self._image], tf.cast(example[self._label], tf.int32)

    def describe(self, index):
        """Data set, split and number of an image."""
        return f"{self._text}, {self._split}[{self._first + index}]"

    def _read(self, index):
        return self._records[self._first + int(index)]

    def _require(self, condition, requirement, **received):
        require(condition, "text", requirement, text=self._text, **received)

    def _builder(self, name, data_dir):
        """The builder of a data set that is prepared on this machine."""
        where = data_dir and Path(os.path.expanduser(data_dir))
        require(not where or where.is_dir(), "data_dir", "a folder that exists", data_dir=data_dir)
        try:
            builder = self._tfds.builder(name, data_dir=where and str(where))
        except self._tfds.core.DatasetNotFoundError:
            near = near_names(name, where)
            hint = f" (did you mean {' or '.join(near)}?)" if near else ""
            self._require(False, f"the name of a data set of TensorFlow Datasets{hint}", data_dir=data_dir)
        except (ValueError, AssertionError, RuntimeError) as error:
            self._require(
                False, "the name of a data set, NAME or NAME/CONFIG", reason=str(error).splitlines()[0]
            )
        path = Path(builder.data_path)  # folder/name/version or folder/name/config/version
        where = next(parent for parent in path.parents if parent.name == builder.name).parent
        there = sorted(
            str(file.parent.relative_to(where)) for file in where.glob(f"{builder.name}/**/dataset_info.json")
        )
        self._require(
            builder.is_prepared() and len(builder.info.splits),
            "a data set that is prepared here, which `tfds build` does",
            data_dir=str(where),
            wanted=str(path.relative_to(where)),
            found=there,
        )
        return builder

    def _keys(self, info):
        """The names of image and label."""
        features = self._tfds.features
        images, labels = (
            [key for key, value in info.features.items() if isinstance(value, kind)]
            for kind in (features.Image, features.ClassLabel)
        )
        self._require(images and labels, "a data set of images with labels", features=list(info.features))
        keys = info.supervised_keys or ()
        if len(keys) == 2 and keys[0] in images and keys[1] in labels:
            return keys
        alone = len(images) == len(labels) == 1
        self._require(alone, "a data set with one label an image", images=images, labels=labels)
        return images[0], labels[0]

    def _open(self, builder):
        """What gives the records of the split by their number, as bytes."""
        kind = builder.info.file_format.value
        self._require(
            kind in ("tfrecord", "array_record"), "in TFRecord or ArrayRecord files", file_format=kind
        )
        if kind == "array_record":
            raw = self._tfds.decode.DeserializeMethod.RAW_BYTES
            records = builder.as_data_source(self._split, deserialize_method=raw)
        else:
            instructions = builder.info.splits[self._split].file_instructions
            try:
                records = Records([instruction.filename for instruction in instructions])
            except (OSError, ValueError) as error:
                self._require(False, "a data set of undamaged files", reason=str(error))
        count = builder.info.splits[self._split].num_examples
        self._require(len(records) == count, "a data set of whole files", records=len(records), images=count)
        return records


def near_names(name, data_dir=None):
    """Up to three names `tfds:…` of data sets, registered or prepared in a folder, that are much alike."""
    tfds = import_extra("tensorflow_datasets")
    known = set(tfds.list_builders(with_community_datasets=False))
    if data_dir is not None and data_dir.is_dir():
        known |= {path.name for path in data_dir.iterdir() if path.is_dir()}
    return [f"tfds:{near}" for near in get_close_matches(name.partition("/")[0].lower(), sorted(known))]


def _resolve(split, sizes):
    """The split of a data set that stands for one of ours (or `None`), and which part of it in percent."""
    validation = next((name for name in VALIDATION if name in sizes), None)
    own = {"train": "train", "validation": validation, "test": "test"}[split]
    held_out = {} if validation else HELD_OUT if "test" in sizes else BOTH_HELD_OUT
    if own in sizes:
        end = min((first for first, _ in held_out.values()), default=100) if split == "train" else 100
        return own, (0, end)
    if split in held_out and "train" in sizes:
        return "train", held_out[split]
    return None, None
