"""The selective kernel unit: split, fuse, select."""

import functools
import operator
from typing import NamedTuple

import keras
from keras import ops

from keras_sknet.layers.conv_norm_act import ConvNormAct, batch_norm
from keras_sknet.layers.foldable import Foldable
from keras_sknet.layers.initializers import he_normal
from keras_sknet.layers.recorder import record
from keras_sknet.ops.select import weighted_sum
from keras_sknet.validation import image_shape, positive_integer, positive_pair, require


class Branch(NamedTuple):
    """One kernel to select from: a grouped convolution, batch normalization and ReLU.

    Args:
        kernel_size: Odd integer, in pixels.
        dilation_rate: Integer. Defaults to `1`.
        groups: Integer. Defaults to `32`.

    Example:

    ```python
    seven_wide = keras_sknet.Branch(3, dilation_rate=3)
    ```

    Reference:
        Tables 6 and 7 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).
    """

    kernel_size: int
    dilation_rate: int = 1
    groups: int = 32


K3, K5, K7 = Branch(3), Branch(3, 2), Branch(3, 3)


@keras.saving.register_keras_serializable("keras_sknet")
class SelectiveKernel(Foldable):
    """Convolution that chooses its kernel: softmax attention, per channel, over branches.

    - Split: `U_m = ReLU(BN(conv_m(x)))` for each of M branches.
    - Fuse: `s = mean over space of sum of U_m`, `z = ReLU(BN(W s))`.
    - Select: `a = softmax over the M branches of the projection of z`, `V = sum of a_m * U_m`.

    Args:
        filters: Integer, number of output channels C. A multiple of every branch's groups.
        branches: Sequence of `Branch` (or of their tuples), one or more. Defaults to `(K3, K5)`. A single
            one makes the layer a plain convolution with batch normalization and ReLU.
        strides: Integer or pair, in pixels, of every branch. Defaults to `1`.
        reduction: Integer r. z has `max(filters // reduction, min_units)` units. Defaults to `16`.
        min_units: Integer L. Defaults to `32`.
        use_attention: Boolean. `False` adds the branches up without selection. Defaults to `True`.
        split_input: Boolean. `True` hands each branch its own share of the input channels instead of all
            of them. Defaults to `False`.
        **kwargs: `folded` of `ConvNormAct`; `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, channels a multiple of every branch's groups (with
        `split_input`, of M, and each share a multiple of them).

    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`.

    Raises:
        ValueError: for an argument or an input shape that cannot work.

    Example:

    ```python
    unit = keras_sknet.SelectiveKernel(64, branches=(keras_sknet.K3, keras_sknet.K5, keras_sknet.K7))
    x = keras.random.normal((2, 14, 14, 64))
    y = unit(x)  # (2, 14, 14, 64)
    a = unit.attention(x)  # (2, 3, 64), sums to 1 over the three branches
    ```

    Reference:
        Section 3.1 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586).
    """

    def __init__(
        self,
        filters,
        branches=(K3, K5),
        strides=1,
        reduction=16,
        min_units=32,
        use_attention=True,
        split_input=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = positive_integer("filters", filters)
        self.branches = standardize_branches(branches, filters=self.filters)
        self.strides = positive_pair("strides", strides)
        self.reduction = positive_integer("reduction", reduction)
        self.min_units = positive_integer("min_units", min_units)
        self.use_attention = bool(use_attention)
        self.split_input = bool(split_input)

        self.convolutions = [
            ConvNormAct(
                self.filters,
                branch.kernel_size,
                strides=self.strides,
                dilation_rate=branch.dilation_rate,
                groups=branch.groups,
                name=f"branch_{index}",
                **self.inherited,
            )
            for index, branch in enumerate(self.branches)
        ]
        if self.has_attention:
            units = max(self.filters // self.reduction, self.min_units)
            self.squeeze = keras.layers.Dense(
                units,
                use_bias=self.folded,
                kernel_initializer=he_normal(),
                dtype=self.dtype_policy,
                trainable=self.trainable,
                name="squeeze",
            )
            self.norm = None if self.folded else batch_norm(self.dtype_policy, self.trainable)
            self.projection = keras.layers.Dense(
                len(self.branches) * self.filters,
                use_bias=False,
                kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
                dtype=self.dtype_policy,
                trainable=self.trainable,
                name="projection",
            )

    @property
    def has_attention(self):
        """Whether there is anything to select: two branches or more, and `use_attention`."""
        return self.use_attention and len(self.branches) > 1

    def build(self, input_shape):
        shape = self._branch_shape(input_shape)
        for convolution in self.convolutions:
            convolution.build(shape)
        if self.has_attention:
            self.squeeze.build((shape[0], self.filters))
            if not self.folded:
                self.norm.build((shape[0], self.squeeze.units))
            self.projection.build((shape[0], self.squeeze.units))

    def call(self, inputs, training=None):
        if not self.has_attention:
            return functools.reduce(ops.add, self.split(inputs, training=training))
        if training and all(convolution.can_forget(inputs) for convolution in self.convolutions):
            features, again = self._split_and_forget(inputs)
        else:
            features, again = self.split(inputs, training=training), None
        weights = self.select(self.fuse(features, training=training))
        record(self.name, weights)
        return weighted_sum(features, weights, again)

    def split(self, inputs, training=False):
        """Returns the list of branch outputs U_m, each `(N, H', W', C)`."""
        branches = zip(self.convolutions, self._parts(inputs), strict=True)
        return [convolution(part, training=training) for convolution, part in branches]

    def fuse(self, features, training=False):
        """Returns z, `(N, d)`: what all branches together see, squeezed."""
        # Pooling is linear, so the sum U itself is never made.
        # Not `ops.add`, which takes no images for a bias.
        s = functools.reduce(operator.add, [ops.mean(u, axis=(1, 2)) for u in features])
        z = self.squeeze(s)
        if not self.folded:
            z = self.norm(z, training=training)
        return ops.relu(z)

    def select(self, z):
        """Returns the attention a as a list of M tensors `(N, C)` that sum to 1."""
        return _softmax(ops.split(self.projection(z), len(self.branches), axis=-1))

    def attention(self, inputs):
        """Computes the attention weights of the branches, in inference mode.

        Args:
            inputs: Tensor `(N, H, W, C_in)`.

        Returns:
            Tensor `(N, M, C)`, sums to 1 over M.

        Raises:
            ValueError: if the unit has a single branch or `use_attention=False`.
        """
        require(
            self.has_attention,
            "attention",
            "asked of a unit with two branches or more and use_attention=True",
            name=self.name,
            branches=self.branches,
            use_attention=self.use_attention,
        )
        inputs = ops.convert_to_tensor(inputs)
        if not self.built:
            self.build(inputs.shape)
        inputs = ops.cast(inputs, self.compute_dtype)
        return ops.stack(self.select(self.fuse(self.split(inputs))), axis=1)

    def _split_and_forget(self, inputs):
        """`split` in training, kept by nothing, and functions that make its tensors again."""
        branches = zip(self.convolutions, self._parts(inputs), strict=True)
        return zip(*[convolution.call_and_forget(part) for convolution, part in branches], strict=True)

    def _parts(self, inputs):
        """What each branch is given."""
        self._branch_shape(inputs.shape)
        count = len(self.branches)
        return ops.split(inputs, count, axis=-1) if self.split_input else [inputs] * count

    def _branch_shape(self, input_shape):
        """The shape of what each branch is given."""
        shape = image_shape(self, input_shape)
        if not self.split_input:
            return shape
        require(
            shape[-1] % len(self.branches) == 0,
            "inputs",
            "of channels divisible by the number of branches for split_input=True",
            input_shape=shape,
            branches=self.branches,
        )
        return (*shape[:-1], shape[-1] // len(self.branches))

    def compute_output_shape(self, input_shape):
        return self.convolutions[0].compute_output_shape(self._branch_shape(input_shape))

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "branches": [list(branch) for branch in self.branches],
            "strides": self.strides,
            "reduction": self.reduction,
            "min_units": self.min_units,
            "use_attention": self.use_attention,
            "split_input": self.split_input,
        }


def standardize_branches(branches, **channels):
    """Returns `branches` as a tuple of `Branch`, checked for a unit of so many `channels`, by their name."""
    ((argument, count),) = channels.items()
    require(
        isinstance(branches, (tuple, list))
        and not isinstance(branches, Branch)
        and len(branches) > 0
        and all(isinstance(branch, (tuple, list)) and 1 <= len(branch) <= 3 for branch in branches),
        "branches",
        "one Branch or more, in a tuple or list",
        branches=branches,
    )
    branches = tuple(Branch(*branch) for branch in branches)
    for branch in branches:
        positive_integer("kernel_size", branch.kernel_size)
        positive_integer("dilation_rate", branch.dilation_rate)
        positive_integer("groups", branch.groups)
        require(branch.kernel_size % 2 == 1, "branches", "of odd kernel_size", branches=branches)
        require(
            count % branch.groups == 0,
            "branches",
            f"of groups that divide `{argument}`",
            branches=branches,
            **channels,
        )
    return branches


def _softmax(logits):
    """Softmax over a list of tensors of one shape, element by element."""
    if len(logits) == 2:
        difference = logits[0] - logits[1]
        return [ops.sigmoid(difference), ops.sigmoid(-difference)]
    largest = functools.reduce(ops.maximum, logits)
    exponentials = [ops.exp(logit - largest) for logit in logits]
    total = functools.reduce(operator.add, exponentials)
    return [exponential / total for exponential in exponentials]
