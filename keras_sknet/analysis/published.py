"""What the paper prints in its tables, as data, and the network that each row is here.

Figures are the strings of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586), CVPR 2019.
"""

from typing import NamedTuple

from keras_sknet.layers import K3, K5, K7, Branch


class Net(NamedTuple):
    """A network that can be built.

    Args:
        name: Name of the function or class that builds it.
        package: Whose it is. Defaults to `"keras_sknet"`.
        options: Pairs of its arguments' names and values. Defaults to `()`.
    """

    name: str
    package: str = "keras_sknet"
    options: tuple = ()


class Row(NamedTuple):
    """A row of a table: strings as printed, `""` where nothing is.

    Args:
        labels: What the row is, one string for each of the table's `labels`.
        errors: Top-1 errors, one for each of the table's `errors`.
        parameters: `"25.0M"`.
        giga: Multiply-adds, `"4.24"`. Defaults to `""`.
        net: `Net`, or `None` (default) for what cannot be built here.
    """

    labels: tuple
    errors: tuple
    parameters: str
    giga: str = ""
    net: Net | None = None


class Published(NamedTuple):
    """A table of the paper.

    Args:
        title: What it shows.
        labels: Names of the columns that tell what a row is.
        errors: Names of the columns of errors.
        rows: Tuple of `Row`.
        notes: Sentences on what differs, and why. Defaults to `()`.
    """

    title: str
    labels: tuple
    errors: tuple
    rows: tuple
    notes: tuple = ()


class Claim(NamedTuple):
    """A comparison that the paper's text makes between two networks of its tables.

    Args:
        text: The claim.
        printed: The figure in it.
        quantity: `"parameters"` or `"multiply-adds"`, by how many percent the first network has more than
            the second; or a column of errors, by how many points the second's is the higher.
        first, second: The first labels of rows of Table 2 or 3.
    """

    text: str
    printed: str
    quantity: str
    first: str
    second: str


def sknet50(*branches, use_attention=True):
    """SKNet-50 of other kernels."""
    return Net("SKNet50", options=(("branches", branches), ("use_attention", use_attention)))


def resnext50(**options):
    """ResNeXt-50 of other sizes."""
    return Net("ResNeXt50", options=tuple(options.items()))


RESNEXT_50, RESNEXT_101 = Net("ResNeXt50"), Net("ResNeXt101")
SENET_50, SENET_101 = Net("SENet50"), Net("SENet101")
SKNET_26, SKNET_50, SKNET_101 = Net("SKNet26"), sknet50(K3, K5), Net("SKNet101")
WIDER = resnext50(widths=(136, 272, 544, 1088), filters=(272, 544, 1088, 2176), cardinality=34)
DEEPER = resnext50(depths=(3, 4, 8, 3))
MORE_GROUPS = resnext50(widths=(144, 288, 576, 1152), cardinality=36)
DENSENET_264 = Net("DenseNet", "keras_hub", (("stackwise_num_repeats", (6, 12, 64, 48)), ("growth_rate", 32)))

CROPS = ("top-1 error 224", "top-1 error 320")
CROP = CROPS[:1]


def _applications(name):
    return Net(name, "keras.applications")


def _networks(*rows):
    """Rows of one label."""
    return tuple(Row((label,), *rest) for label, *rest in rows)


TABLE_2 = Published(
    "Table 2. Comparison at roughly equal complexity",
    ("network",),
    CROPS,
    _networks(
        ("ResNeXt-50", ("22.23", "21.05"), "25.0M", "4.24", RESNEXT_50),
        ("AttentionNeXt-56", ("21.76", ""), "31.9M", "6.32"),
        ("InceptionV3", ("", "21.20"), "27.1M", "5.73", _applications("InceptionV3")),
        ("ResNeXt-50 + BAM", ("21.70", "20.15"), "25.4M", "4.31", Net("BAMResNeXt50")),
        ("ResNeXt-50 + CBAM", ("21.40", "20.38"), "27.7M", "4.25", Net("CBAMResNeXt50")),
        ("SENet-50", ("21.12", "19.71"), "27.7M", "4.25", SENET_50),
        ("SKNet-50", ("20.79", "19.32"), "27.5M", "4.47", SKNET_50),
        ("ResNeXt-101", ("21.11", "19.86"), "44.3M", "7.99", RESNEXT_101),
        ("Attention-92", ("", "19.50"), "51.3M", "10.43"),
        ("DPN-92", ("20.70", "19.30"), "37.7M", "6.50"),
        ("DPN-98", ("20.20", "18.90"), "61.6M", "11.70"),
        ("InceptionV4", ("", "20.00"), "42.0M", "12.31", Net("InceptionV4", "zeromodels")),
        ("Inception-ResNetV2", ("", "19.90"), "55.0M", "13.22", _applications("InceptionResNetV2")),
        ("ResNeXt-101 + BAM", ("20.67", "19.15"), "44.6M", "8.05", Net("BAMResNeXt101")),
        ("ResNeXt-101 + CBAM", ("20.60", "19.42"), "49.2M", "8.00", Net("CBAMResNeXt101")),
        ("SENet-101", ("20.58", "18.61"), "49.2M", "8.00", SENET_101),
        ("SKNet-101", ("20.19", "18.40"), "48.9M", "8.46", SKNET_101),
    ),
    (
        "The paper prints about 0.1M parameters more for SENet and CBAM than either counting gives, and for "
        "ResNeXt-101 + BAM a figure between the two.",
        "BAM as its authors' code has it: batch normalization and ReLU behind every layer but the last of "
        "each branch, biases everywhere. The equations of BAM's paper put one batch normalization at the end "
        "of each branch instead: 2,694 parameters more, which no printed digit shows. Added to a plain "
        "ResNet-50, BAM and CBAM make 25,915,099 and 28,089,624 parameters here, as in pytorchcv.",
        "The Inception networks are counted at their own 299×299. InceptionV3 has no auxiliary classifier "
        "here; timm's has 27,161,264 parameters with it and 23,834,568 without.",
    ),
)

TABLE_3 = Published(
    "Table 3. ResNeXt-50 with more width, depth or cardinality, to match SKNet-50's complexity",
    ("network",),
    ("top-1 error 224", "gain"),
    _networks(
        ("ResNeXt-50 (32×4d)", ("22.23", ""), "25.0M", "4.24", RESNEXT_50),
        ("SKNet-50", ("20.79", "1.44"), "27.5M", "4.47", SKNET_50),
        ("ResNeXt-50, wider", ("22.13", "0.10"), "28.1M", "4.74", WIDER),
        ("ResNeXt-56, deeper", ("22.04", "0.19"), "27.3M", "4.67", DEEPER),
        ("ResNeXt-50 (36×4d)", ("22.00", "0.23"), "27.6M", "4.70", MORE_GROUPS),
    ),
    (
        "Wider: 34 groups, inner channels 136 to 1088, outer ones 272 to 2176. Deeper: 3-4-8-3 blocks. "
        "36×4d: inner channels 144 to 1152, outer ones as they were. These sizes are inferred: they give the "
        "printed figures.",
    ),
)

TABLE_6 = Published(
    "Table 6. SKNet-50 with other second kernels",
    ("kernel", "D", "G", "resulting kernel"),
    CROP,
    (
        Row(("3×3", "3", "32", "7×7"), ("20.97",), "27.5M", "4.47", sknet50(K3, K7)),
        Row(("3×3", "2", "32", "5×5"), ("20.79",), "27.5M", "4.47", SKNET_50),
        Row(("3×3", "1", "32", "3×3"), ("20.91",), "27.5M", "4.47", sknet50(K3, K3)),
        Row(("5×5", "1", "64", "5×5"), ("20.80",), "28.1M", "4.56", sknet50(K3, Branch(5, groups=64))),
        Row(("7×7", "1", "128", "7×7"), ("21.18",), "28.1M", "4.55", sknet50(K3, Branch(7, groups=128))),
    ),
    ("The printed 28.1M of the two last rows is the count with moving statistics; elsewhere it is without.",),
)


def _kernels(marks, error, parameters, giga):
    """A row of Table 7; `marks` are of K3, K5, K7 and SK."""
    branches = [branch for branch, mark in zip((K3, K5, K7), marks, strict=False) if mark == "✓"]
    labels = tuple(mark.replace("-", "") for mark in marks)
    return Row(labels, (error,), parameters, giga, sknet50(*branches, use_attention=marks[3] == "✓"))


TABLE_7 = Published(
    "Table 7. SKNet-50 with other sets of kernels",
    ("K3", "K5", "K7", "SK"),
    CROP,
    (
        _kernels("✓---", "22.23", "25.0M", "4.24"),
        _kernels("-✓--", "25.14", "25.0M", "4.24"),
        _kernels("--✓-", "25.51", "25.0M", "4.24"),
        _kernels("✓✓--", "21.76", "26.5M", "4.46"),
        _kernels("✓✓-✓", "20.79", "27.5M", "4.47"),
        _kernels("✓-✓-", "21.82", "26.5M", "4.46"),
        _kernels("✓-✓✓", "20.97", "27.5M", "4.47"),
        _kernels("-✓✓-", "23.64", "26.5M", "4.46"),
        _kernels("-✓✓✓", "23.09", "27.5M", "4.47"),
        _kernels("✓✓✓-", "21.47", "28.0M", "4.69"),
        _kernels("✓✓✓✓", "20.76", "29.3M", "4.70"),
    ),
)

TABLE_S9 = Published(
    "Table S9. Single 224×224 crop on ImageNet",
    ("network",),
    ("top-1 error",),
    _networks(
        ("ResNet-50", ("23.9",), "25.56M", "", _applications("ResNet50")),
        ("ResNet-101", ("22.6",), "44.55M", "", _applications("ResNet101")),
        ("ResNet-152", ("21.7",), "60.19M", "", _applications("ResNet152")),
        ("DenseNet-169 (k=32)", ("23.8",), "14.15M", "", _applications("DenseNet169")),
        ("DenseNet-201 (k=32)", ("22.6",), "20.01M", "", _applications("DenseNet201")),
        ("DenseNet-264 (k=32)", ("22.2",), "33.34M", "", DENSENET_264),
        ("DenseNet-232 (k=48)", ("21.3",), "55.80M"),
        ("ResNeXt-50 (32×4d)", ("22.2",), "25.00M", "", RESNEXT_50),
        ("ResNeXt-101 (32×4d)", ("21.2",), "44.30M", "", RESNEXT_101),
        ("DPN-68 (32×4d)", ("23.7",), "12.61M"),
        ("DPN-92 (32×3d)", ("20.7",), "37.67M"),
        ("DPN-98 (32×4d)", ("20.2",), "61.57M"),
        ("SENet-50", ("21.12",), "27.7M", "", SENET_50),
        ("SENet-101", ("20.58",), "49.2M", "", SENET_101),
        ("SKNet-26", ("22.74",), "16.8M", "", SKNET_26),
        ("SKNet-50", ("20.79",), "27.5M", "", SKNET_50),
        ("SKNet-101", ("20.19",), "48.9M", "", SKNET_101),
    ),
    (
        "ResNets of keras.applications have biases in their convolutions, and the stride of a block in its "
        "first 1×1 one.",
    ),
)

COMPARISONS = {"2": TABLE_2, "3": TABLE_3, "6": TABLE_6, "7": TABLE_7, "S9": TABLE_S9}

CLAIMS = (
    Claim("SKNet-50 has more parameters than ResNeXt-50", "10 %", "parameters", "SKNet-50", "ResNeXt-50"),
    Claim("SKNet-50 computes more than ResNeXt-50", "5 %", "multiply-adds", "SKNet-50", "ResNeXt-50"),
    Claim("SKNet-50 is better than ResNeXt-50", "1.44", CROPS[0], "SKNet-50", "ResNeXt-50"),
    Claim("wider is better than ResNeXt-50", "0.10", CROPS[0], "ResNeXt-50, wider", "ResNeXt-50"),
    Claim("deeper is better than ResNeXt-50", "0.19", CROPS[0], "ResNeXt-56, deeper", "ResNeXt-50"),
    Claim("36×4d is better than ResNeXt-50", "0.23", CROPS[0], "ResNeXt-50 (36×4d)", "ResNeXt-50"),
    Claim("SKNet-50 is better than ResNeXt-101", "0.32", CROPS[0], "SKNet-50", "ResNeXt-101"),
    Claim("ResNeXt-101 has more parameters than SKNet-50", "60 %", "parameters", "ResNeXt-101", "SKNet-50"),
    Claim("ResNeXt-101 computes more than SKNet-50", "80 %", "multiply-adds", "ResNeXt-101", "SKNet-50"),
    Claim("SKNet-50 is better than SENet-50", "0.3 to 0.4", CROPS[0], "SKNet-50", "SENet-50"),
    Claim("SKNet-50 is better than SENet-50", "0.3 to 0.4", CROPS[1], "SKNet-50", "SENet-50"),
    Claim("SKNet-101 is better than SENet-101", "0.3 to 0.4", CROPS[0], "SKNet-101", "SENet-101"),
    Claim("SKNet-101 is better than SENet-101", "0.3 to 0.4", CROPS[1], "SKNet-101", "SENet-101"),
    Claim("SKNet-50 has fewer parameters than SENet-50", "slightly", "parameters", "SKNet-50", "SENet-50"),
    Claim(
        "SKNet-101 has fewer parameters than SENet-101", "slightly", "parameters", "SKNet-101", "SENet-101"
    ),
    Claim("SKNet-50 is better than InceptionV3", "1.5 or more", CROPS[1], "SKNet-50", "InceptionV3"),
    Claim("SKNet-101 is better than InceptionV4", "1.5 or more", CROPS[1], "SKNet-101", "InceptionV4"),
    Claim(
        "SKNet-101 is better than Inception-ResNetV2",
        "1.5 or more",
        CROPS[1],
        "SKNet-101",
        "Inception-ResNetV2",
    ),
)


class Architecture(NamedTuple):
    """A column of Table 1.

    Args:
        label: Name of the network.
        net: `Net`.
        stages: Pairs of output size and layers, the stem's two first, the head last.
        parameters: `"25.0M"`.
        giga: Multiply-adds, `"4.24"`.
    """

    label: str
    net: Net
    stages: tuple
    parameters: str
    giga: str


def _stages(spatial, last):
    """Table 1's rows: `spatial` and `last` are formats of what a block has in the middle and at its end."""
    stages = [("112×112", "7×7, 64, stride 2"), ("56×56", "3×3 max pool, stride 2")]
    for index, (size, depth) in enumerate(zip((56, 28, 14, 7), (3, 4, 6, 3), strict=True)):
        width = 128 * 2**index
        layers = ["1×1, {w}", spatial, "1×1, {f}", *last]
        block = "; ".join(layers).format(w=width, f=2 * width, u=2 * width // 16)
        stages.append((f"{size}×{size}", f"[{block}] × {depth}"))
    return (*stages, ("1×1", "global average pool, 1000-d fc, softmax"))


TABLE_1 = (
    Architecture("ResNeXt-50 (32×4d)", RESNEXT_50, _stages("3×3, {w}, G=32", []), "25.0M", "4.24"),
    Architecture("SENet-50", SENET_50, _stages("3×3, {w}, G=32", ["fc, [{u}, {f}]"]), "27.7M", "4.25"),
    Architecture("SKNet-50", SKNET_50, _stages("SK[M=2, G=32, r=16], {w}", []), "27.5M", "4.47"),
)
