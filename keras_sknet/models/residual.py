"""The trunk that all networks share: a stem, stages of blocks, a head, as a plain functional model."""

import functools

import keras

from keras_sknet.layers import Classifier, ImageNormalization, Stem
from keras_sknet.layers.classifier import standardize_class_names
from keras_sknet.models.pretrained import open_weights
from keras_sknet.validation import (
    activation_function,
    is_positive_integer,
    one_of,
    positive_integer,
    require,
)

FIRST_STAGE = 2  # as the paper counts: the stem is stage 1
MIN_SIZE = 32


def residual_network(
    make_block,
    function,
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="residual_network",
    *,
    include_preprocessing=True,
    class_names=None,
    depths=(3, 4, 6, 3),
    widths=(128, 256, 512, 1024),
    filters=(256, 512, 1024, 2048),
    stem="imagenet",
    stem_filters=64,
    stem_padding=None,
):
    """Builds a residual network of any block; `SKNet50` documents the other arguments.

    Args:
        make_block: Callable `(filters, width, strides, stage, block)` that returns a layer.
        function: Name of the network's function, of which weights may be published.

    Returns:
        A functional `keras.Model`.
    """
    depths, widths, filters = _standardize_stages(depths, widths, filters)
    _check_head(include_top, pooling, classes, classifier_activation, class_names)
    one_of("stem", stem, ("imagenet", "cifar"))
    positive_integer("stem_filters", stem_filters)
    one_of("stem_padding", stem_padding, (None, "same", "torch"))
    inputs = _image_input(input_tensor, input_shape, include_top, include_preprocessing)

    opened = open_weights(weights, function)
    settings = opened.settings
    if class_names is None and settings.class_names and len(settings.class_names) == classes:
        class_names = settings.class_names

    x = inputs
    if include_preprocessing:
        x = ImageNormalization(**settings.normalization, name="normalization")(x)
    x = Stem(stem_filters, stem, stem_padding or settings.stem_padding, name="stem")(x)
    for stage, depth in enumerate(depths, FIRST_STAGE):
        for block in range(1, depth + 1):
            strides = 2 if block == 1 and stage > FIRST_STAGE else 1
            index = stage - FIRST_STAGE
            x = make_block(filters[index], widths[index], strides, stage, block)(x)
    if include_top:
        x = keras.layers.GlobalAveragePooling2D("channels_last", name="avg_pool")(x)
        x = Classifier(classes, classifier_activation, class_names, name="predictions")(x)
    elif pooling == "avg":
        x = keras.layers.GlobalAveragePooling2D("channels_last", name="avg_pool")(x)
    elif pooling == "max":
        x = keras.layers.GlobalMaxPooling2D("channels_last", name="max_pool")(x)

    if input_tensor is not None:
        sources = keras.utils.get_source_inputs(inputs)
        inputs = sources[0] if len(sources) == 1 else sources
    model = keras.Model(inputs, x, name=name)
    if weights is not None:
        published = functools.partial(
            residual_network,
            make_block,
            function,
            name=name,
            depths=depths,
            widths=widths,
            filters=filters,
            stem=stem,
            stem_filters=stem_filters,
            stem_padding="torch",
        )
        # What the user put in front is not of the weights.
        network = model if input_tensor is None else keras.Model(input_tensor, x, name=name)
        opened.load(network, include_top, published)
    return model


def _standardize_stages(depths, widths, filters):
    stages = {"depths": depths, "widths": widths, "filters": filters}
    for argument, values in stages.items():
        require(
            isinstance(values, (tuple, list)) and len(values) in (3, 4),
            argument,
            "three or four integers, one a stage",
            **{argument: values},
        )
    # The defaults of four stages serve nets of three.
    count = len(depths)
    for argument, values in (("widths", widths), ("filters", filters)):
        require(
            len(values) >= count,
            argument,
            "as many integers as there are depths",
            **{argument: values, "depths": depths},
        )
    return tuple(
        tuple(positive_integer(argument, value) for value in values[:count])
        for argument, values in stages.items()
    )


def _check_head(include_top, pooling, classes, classifier_activation, class_names):
    one_of("pooling", pooling, (None, "avg", "max"))
    positive_integer("classes", classes)
    activation_function("classifier_activation", classifier_activation)
    require(
        class_names is None or include_top,
        "class_names",
        "None for include_top=False",
        class_names=class_names,
        include_top=include_top,
    )
    standardize_class_names(class_names, classes)


def _image_input(input_tensor, input_shape, include_top, include_preprocessing):
    if input_tensor is not None:
        require(
            keras.utils.is_keras_tensor(input_tensor),
            "input_tensor",
            "a Keras tensor, as keras.Input() returns",
            input_tensor=type(input_tensor).__name__,
        )
        shape = tuple(input_tensor.shape[1:])
        require(
            input_shape is None or (isinstance(input_shape, (tuple, list)) and tuple(input_shape) == shape),
            "input_shape",
            "None or the shape of `input_tensor`",
            input_shape=input_shape,
            input_tensor=input_tensor.shape,
        )
    elif input_shape is None:
        shape = (224, 224, 3) if include_top else (None, None, 3)
    else:
        shape = tuple(input_shape) if isinstance(input_shape, (tuple, list)) else input_shape
    argument = "input_shape" if input_tensor is None else "input_tensor"
    require(
        isinstance(shape, tuple)
        and len(shape) == 3
        and all(size is None or (is_positive_integer(size) and size >= MIN_SIZE) for size in shape[:2])
        and is_positive_integer(shape[2]),
        argument,
        f"(height, width, channels), height and width None or at least {MIN_SIZE}",
        **{argument: shape},
    )
    require(
        not include_preprocessing or shape[2] == 3,
        argument,
        "of 3 channels for include_preprocessing=True",
        **{argument: shape},
    )
    return keras.Input(shape) if input_tensor is None else input_tensor
