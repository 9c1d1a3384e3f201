"""The residual block of the small networks: two 3×3 convolutions instead of a bottleneck."""

import keras

from keras_sknet.layers.bottleneck import SKBottleneck
from keras_sknet.layers.conv_norm_act import ConvNormAct
from keras_sknet.layers.selective_kernel import Branch

BRANCHES = (Branch(3, groups=1), Branch(3, 2, groups=1))


@keras.saving.register_keras_serializable("keras_sknet")
class SKBasicBlock(SKBottleneck):
    """Residual block of a `SelectiveKernel` unit and a 3×3 convolution.

    `SKBottleneck` without the reducing 1×1 convolution, and with a 3×3 one to end in. Its branches are not
    grouped: each sees its own share of the input channels instead.

    Args:
        filters: Integer, output channels.
        width: Integer, channels of the SK unit.
        strides: Integer or pair, of the SK unit's branches. Defaults to `1`.
        branches: Sequence of `Branch`, the kernels to select from. Defaults to a 3×3 and a dilated 3×3 one.
        reduction: Integer r of the SK unit. Defaults to `8`.
        min_units: Integer L of the SK unit. Defaults to `16`.
        use_attention: Boolean. `False` adds the branches up without selection. Defaults to `True`.
        split_input: Boolean. `True` hands each branch its own share of the channels. Defaults to `True`.
        **kwargs: `folded` of `ConvNormAct`; `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, with `split_input` channels a multiple of the number of branches.

    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`.

    Raises:
        ValueError: for an argument or an input shape that cannot work.

    Example:

    ```python
    block = keras_sknet.SKBasicBlock(128, 128, strides=2)
    x = keras.random.normal((1, 14, 14, 64))
    y = block(x)  # (1, 7, 7, 128)
    a = block.attention(x)  # (1, 2, 128)
    ```

    Reference:
        Section 3.1 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586); the block is that of
        [timm](https://github.com/huggingface/pytorch-image-models)'s `skresnet18`.
    """

    def __init__(
        self,
        filters,
        width,
        strides=1,
        branches=BRANCHES,
        reduction=8,
        min_units=16,
        use_attention=True,
        split_input=True,
        **kwargs,
    ):
        super().__init__(
            filters, width, strides, branches, reduction, min_units, use_attention, split_input, **kwargs
        )

    def make_reduce(self):
        return None

    def make_expand(self):
        return ConvNormAct(self.filters, 3, activation=None, name="expand", **self.inherited)
