"""Mistakes in layers: by the public name they are made with, and what the package says of each."""

import keras
import numpy as np

import keras_sknet as sk
from nets import BRANCHES

X = np.zeros((2, 8, 8, 8), "float32")
FLAT = np.zeros((2, 8, 8), "float32")
UNKNOWN = keras.KerasTensor((None, 8, 8, None))
NAN, INF = float("nan"), float("inf")


def images(*shape):
    return np.zeros(shape, "float32")


def built(layer, channels=8):
    layer.build((None, 8, 8, channels))
    return layer


# {public name: [(the mistake, what is said; "…" stands for anything)]}
LAYER_MISTAKES = {
    "GroupedConv2D": [
        (lambda: sk.GroupedConv2D(8.0, 3), "`filters` must be a positive integer. Received: filters=8.0"),
        (lambda: sk.GroupedConv2D(True, 3), "`filters` must be a positive integer. Received: filters=True"),
        (lambda: sk.GroupedConv2D(6, 3, groups=4), "`filters` must be a multiple of… filters=6, groups=4"),
        (lambda: sk.GroupedConv2D(8, 3, groups=0), "`groups` must be a positive… Received: groups=0"),
        (lambda: sk.GroupedConv2D(8, 4), "`kernel_size` must be odd for padding='symmetric'. … =(4, 4)"),
        (lambda: sk.GroupedConv2D(8, (3, 3, 3)), "`kernel_size` must be a … Received: kernel_size=(3, 3, 3)"),
        (lambda: sk.GroupedConv2D(8, 3, strides=-2), "`strides` must be a positive … Received: strides=-2"),
        (lambda: sk.GroupedConv2D(8, 3, dilation_rate=0), "`dilation_rate` must be … dilation_rate=0"),
        (lambda: sk.GroupedConv2D(8, 3, padding="full"), "`padding` must be one of… padding='full'"),
        (
            lambda: sk.GroupedConv2D(8, 3, data_format="channels_first"),
            "`data_format` must be…='channels_first'",
        ),
        (lambda: sk.GroupedConv2D(8, 3, activation="rellu"), "`activation` must be an… activation='rellu'"),
        (
            lambda: sk.GroupedConv2D(8, 3, groups=4)(images(2, 8, 8, 6)),
            "`groups` must be a divisor of the input channels. Received: groups=4, input_shape=(2, 8, 8, 6)",
        ),
        (lambda: sk.GroupedConv2D(8, 3)(FLAT), "`inputs` must be images of… input_shape=(2, 8, 8)"),
        (lambda: sk.GroupedConv2D(8, 3)(None), "`inputs` must be images of… input_shape=()"),
        (lambda: sk.GroupedConv2D(8, 3)(UNKNOWN), "`inputs` must be… known channels… (None, 8, 8, None)"),
        # Without a word, twice the channels would be two groups.
        (
            lambda: built(sk.GroupedConv2D(8, 3))(images(2, 8, 8, 16)),
            "`inputs` must be images of shape (batch, height, width, 8)… input_shape=(2, 8, 8, 16)",
        ),
        (
            lambda: built(sk.GroupedConv2D(8, 3))(keras.KerasTensor((None, 8, 8, 16))),
            "`inputs` must be images of shape (batch, height, width, 8)… input_shape=(None, 8, 8, 16)",
        ),
        (
            lambda: sk.GroupedConv2D(8, 5, padding="valid")(images(1, 4, 9, 8)),
            "`inputs` must be at least as large as the dilated kernel. Received: size=(4, 9)",
        ),
    ],
    "BatchNormalization": [
        (lambda: sk.BatchNormalization(axis=[3]), "`axis` must be an integer. Received: axis=[3]"),
        (lambda: sk.BatchNormalization(momentum=1.5), "`momentum` must be… Received: momentum=1.5"),
        (lambda: sk.BatchNormalization(momentum=NAN), "`momentum` must be… Received: momentum=nan"),
        (lambda: sk.BatchNormalization(epsilon=-1e-3), "`epsilon` must be… Received: epsilon=-0.001"),
        (
            lambda: sk.BatchNormalization(axis=4)(X),
            "`inputs` must be of a known size on axis 4… (2, 8, 8, 8)",
        ),
        (lambda: sk.BatchNormalization()(UNKNOWN), "`inputs` must be of a known size on axis -1"),
    ],
    "ConvNormAct": [
        (lambda: sk.ConvNormAct(8, 2), "`kernel_size` must be odd for padding='symmetric'"),
        (lambda: sk.ConvNormAct(8, 3, groups=3), "`filters` must be a multiple of `groups`"),
        (lambda: sk.ConvNormAct(8, 3, activation=1), "`activation` must be… Received: activation=1"),
        (lambda: sk.ConvNormAct(8, 3)(FLAT), "`inputs` must be images of… input_shape=(2, 8, 8)"),
        (
            lambda: built(sk.ConvNormAct(8, 3))(images(2, 8, 8, 4)),
            "`inputs` must be… width, 8)… (2, 8, 8, 4)",
        ),
    ],
    "Branch": [
        (
            lambda: sk.SelectiveKernel(8, sk.Branch(3)),
            "`branches` must be one Branch or more… branches=Branch(",
        ),
        (lambda: sk.SelectiveKernel(8, [sk.Branch(4, 1, 2)]), "`branches` must be of odd kernel_size. …=4"),
        (lambda: sk.SelectiveKernel(8, [sk.Branch(3.0)]), "`kernel_size` must be… Received: kernel_size=3.0"),
        (lambda: sk.SelectiveKernel(8, [sk.Branch(3, 0)]), "`dilation_rate` must be… dilation_rate=0"),
        (lambda: sk.SelectiveKernel(8, [sk.Branch(3, 1, -1)]), "`groups` must be… Received: groups=-1"),
    ],
    "SelectiveKernel": [
        (lambda: sk.SelectiveKernel(0, BRANCHES), "`filters` must be a positive… Received: filters=0"),
        (lambda: sk.SelectiveKernel(8, ()), "`branches` must be one Branch or more… Received: branches=()"),
        (lambda: sk.SelectiveKernel(8, ["K3"]), "`branches` must be… Received: branches=['K3']"),
        (lambda: sk.SelectiveKernel(8), "`branches` must be of groups that divide `filters`. … filters=8"),
        (lambda: sk.SelectiveKernel(8, BRANCHES, strides=-1), "`strides` must be… Received: strides=-1"),
        (lambda: sk.SelectiveKernel(8, BRANCHES, reduction=0), "`reduction` must be… Received: reduction=0"),
        (lambda: sk.SelectiveKernel(8, BRANCHES, min_units=0), "`min_units` must be… Received: min_units=0"),
        (lambda: sk.SelectiveKernel(8, BRANCHES)(UNKNOWN), "`inputs` must be images of… known channels"),
        (lambda: sk.SelectiveKernel(8, BRANCHES)(images(2, 8, 8, 3)), "`groups` must be a divisor… groups=2"),
        (
            lambda: sk.SelectiveKernel(8, BRANCHES, split_input=True)(images(2, 8, 8, 5)),
            "`inputs` must be of channels divisible by the number of branches… input_shape=(2, 8, 8, 5)",
        ),
        (
            lambda: sk.SelectiveKernel(8, BRANCHES[:1]).attention(X),
            "`attention` must be asked of a unit with two…",
        ),
        (
            lambda: sk.SelectiveKernel(8, BRANCHES, use_attention=False).attention(X),
            "`attention` must be asked of a unit with two branches or more… use_attention=False",
        ),
        (lambda: sk.SelectiveKernel(8, BRANCHES).attention(FLAT), "`inputs` must be images of… (2, 8, 8)"),
        (
            lambda: built(sk.SelectiveKernel(8, BRANCHES)).attention(images(2, 8, 8, 4)),
            "`inputs` must be images of shape (batch, height, width, 8)… input_shape=(2, 8, 8, 4)",
        ),
    ],
    "SqueezeExcite": [
        (lambda: sk.SqueezeExcite(0), "`reduction` must be a positive integer. Received: reduction=0"),
        (lambda: sk.SqueezeExcite()(FLAT), "`inputs` must be images of… input_shape=(2, 8, 8)"),
        (lambda: built(sk.SqueezeExcite())(images(2, 8, 8, 1)), "`inputs` must be… width, 8)… (2, 8, 8, 1)"),
    ],
    "CBAM": [
        (lambda: sk.CBAM(0), "`reduction` must be a positive integer. Received: reduction=0"),
        (lambda: sk.CBAM()(FLAT), "`inputs` must be images of… input_shape=(2, 8, 8)"),
        (lambda: built(sk.CBAM())(images(2, 8, 8, 1)), "`inputs` must be… width, 8)… (2, 8, 8, 1)"),
    ],
    "BAM": [
        (lambda: sk.BAM(2.5), "`reduction` must be a positive integer. Received: reduction=2.5"),
        (lambda: sk.BAM(dilation_rate=0), "`dilation_rate` must be a positive… dilation_rate=0"),
        (lambda: sk.BAM()(UNKNOWN), "`inputs` must be images of… known channels for layer 'bam'"),
        (lambda: built(sk.BAM())(images(2, 8, 8, 1)), "`inputs` must be… width, 8)… (2, 8, 8, 1)"),
    ],
    "Stem": [
        (lambda: sk.Stem(0), "`filters` must be a positive integer. Received: filters=0"),
        (lambda: sk.Stem(kind="mnist"), "`kind` must be one of ('imagenet', 'cifar'). … kind='mnist'"),
        (lambda: sk.Stem(padding="valid"), "`padding` must be one of ('same', 'torch'). … padding='valid'"),
        (lambda: sk.Stem()(UNKNOWN), "`inputs` must be images of… known channels for layer 'stem'"),
    ],
    "Bottleneck": [
        (lambda: sk.layers.Bottleneck(8, 8), "Bottleneck must define `make_spatial`"),
    ],
    "ResNeXtBottleneck": [
        (
            lambda: sk.ResNeXtBottleneck(8, 6, cardinality=4),
            "`width` must be a multiple of `cardinality`… width=6",
        ),
        (lambda: sk.ResNeXtBottleneck(8, 8, cardinality=0), "`cardinality` must be… cardinality=0"),
        (lambda: sk.ResNeXtBottleneck(None, 8, cardinality=2), "`filters` must be… Received: filters=None"),
    ],
    "SEBottleneck": [
        (lambda: sk.SEBottleneck(8, 8, cardinality=2, reduction=-1), "`reduction` must be… reduction=-1"),
        (lambda: sk.SEBottleneck(8, 8, 0, cardinality=2), "`strides` must be… Received: strides=0"),
    ],
    "CBAMBottleneck": [
        (lambda: sk.CBAMBottleneck(8, 8, cardinality=2, reduction=0), "`reduction` must be… reduction=0"),
        (lambda: sk.CBAMBottleneck(8, 6, cardinality=4), "`width` must be a multiple of `cardinality`"),
    ],
    "BAMBottleneck": [
        (lambda: sk.BAMBottleneck(8, 8, cardinality=2, reduction=None), "`reduction` must be…=None"),
        (lambda: sk.BAMBottleneck(8, 8, 1, 2, dilation_rate=-1), "`dilation_rate` must be…=-1"),
    ],
    "SKBottleneck": [
        (lambda: sk.SKBottleneck(64, 8), "`branches` must be of groups that divide `width`. … width=8"),
        (lambda: sk.SKBottleneck(8, "8"), "`width` must be a positive integer. Received: width='8'"),
        (lambda: sk.SKBottleneck(8, 8, branches=[]), "`branches` must be… Received: branches=[]"),
        (lambda: sk.SKBottleneck(8, 8, branches=BRANCHES).attention(FLAT), "`inputs` must be… (2, 8, 8)"),
        (
            lambda: built(sk.SKBottleneck(8, 8, branches=BRANCHES)).attention(images(2, 8, 8, 16)),
            "`inputs` must be images of shape (batch, height, width, 8)… input_shape=(2, 8, 8, 16)",
        ),
        (
            lambda: sk.SKBottleneck(8, 8, branches=BRANCHES, use_attention=False).attention(X),
            "`attention` must be asked of a unit with two branches or more… use_attention=False",
        ),
    ],
    "SKBasicBlock": [
        (lambda: sk.SKBasicBlock(8, 0), "`width` must be a positive integer. Received: width=0"),
        (lambda: sk.SKBasicBlock(8, 6, branches=[(3, 1, 4)]), "`branches` must be of groups… width=6"),
        (lambda: sk.SKBasicBlock(8, 8)(images(2, 8, 8, 5)), "`inputs` must be of channels… (2, 8, 8, 5)"),
        (lambda: built(sk.SKBasicBlock(8, 8))(images(2, 8, 8, 4)), "`inputs` must be… (2, 8, 8, 2)"),
    ],
    "Classifier": [
        (lambda: sk.Classifier(0), "`units` must be a positive integer. Received: units=0"),
        (lambda: sk.Classifier(2, "sofmax"), "`activation` must be… Received: activation='sofmax'"),
        (lambda: sk.Classifier(2, class_names="ab"), "`class_names` must be… Received: class_names='ab'"),
        (lambda: sk.Classifier(2, class_names=["a"]), "`class_names` must be… class_names=['a'], classes=2"),
        (lambda: sk.Classifier(2, class_names=["a", "a"]), "`class_names` must be as many different names"),
        (lambda: sk.Classifier(2)(keras.KerasTensor((None, None))), "`inputs` must be of a known number of"),
    ],
    "ImageNormalization": [
        (lambda: sk.ImageNormalization(mean=0.5), "`mean` must be finite numbers, one a channel. …mean=0.5"),
        (lambda: sk.ImageNormalization(mean=(NAN, 0, 0)), "`mean` must be finite… mean=(nan, 0, 0)"),
        (lambda: sk.ImageNormalization(std=(1, INF, 1)), "`std` must be finite… Received: std=(1, inf, 1)"),
        (lambda: sk.ImageNormalization(std=(1, 0, 1)), "`std` must be as many positive… std=(1, 0, 1)"),
        (lambda: sk.ImageNormalization(std=(1, 1)), "`std` must be as many positive numbers as `mean`"),
        (lambda: sk.ImageNormalization(crop_fraction=0), "`crop_fraction` must be… crop_fraction=0"),
        (lambda: sk.ImageNormalization(interpolation="area"), "`interpolation` must be…='area'"),
        (lambda: sk.ImageNormalization()(images(2, 3)), "`inputs` must be images of… input_shape=(2, 3)"),
        (lambda: sk.ImageNormalization()(images(2, 8, 8, 1)), "`inputs` must be… width, 3)… (2, 8, 8, 1)"),
    ],
}
