"""Networks as data: a block, its defaults, and the one signature and documentation that all share."""

import inspect

from keras_sknet.models.residual import residual_network

DOCUMENTATION = """{summary}

    Args:
        include_top: Boolean, whether to end in pooling and a classifier. Defaults to `{include_top}`.
        weights: `None` (random, default) or the path of a `.weights.h5` or `.keras` file that fits.
            Without a top it may be one of a network with a top.
        input_tensor: Keras tensor to build on, e.g. another model's output. Defaults to `None`.
        input_shape: `(height, width, channels)`. Height and width may be `None`, else 32 pixels or more.
            Defaults to `(224, 224, 3)`, without a top to `(None, None, 3)`.
        pooling: What a model without top ends in: `None` (default; 4D features), `"avg"` or `"max"`.
        classes: Integer, number of classes. Defaults to `{classes}`.
        classifier_activation: Activation of the classifier, `None` for logits. Defaults to `"softmax"`.
        name: Name of the model. Defaults to `"{name}"`.
        include_preprocessing: Boolean. `True` (default): the model takes raw RGB images, 0–255, and
            normalizes them itself. `False`: it takes what it is given, of any number of channels.
        class_names: Sequence of `classes` names that are saved with the model. Defaults to `None`.
        depths: Blocks of each stage, three or four integers. Defaults to `{depths}`.
        widths: Inner channels of each stage's blocks. Defaults to `{widths}`.
        filters: Output channels of each stage's blocks. Defaults to `{filters}`.
        stem: `"imagenet"` (7×7 of stride 2, max-pooling) or `"cifar"` (3×3). Defaults to `"{stem}"`.
        stem_filters: Integer, output channels of the stem. Defaults to `{stem_filters}`.
        stem_padding: How the stem's max-pooling pads: `"same"` as the paper's networks, or `"torch"` (by
            one on both sides). Defaults to `"{stem_padding}"`.
        {block_arguments}

    Input shape:
        `(batch, height, width, channels)`, values 0–255 with `include_preprocessing`.

    Output shape:
        `(batch, classes)`. Without a top `(batch, height / 32, width / 32, filters[-1])`, rounded up (one
        halving less with three stages, two less with the CIFAR stem), with pooling
        `(batch, filters[-1])`.

    Returns:
        A functional `keras.Model`. The blocks' layers are named `"{prefix}_<stage>_<block>"`, stages
        counted from 2 as in the paper.

    Raises:
        ValueError: for an argument that cannot work, or a weights file that does not fit.
        TypeError: for an unknown argument.

    Example:

    ```python
    model = keras_sknet.{function}(input_shape=(64, 64, 3), classes=10)
    ```

    Reference:
        {reference}
"""


def network(block, function, summary, block_arguments, reference, **defaults):
    """Returns a function that builds a residual network of `block`.

    Args:
        block: A final class of `Bottleneck`. Its arguments beyond filters, width and strides become
            arguments of the network.
        function: Name of the function; in small letters it is the default name of the model.
        summary: First line of its documentation.
        block_arguments: The documentation of the block's own arguments.
        reference: Where the network was published.
        **defaults: Defaults that differ from `residual_network`'s and the block's.
    """
    trunk = list(inspect.signature(residual_network).parameters.values())[1:]
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(block).parameters.values()
        if parameter.name not in ("filters", "width", "strides", "kwargs")
    ]
    defaults = {"name": function.lower(), **defaults}
    signature = inspect.Signature(
        [
            parameter.replace(default=defaults.get(parameter.name, parameter.default))
            for parameter in trunk + own
        ]
    )

    def build(*args, **kwargs):
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{function}(): {error}") from None
        bound.apply_defaults()
        options = bound.arguments
        block_options = {parameter.name: options.pop(parameter.name) for parameter in own}

        def make_block(filters, width, strides, stage, number):
            name = f"{block.name_prefix}_{stage}_{number}"
            return block(filters, width, strides, name=name, **block_options)

        return residual_network(make_block, **options)

    build.__name__ = build.__qualname__ = function
    build.__signature__ = signature
    values = {name: parameter.default for name, parameter in signature.parameters.items()}
    build.__doc__ = DOCUMENTATION.format(
        summary=summary,
        block_arguments=block_arguments.format(**values),
        reference=reference,
        function=function,
        prefix=block.name_prefix,
        **values,
    )
    return build
