"""Selective Kernel Networks."""

import functools

from keras_sknet.layers import K3, K5, SKBottleneck
from keras_sknet.models.network import network

SK_ARGUMENTS = """branches: Sequence of `Branch`, the kernels that every SK unit selects from; their
            groups are the cardinality. Defaults to `{branches}`.
        reduction: Integer r of the SK units. Defaults to `{reduction}`.
        min_units: Integer L of the SK units. Defaults to `{min_units}`.
        use_attention: Boolean. `False` adds the branches up without selection. Defaults to `True`.
        split_input: Boolean. `True` hands each branch its own share of the channels. Defaults to
            `{split_input}`."""

sk_network = functools.partial(
    network,
    SKBottleneck,
    block_arguments=SK_ARGUMENTS,
    reference="Section 3.2, Tables 1, 6 and 7 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).",
)

SKNet26 = sk_network("SKNet26", "SKNet-26, the small net of Table S9.", depths=(2, 2, 2, 2))
SKNet50 = sk_network("SKNet50", "SKNet-50, the paper's main network.", depths=(3, 4, 6, 3))
SKNet101 = sk_network("SKNet101", "SKNet-101, the paper's large network.", depths=(3, 4, 23, 3))
SKNetSmall = sk_network(
    "SKNetSmall",
    "A small SKNet of three stages for small images and quick trials; its sizes are this package's.",
    input_shape=(32, 32, 3),
    classes=10,
    depths=(1, 2, 2),
    # The time goes into the large maps of the first stage, so that one is narrow and shallow.
    widths=(8, 32, 64),
    filters=(16, 64, 128),
    stem="cifar",
    stem_filters=8,
    branches=(K3._replace(groups=2), K5._replace(groups=2)),
)
SKNetThin = sk_network(
    "SKNetThin",
    "An SKNet of four thin stages for images of 32×32: 9.9 million multiply-adds; its sizes are new.",
    input_shape=(32, 32, 3),
    classes=10,
    depths=(1, 2, 2, 2),
    # Large maps cost memory traffic, small ones hold the parameters.
    widths=(4, 16, 48, 128),
    filters=(16, 32, 96, 256),
    stem="cifar",
    stem_filters=8,
    branches=(K3._replace(groups=4), K5._replace(groups=4)),
)
