"""The networks that the paper compares SKNet with, from the same trunk."""

import functools

from keras_sknet.layers import ResNeXtBottleneck, SEBottleneck
from keras_sknet.models.network import network

CARDINALITY = "cardinality: Integer, groups of the 3×3 convolutions. Defaults to `{cardinality}`."

resnext_network = functools.partial(
    network,
    ResNeXtBottleneck,
    block_arguments=CARDINALITY,
    reference="[Aggregated Residual Transformations](https://arxiv.org/abs/1611.05431).",
)
se_network = functools.partial(
    network,
    SEBottleneck,
    block_arguments=f"""{CARDINALITY}
        reduction: Integer, of the gates. Defaults to `{{reduction}}`.""",
    reference="[Squeeze-and-Excitation Networks](https://arxiv.org/abs/1709.01507).",
)

ResNeXt50 = resnext_network("ResNeXt50", "ResNeXt-50 32×4d.", depths=(3, 4, 6, 3))
ResNeXt101 = resnext_network("ResNeXt101", "ResNeXt-101 32×4d.", depths=(3, 4, 23, 3))
SENet50 = se_network("SENet50", "SENet-50: ResNeXt-50 with squeeze-and-excitation.", depths=(3, 4, 6, 3))
SENet101 = se_network("SENet101", "SENet-101: ResNeXt-101 with squeeze-and-excitation.", depths=(3, 4, 23, 3))
