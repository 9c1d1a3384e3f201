"""The networks that the paper compares SKNet with, from the same trunk."""

import functools

from keras_sknet.layers import BAMBottleneck, CBAMBottleneck, ResNeXtBottleneck, SEBottleneck
from keras_sknet.models.network import network

CARDINALITY = "cardinality: Integer, groups of the 3×3 convolutions. Defaults to `{cardinality}`."
GATED = f"""{CARDINALITY}
        reduction: Integer, of the gates. Defaults to `{{reduction}}`."""

resnext_network = functools.partial(
    network,
    ResNeXtBottleneck,
    block_arguments=CARDINALITY,
    reference="[Aggregated Residual Transformations](https://arxiv.org/abs/1611.05431).",
)
se_network = functools.partial(
    network,
    SEBottleneck,
    block_arguments=GATED,
    reference="[Squeeze-and-Excitation Networks](https://arxiv.org/abs/1709.01507).",
)
cbam_network = functools.partial(
    network,
    CBAMBottleneck,
    block_arguments=GATED,
    reference="[CBAM: Convolutional Block Attention Module](https://arxiv.org/abs/1807.06521).",
)
bam_network = functools.partial(
    network,
    ResNeXtBottleneck,
    last_block=BAMBottleneck,
    block_arguments=f"""{GATED}
        dilation_rate: Integer, of the gates' 3×3 convolutions. Defaults to `{{dilation_rate}}`.""",
    reference="[BAM: Bottleneck Attention Module](https://arxiv.org/abs/1807.06514).",
)

ResNeXt50 = resnext_network("ResNeXt50", "ResNeXt-50 32×4d.", depths=(3, 4, 6, 3))
ResNeXt101 = resnext_network("ResNeXt101", "ResNeXt-101 32×4d.", depths=(3, 4, 23, 3))
SENet50 = se_network("SENet50", "SENet-50: ResNeXt-50 with squeeze-and-excitation.", depths=(3, 4, 6, 3))
SENet101 = se_network("SENet101", "SENet-101: ResNeXt-101 with squeeze-and-excitation.", depths=(3, 4, 23, 3))
CBAMResNeXt50 = cbam_network("CBAMResNeXt50", "ResNeXt-50 with CBAM in every block.", depths=(3, 4, 6, 3))
CBAMResNeXt101 = cbam_network("CBAMResNeXt101", "ResNeXt-101 with CBAM in every block.", depths=(3, 4, 23, 3))
BAMResNeXt50 = bam_network("BAMResNeXt50", "ResNeXt-50 with BAM behind stages 2 to 4.", depths=(3, 4, 6, 3))
BAMResNeXt101 = bam_network(
    "BAMResNeXt101", "ResNeXt-101 with BAM behind stages 2 to 4.", depths=(3, 4, 23, 3)
)
