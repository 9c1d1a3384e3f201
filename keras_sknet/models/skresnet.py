"""Small selective kernel networks: a plain ResNet's blocks with an SK unit in each."""

import functools

from keras_sknet.layers import SKBasicBlock
from keras_sknet.models.network import network
from keras_sknet.models.sknet import SK_ARGUMENTS

skresnet_network = functools.partial(
    network,
    SKBasicBlock,
    block_arguments=SK_ARGUMENTS,
    reference="""Section 3.1 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586); the
        networks are those of [timm](https://github.com/huggingface/pytorch-image-models).""",
    widths=(64, 128, 256, 512),
    filters=(64, 128, 256, 512),
    stem_padding="torch",
)

SKResNet18 = skresnet_network("SKResNet18", "SKResNet-18, timm's smallest SK network.", depths=(2, 2, 2, 2))
SKResNet34 = skresnet_network("SKResNet34", "SKResNet-34, timm's small SK network.", depths=(3, 4, 6, 3))
