"""Mistakes in networks and operations: by the public name they are made with, and what is said of each."""

import functools

import keras

import keras_sknet as sk
from keras_sknet import ops
from mistakes_layers import FLAT, X, images
from nets import tiny


@functools.cache
def net(**options):
    return tiny(**options)


@functools.cache
def foreign(inputs=1):
    tensors = [keras.Input((32, 32, 3)) for _ in range(inputs)]
    return keras.Model(tensors, [keras.layers.Flatten()(tensor) for tensor in tensors], name="foreign")


class Subclass(keras.Model):
    pass


# As in `mistakes_layers`; "networks" are all of them, by one example.
MODEL_MISTAKES = {
    "networks": [
        (lambda: tiny(pooling="mean"), "`pooling` must be one of (None, 'avg', 'max'). …pooling='mean'"),
        (lambda: tiny(classes=0), "`classes` must be a positive integer. Received: classes=0"),
        (lambda: tiny(classes=5.0), "`classes` must be a positive integer. Received: classes=5.0"),
        (lambda: tiny(classifier_activation="max"), "`classifier_activation` must be…='max'"),
        (lambda: tiny(class_names=["a"]), "`class_names` must be… class_names=['a'], classes=5"),
        (lambda: tiny(class_names="abcde"), "`class_names` must be… Received: class_names='abcde'"),
        (lambda: tiny(class_names=list("abcda")), "`class_names` must be as many different names as"),
        (lambda: tiny(class_names=5), "`class_names` must be… Received: class_names=5"),
        (
            lambda: tiny(include_top=False, class_names=list("abcde")),
            "`class_names` must be None… include_top=False",
        ),
        (lambda: tiny(depths=(1, 1)), "`depths` must be three or four integers… depths=(1, 1)"),
        (lambda: tiny(depths=(1, 0, 1)), "`depths` must be a positive integer. Received: depths=0"),
        (
            lambda: tiny(widths=(8, 8, 16)),
            "`widths` must be as many integers as there are depths… (8, 8, 16)",
        ),
        (lambda: tiny(filters=8), "`filters` must be three or four integers… Received: filters=8"),
        (lambda: tiny(widths=(7, 8, 8, 8)), "`branches` must be of groups that divide `width`. … width=7"),
        (lambda: tiny("SENet50", widths=(7, 8, 8, 8)), "`width` must be a multiple of `cardinality`. …=7"),
        (lambda: tiny("ResNeXt50", cardinality=-2), "`cardinality` must be… Received: cardinality=-2"),
        (lambda: tiny(stem="mnist"), "`stem` must be one of ('imagenet', 'cifar'). Received: stem='mnist'"),
        (lambda: tiny(stem_filters=0), "`stem_filters` must be… Received: stem_filters=0"),
        (lambda: tiny(stem_padding="valid"), "`stem_padding` must be one of… stem_padding='valid'"),
        (lambda: tiny(branches=()), "`branches` must be one Branch or more… Received: branches=()"),
        (lambda: tiny(reduction=0), "`reduction` must be a positive integer. Received: reduction=0"),
        (lambda: tiny(min_units=0), "`min_units` must be a positive integer. Received: min_units=0"),
        (lambda: tiny(input_shape=(31, 32, 3)), "`input_shape` must be (height, width, … (31, 32, 3)"),
        (lambda: tiny(input_shape=(32, 32)), "`input_shape` must be… Received: input_shape=(32, 32)"),
        (lambda: tiny(input_shape=32), "`input_shape` must be… Received: input_shape=32"),
        (lambda: tiny(input_shape=(32, 32, None)), "`input_shape` must be… input_shape=(32, 32, None)"),
        (lambda: tiny(input_shape=(32, 32, 4)), "`input_shape` must be of 3 channels for include_preproc"),
        (
            lambda: tiny(input_shape=(32, 32, True), include_preprocessing=False),
            "`input_shape` must be… (32, 32, True)",
        ),
        (lambda: tiny(input_shape=None, input_tensor=X), "`input_tensor` must be a Keras… ='ndarray'"),
        (
            lambda: tiny(input_shape=None, input_tensor=keras.Input((8, 8, 3))),
            "`input_tensor` must be… (8, 8, 3)",
        ),
        (
            lambda: tiny(input_shape=(32, 32, 3), input_tensor=keras.Input((40, 40, 3))),
            "`input_shape` must be None or the shape of `input_tensor`. Received: input_shape=(32, 32, 3)",
        ),
        (
            lambda: tiny("SKNet26", weights="imagenet"),
            "`weights` must be a file or None for SKNet26… SKNet50",
        ),
        (
            lambda: tiny(weights="image_net"),
            "`weights` must be None, 'imagenet', 'cifar10' (SKNetThin), 'timm/NAME.TAG' or the path",
        ),
        (
            lambda: tiny(weights="x.pth"),
            "`weights` must be a .safetensors file, not one of PyTorch's pickles",
        ),
        (lambda: tiny(weights=1), "`weights` must be None, 'imagenet', … weights=1"),
        (
            lambda: sk.SKNetSmall(name="a/b"),
            "`name` must be a string and cannot contain character `/`… name=a/b",
        ),
    ],
    "feature_pyramid": [
        (lambda: sk.feature_pyramid(3), "`model` must be a functional keras.Model. …model='int'"),
        (lambda: sk.feature_pyramid(Subclass()), "`model` must be a functional…'Subclass'"),
        (
            lambda: sk.feature_pyramid(keras.Sequential([keras.Input((8, 8, 3))])),
            "`model` must be a functional keras.Model. …model='Sequential'",
        ),
        (lambda: sk.feature_pyramid(foreign()), "`model` must be a network of this package…'foreign'"),
    ],
    "freeze_stages": [
        (lambda: sk.freeze_stages(None, 2), "`model` must be a keras.Model. …model='NoneType'"),
        (lambda: sk.freeze_stages(foreign(), 2), "`model` must be a network of this package, or"),
        (lambda: sk.freeze_stages(net(), 6), "`through` must be one of… Received: through=6"),
        (lambda: sk.freeze_stages(net(), "head"), "`through` must be… Received: through='head'"),
        (lambda: sk.freeze_stages(net(), [2]), "`through` must be… Received: through=[2]"),
    ],
    "fold_batch_norm": [
        (lambda: sk.fold_batch_norm(3), "`model` must be a functional keras.Model, or… model='int'"),
        (lambda: sk.fold_batch_norm(Subclass()), "`model` must be a functional… model='Subclass'"),
    ],
    "replace_grouped_convolutions": [
        (lambda: sk.replace_grouped_convolutions(None), "`model` must be a functional… model='NoneType'"),
        (
            lambda: sk.replace_grouped_convolutions(keras.Sequential()),
            "`model` must be a functional keras.Model, or a Sequential one that is built… model='Sequential'",
        ),
    ],
    "preprocess_input": [
        (lambda: sk.preprocess_input(X, "channels_first"), "`data_format` must be 'channels_last'. …_first'"),
        (lambda: sk.preprocess_input(images(2, 32, 32, 4)), "`x` must be images of shape… x=(2, 32, 32, 4)"),
        (lambda: sk.preprocess_input(3), "`x` must be images of shape… Received: x='int'"),
        (
            lambda: sk.preprocess_input(images(2, 32, 32, 3), std=(1, 0, 1)),
            "`std` must be as many positive numbers as `mean`. Received: std=(1, 0, 1)",
        ),
    ],
    "decode_predictions": [
        (lambda: sk.decode_predictions(FLAT), "`preds` must be of shape (images, 1000). Received: preds="),
        (lambda: sk.decode_predictions([0.1]), "`preds` must be of shape… Received: preds='list'"),
        (lambda: sk.decode_predictions(images(1, 1000), top=0), "`top` must be an integer of 1 to… top=0"),
    ],
    "attention_scores": [
        (lambda: sk.attention_scores("net", X), "`model` must be a keras.Model. …model='str'"),
        (lambda: sk.attention_scores(foreign(), X), "`model` must be one with SK units… 'foreign'"),
        (
            lambda: sk.attention_scores(net(), images(2, 16, 16, 3)),
            "`images` must be one image or more of the shape that the model takes… (2, 16, 16, 3)",
        ),
        # Keras would let one channel pass for three.
        (lambda: sk.attention_scores(net(), images(2, 32, 32, 1)), "`images` must be… images=(2, 32, 32, 1)"),
        (lambda: sk.attention_scores(net(), images(32, 32, 3)), "`images` must be… (32, 32, 3)"),
        (lambda: sk.attention_scores(net(), images(0, 32, 32, 3)), "`images` must be… (0, 32, 32, 3)"),
        (lambda: sk.attention_scores(net(), None), "`images` must be an array, arrays (images,… ='NoneType'"),
        (lambda: sk.attention_scores(net(), [X]), "`images` must be an array, arrays… images='list'"),
        (
            lambda: sk.attention_scores(net(), images(2, 32, 32, 3), batch_size=0),
            "`batch_size` must be… batch_size=0",
        ),
    ],
    "load_timm": [
        (lambda: sk.load_timm(None, {}), "`model` must be a network of this package. …model='NoneType'"),
        (lambda: sk.load_timm(foreign(), {}), "`model` must be a network of this package. …='foreign'"),
        (lambda: sk.load_timm(net(stem_padding="torch"), []), "`tensors` must be a mapping… ='list'"),
        (
            lambda: sk.load_timm(net(stem_padding="torch"), {}),
            "`tensors` must be the weights of the model 'sknet50'… conv1.weight is missing, expected",
        ),
    ],
    "to_timm": [
        (lambda: sk.to_timm("net"), "`model` must be a network of this package. …model='str'"),
        (lambda: sk.to_timm(net(stem="cifar")), "`model` must be of stem='imagenet'… stem='cifar'"),
    ],
    "in_precision": [
        (lambda: sk.in_precision(net(), "float16"), "`policy` must be one of ('float32', 'mix…'float16'"),
        (lambda: sk.in_precision(Subclass(), "mixed_float16"), "`model` must be a functional keras…"),
    ],
    "replace_classifier": [
        (lambda: sk.replace_classifier("net", 5), "`model` must be a functional… one…model='str'"),
        (lambda: sk.replace_classifier(net(), ["a", "b"] * 2), "`class_names` must be…different names"),
        *(
            (
                lambda names=names: sk.replace_classifier(net(), names),
                "`class_names` must be names, one a class",
            )
            for names in ("ab", (), 0, None, 2.0)
        ),
    ],
    "scale_response": [
        (lambda: sk.scale_response("net", X), "`model` must be a keras.Model. …model='str'"),
        (lambda: sk.scale_response(foreign(), X), "`model` must be one with SK units… 'foreign'"),
        (
            lambda: sk.scale_response(net(), X, (0.5, 1.0)),
            "`scales` must be two numbers or more, of 1 or more, ascending. …scales=(0.5, 1.0)",
        ),
        (lambda: sk.scale_response(net(), X, (1.0,)), "`scales` must be two numbers… scales=(1.0,)"),
        (lambda: sk.scale_response(net(), X, (2.0, 1.0)), "`scales` must be two… scales=(2.0, 1.0)"),
        (lambda: sk.scale_response(net(), X, 2.0), "`scales` must be two numbers… scales=2.0"),
        (
            lambda: sk.scale_response(net(), images(2, 16, 16, 3)),
            "`images` must be one image or more of the shape that the model takes… (2, 16, 16, 3)",
        ),
        (lambda: sk.scale_response(net(), "folder"), "`images` must be an array, arrays… images='str'"),
        (
            lambda: sk.scale_response(net(), (images(2, 32, 32, 3), [0.5, 1.5])),
            "`dataset` must be one whose labels are numbers of classes, integers… dtype='float64'",
        ),
        (
            lambda: sk.scale_response(net(), images(2, 32, 32, 3), batch_size=0),
            "`batch_size` must be a positive integer. Received: batch_size=0",
        ),
    ],
    "complexity": [
        (lambda: sk.complexity(keras.Sequential()), "`model` must be a functional… model='Sequential'"),
        (
            lambda: sk.complexity(Subclass()),
            "`model` must be a functional keras.Model",
        ),
        (
            lambda: sk.complexity(foreign(2)),
            "`model` must be a functional keras.Model",
        ),
        (
            lambda: sk.complexity(net(input_shape=(None, None, 3))),
            "`input_shape` must be positive integers that complete the model's own… input_shape=None",
        ),
        (lambda: sk.complexity(net(), (64, 64, 3)), "`input_shape` must be… input_shape=(64, 64, 3)"),
        (lambda: sk.complexity(net(), 32), "`input_shape` must be… Received: input_shape=32"),
    ],
    "grouped_conv": [
        (
            lambda: ops.grouped_conv(X, images(3, 3, 3, 8)),
            "`kernel` must be (height, width, C / groups, …(3, 3, 3, 8)",
        ),
        (lambda: ops.grouped_conv(X, images(3, 3, 2, 6)), "`kernel` must be… kernel_shape=(3, 3, 2, 6)"),
        (lambda: ops.grouped_conv(X, images(2, 3, 8, 8)), "`kernel_size` must be odd… kernel_size=(2, 3)"),
        (lambda: ops.grouped_conv(FLAT, images(3, 3, 8, 8)), "`x` must be images with known channels"),
    ],
    "convolution_path": [
        (lambda: ops.convolution_path("xla").__enter__(), "`path` must be one of… Received: path='xla'"),
    ],
}
