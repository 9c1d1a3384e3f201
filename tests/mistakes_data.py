"""Mistakes in data, as in `mistakes_models`."""

import math

from keras_sknet import data
from mistakes_layers import NAN
from mistakes_models import foreign, net


class Files:
    """A source of one file, which is empty."""

    class_names = ("a", "b")

    def __len__(self):
        return 1

    def element(self, index, seed, epoch):
        import tensorflow as tf

        return tf.constant(""), tf.constant(0)


def read(source):
    with data.naming_corrupt_files(source):
        list(data.evaluation_batches(source, 1, data.pad_crop_transform(8)))


DATA_MISTAKES = {
    "Digits": [
        (lambda: data.Digits("dev"), "`split` must be one of… Received: split='dev'"),
        (lambda: data.Digits(scales=(3.0,)), "`scales` must be some of… Received: scales=(3.0,)"),
    ],
    "batches": [
        (lambda: data.batches(range(9), 0), "`batch_size` must be a positive integer. …batch_size=0"),
        (lambda: data.batches(range(9), 10), "`batch_size` must be no more than the images… batch_size=10"),
        (lambda: data.batches(range(9), 3, epochs=0), "`epochs` must be… Received: epochs=0"),
        (lambda: data.batches(range(9), 3, shard=(3, 3)), "`shard` must be the number of… shard=(3, 3)"),
        (lambda: data.batches(range(9), 3, shard=(0, 2)), "`batch_size` must be a multiple of… shard=(0, 2)"),
        (lambda: data.batches(Files(), 1), "`transform` must be a function… Received: transform=None"),
    ],
    "evaluation_batches": [
        (lambda: data.evaluation_batches(Files(), 0), "`batch_size` must be a positive… batch_size=0"),
        (lambda: data.evaluation_batches(Files(), 1), "`transform` must be a function… transform=None"),
    ],
    "open_source": [
        (lambda: data.open_source("digit", "test"), "`text` must be 'digits',…(did you mean 'digits'?)…"),
        (lambda: data.open_source("folder:", "test"), "`text` must be 'digits', … text='folder:'"),
        (lambda: data.open_source(3, "test"), "`text` must be 'digits', … Received: text=3"),
        (lambda: data.open_source("digits", "dev"), "`split` must be one of… Received: split='dev'"),
        (lambda: data.open_source("folder:/no/where", "test"), "`text` must be a folder that exists…"),
        (lambda: data.open_source("digits", "test", "/tmp"), "`data_dir` must be None but… data_dir='/tmp'"),
        (lambda: data.open_source("tfds:mnist", "test", "/no"), "`data_dir` must be a folder that exists…"),
    ],
    "Subset": [
        (lambda: data.Subset(Files(), []), "`indices` must be one or more integers… indices=[]"),
        (lambda: data.Subset(Files(), [1]), "`indices` must be… Received: indices=[1], length=1"),
        (lambda: data.Subset(Files(), [0.5]), "`indices` must be… Received: indices=[0.5]"),
        (lambda: data.Subset(Files(), [-1]), "`indices` must be… Received: indices=[-1]"),
    ],
    "split_source": [
        (lambda: data.split_source(Files(), 1), "`held_out` must be a number of… held_out=1, length=1"),
        (lambda: data.split_source(Files(), 0.1), "`held_out` must be… Received: held_out=0.1, length=1"),
        (lambda: data.split_source(Files(), 1.0), "`held_out` must be… Received: held_out=1.0, length=1"),
        (lambda: data.split_source(Files(), math.nan), "`held_out` must be… Received: held_out=nan"),
        (lambda: data.split_source(Files(), math.inf), "`held_out` must be… Received: held_out=inf"),
        (lambda: data.split_source(Files(), "1"), "`held_out` must be… Received: held_out='1'"),
        (lambda: data.split_source(Files(), 1, seed=-1), "`seed` must be… Received: seed=-1"),
    ],
    "training_transform": [
        (lambda: data.training_transform(0), "`size` must be a positive integer or… size=0"),
        (lambda: data.training_transform(8, scale=(0, 1)), "`scale` must be two rising… scale=(0, 1)"),
        (lambda: data.training_transform(8, scale=(0.5, 2)), "`scale` must be two rising… scale=(0.5, 2)"),
        (lambda: data.training_transform(8, ratio=1), "`ratio` must be two rising… Received: ratio=1"),
        (lambda: data.training_transform(8, ratio=(2, 1)), "`ratio` must be… Received: ratio=(2, 1)"),
        (lambda: data.training_transform(8, interpolation="area"), "`interpolation` must be one of…'area'"),
    ],
    "pad_crop_transform": [
        (lambda: data.pad_crop_transform((8,)), "`size` must be a positive integer or a… size=(8,)"),
        (lambda: data.pad_crop_transform(8, padding=-1), "`padding` must be… Received: padding=-1"),
    ],
    "center_crop_transform": [
        (lambda: data.center_crop_transform(0, 8), "`resize` must be… Received: resize=0"),
        (lambda: data.center_crop_transform(8, 9), "`crop` must be no more than `resize`. …crop=(9, 9)"),
        (lambda: data.center_crop_transform(8, 8, "area"), "`interpolation` must be one of…'area'"),
    ],
    "Augmentation": [
        (lambda: data.Augmentation(mixup=2), "`mixup` must be a number from 0 to 1. Received: mixup=2"),
        (lambda: data.Augmentation(rand_augment=True), "`rand_augment` must be… rand_augment=True"),
        (lambda: data.Augmentation(erasing=NAN), "`erasing` must be… Received: erasing=nan"),
        (lambda: data.Augmentation(cutmix="1"), "`cutmix` must be… Received: cutmix='1'"),
    ],
    "find_corrupt": [
        (lambda: data.find_corrupt(Files(), ["0"]), "`indices` must be integers from 0… indices=['0']"),
        (lambda: data.find_corrupt(Files(), [1]), "`indices` must be… Received: indices=[1], length=1"),
    ],
    "skip_corrupt": [
        (lambda: data.skip_corrupt(Files()), "`source` must be of images… reason='is empty'"),
    ],
    "naming_corrupt_files": [
        (lambda: read(Files()), "`source` must be of images that can be read. …'element 0', which is empty"),
    ],
    "check_sizes": [
        (lambda: data.check_sizes(data.Digits(), 33), "`size` must be no more than… image=(32, 32)"),
        (lambda: data.check_sizes(data.Digits(), "3"), "`size` must be a positive… Received: size='3'"),
        (lambda: data.check_sizes(data.Digits(), 3, 0), "`sample` must be a positive… sample=0"),
    ],
    "decode": [
        (lambda: data.decode(3), "`contents` must be the bytes of one file. Received: contents='int32'"),
        (lambda: data.decode([b"", b""]), "`contents` must be the bytes… shape=(2,)"),
    ],
    "evaluation_transform": [
        (
            lambda: data.evaluation_transform(3),
            "`model` must be a keras.Model of one input, images with three channels. …model='int'",
        ),
        (lambda: data.evaluation_transform(foreign(2)), "`model` must be a keras.Model of one input"),
        (
            lambda: data.evaluation_transform(net(include_preprocessing=False, input_shape=(32, 32, 1))),
            "`model` must be… input_shape=(None, 32, 32, 1)",
        ),
        (lambda: data.evaluation_transform(net(), "32"), "`size` must be… Received: size='32'"),
    ],
}
