"""The networks that the paper trains on CIFAR: one 3×3 convolution, three stages of three blocks."""

from keras_sknet.layers import Branch
from keras_sknet.models.baselines import resnext_network, se_network
from keras_sknet.models.sknet import sk_network

CIFAR = {
    "input_shape": (32, 32, 3),
    "classes": 10,
    "depths": (3, 3, 3),
    "widths": (512, 1024, 2048),
    "filters": (256, 512, 1024),
    "stem": "cifar",
}
INFERRED = """SKNet-29 for CIFAR, on the trunk of ResNeXt-29 16×32d.

    The paper prints 27.7M parameters and 4.2 GFLOPs, not the setting of the kernels. The default here, a 3×3
    and a 1×1 kernel of 16 groups with r = 32 and L = 16, is inferred: it is the only one found that gives
    both figures."""

ResNeXt29_16x32d = resnext_network(
    "ResNeXt29_16x32d", "ResNeXt-29 16×32d for CIFAR.", **CIFAR, cardinality=16
)
ResNeXt29_8x64d = resnext_network("ResNeXt29_8x64d", "ResNeXt-29 8×64d for CIFAR.", **CIFAR, cardinality=8)
ResNeXt29_16x64d = resnext_network(
    "ResNeXt29_16x64d",
    "ResNeXt-29 16×64d for CIFAR.",
    **{**CIFAR, "widths": (1024, 2048, 4096)},
    cardinality=16,
)
SENet29 = se_network(
    "SENet29", "SENet-29 for CIFAR: ResNeXt-29 8×64d with squeeze-and-excitation.", **CIFAR, cardinality=8
)
SKNet29 = sk_network(
    "SKNet29",
    INFERRED,
    **CIFAR,
    branches=(Branch(3, groups=16), Branch(1, groups=16)),
    reduction=32,
    min_units=16,
)
