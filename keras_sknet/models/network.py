"""Networks as data: a block, its defaults, and the one signature and documentation that all share."""

import inspect

from keras_sknet.models.residual import FIRST_STAGE, residual_network
from keras_sknet.weights.published import PUBLISHED
from keras_sknet.weights.shipped import SHIPPED

DOCUMENTATION = """{summary}

    Args:
        include_top: Boolean, whether to end in pooling and a classifier. Defaults to `{include_top}`.
        weights: What to start from. Defaults to `None`: random. With another number of classes than the
            weights have, all but the classifier is loaded, and a line says so; without a top it is
            passed over.

            - {imagenet}
            - `"timm/NAME.TAG"` or `"timm/NAME.TAG@REVISION"`: weights of timm's on the Hugging Face hub,
              where the architecture is the same; their licence is printed.
            - The path of a `.safetensors` file with timm's names. What they say of themselves, in a
              `config.json` beside them, is followed: the stem's padding, the normalization, crop and
              interpolation, the names of classes. Else it is timm's padding and ImageNet's normalization.
              An argument that says otherwise goes before.
            - The path of a `.keras` file, of which the same is followed, or of a `.weights.h5` file, which
              says nothing of these.
        input_tensor: Keras tensor to build on, e.g. another model's output. Defaults to `None`.
        input_shape: `(height, width, channels)`. Height and width may be `None`, else 32 pixels or more.
            Defaults to {shape}.
        pooling: What a model without top ends in: `None` (default; 4D features), `"avg"` or `"max"`.
        classes: Integer, number of classes. Defaults to `{classes}`.
        classifier_activation: Activation of the classifier, `None` for logits. Defaults to `"softmax"`.
        name: Name of the model. Defaults to `"{name}"`.
        include_preprocessing: Boolean. `True` (default): the model takes raw RGB images, 0–255, and
            normalizes them itself. `False`: it takes what it is given, of any number of channels;
            `preprocess_input` prepares images.
        class_names: Sequence of `classes` names that are saved with the model. Defaults to `None`: the
            weights', if they have so many.
        depths: Blocks of each stage, three or four integers. Defaults to `{depths}`.
        widths: Inner channels of each stage's blocks. Defaults to `{widths}`.
        filters: Output channels of each stage's blocks. Defaults to `{filters}`.
        stem: `"imagenet"` (7×7 of stride 2, max-pooling) or `"cifar"` (3×3). Defaults to `"{stem}"`.
        stem_filters: Integer, output channels of the stem. Defaults to `{stem_filters}`.
        stem_padding: How the stem's max-pooling pads: `"same"` as the paper's networks, or `"torch"` (by
            one on both sides). Defaults to {padding}.
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
        FileNotFoundError: if the weights are not there, or the hub cannot be reached.
        ImportError: if weights need a package (the extra `pretrained`) that is not installed.

    Example:

    ```python
    model = keras_sknet.{function}(input_shape=(64, 64, 3), classes=10)
    ```

    Reference:
        {reference}
"""


def network(block, function, summary, block_arguments, reference, last_block=None, **defaults):
    """Returns a function that builds a residual network of `block`.

    Args:
        block: A final class of `Bottleneck`. Its arguments beyond filters, width and strides become
            arguments of the network.
        function: Name of the function; in small letters it is the default name of the model.
        summary: First line of its documentation.
        block_arguments: The documentation of the block's own arguments.
        reference: Where the network was published.
        last_block: The class of the last block in each stage but the last, a subclass of `block`, whose
            arguments become the network's instead. Defaults to `block`.
        **defaults: Defaults that differ from `residual_network`'s and the block's.
    """
    last_block = last_block or block
    trunk = list(inspect.signature(residual_network).parameters.values())[2:]
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(last_block).parameters.values()
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
            ends = enumerate(options["depths"][:-1], FIRST_STAGE)
            made = last_block if (stage, number) in ends else block
            taken = inspect.signature(made).parameters
            arguments = {key: value for key, value in block_options.items() if key in taken}
            name = f"{last_block.name_prefix}_{stage}_{number}"
            return made(filters, width, strides, name=name, **arguments)

        return residual_network(make_block, function, **options)

    build.__name__ = build.__qualname__ = function
    build.__module__ = "keras_sknet.models"  # where pickle finds it
    build.__signature__ = signature
    values = {name: parameter.default for name, parameter in signature.parameters.items()}
    build.__doc__ = DOCUMENTATION.format(
        summary=summary,
        block_arguments=block_arguments.format(**values),
        reference=reference,
        function=function,
        prefix=last_block.name_prefix,
        shape=_default_shape(values["input_shape"]),
        imagenet=_published(function),
        padding='`None`: the weights\', without any `"same"`'
        if values["stem_padding"] is None
        else f'`"{values["stem_padding"]}"`',
        **values,
    )
    return build


def _default_shape(shape):
    """How the documentation puts it."""
    return f"`{shape}`" if shape else "`(224, 224, 3)`, without a top to `(None, None, 3)`"


def _published(function):
    if function in SHIPPED:
        names = ", ".join(f'`"{name}"`' for name in SHIPPED[function])
        return f"{names}: weights that come with this package (docs/results.md)."
    if function in PUBLISHED:
        return f'`"imagenet"`: `"{PUBLISHED[function]}"`.'
    return f'`"imagenet"` is an error: no weights of {function} are published.'
