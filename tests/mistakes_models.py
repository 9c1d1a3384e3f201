"""Mistakes in all that is no layer: by the public name they are made with, and what is said of each."""

import functools

import keras

import keras_sknet as sk
from keras_sknet import data, export, ops
from mistakes_layers import FLAT, NAN, X, images
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


class Files:
    """A source of one file, which is empty."""

    class_names = ("a", "b")

    def __len__(self):
        return 1

    def element(self, index, seed, epoch):
        import tensorflow as tf

        return tf.constant(""), tf.constant(0)


def read(source):
    with data.naming_corrupt_files(source):
        list(data.evaluation_batches(source, 1, data.pad_crop_transform(8)))


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
        (lambda: sk.replace_classifier(net(), "ab" * 2), "`class_names` must be…different names"),
        (lambda: sk.replace_classifier(net(), 0), "`units` must be a positive integer. Received: units=0"),
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
        (lambda: sk.complexity(keras.Sequential()), "`model` must be a built… model='Sequential'"),
        (lambda: sk.complexity(Subclass()), "`model` must be a built keras.Model of one input"),
        (lambda: sk.complexity(foreign(2)), "`model` must be a built keras.Model of one input"),
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
    "export_saved_model": [
        (lambda: export.export_saved_model(3, "x"), "`model` must be a functional keras.Model…model='int'"),
        (lambda: export.export_saved_model(net(), 3), "`path` must be a string or a path… path=3"),
        (lambda: export.export_saved_model(net(), "/"), "`path` must be new: nothing is overwritten. …='/'"),
        (
            lambda: export.export_saved_model(net(), "/no/x"),
            "`path` must be in a folder that exists…='/no/x'",
        ),
        (
            lambda: export.export_saved_model(net(), "x", version=0),
            "`version` must be a positive integer. Received: version=0",
        ),
        (
            lambda: export.export_saved_model(net(), __file__, version=1),
            "`path` must be a folder, or new, with a `version`. Received: path=",
        ),
        (
            lambda: export.export_saved_model(net(), "x", size=(32, 0)),
            "`size` must be a positive integer or a pair of them. Received: size=(32, 0)",
        ),
    ],
    "export_tflite": [
        (
            lambda: export.export_tflite(foreign(), "x", verify=images(1, 8, 8, 3)),
            "`verify` must be one image or more… verify=(1, 8, 8, 3)",
        ),
        (lambda: export.export_tflite(Subclass(), "x"), "`model` must be a functional… model='Subclass'"),
        (lambda: export.export_tflite(net(), "x", batch_size=0), "`batch_size` must be… batch_size=0"),
        (lambda: export.export_tflite(net(), "x", 8), "`quantize` must be one of (None, …quantize=8"),
        (lambda: export.export_tflite(net(), "x", "int16"), "`quantize` must be… quantize='int16'"),
        (
            lambda: export.export_tflite(net(), "x", "int8"),
            "`representative_dataset` must be given with quantize='int8': an array of images, or…=None",
        ),
        (
            lambda: export.export_tflite(net(), "x", "dynamic", X),
            "`representative_dataset` must be None unless quantize='int8'… quantize='dynamic'",
        ),
        (
            lambda: export.export_tflite(net(), "x", "int8", "images/"),
            "`representative_dataset` must be an array of images… representative_dataset='images/'",
        ),
        (
            lambda: export.export_tflite(net(), "x", "int8", images(2, 16, 16, 3)),
            "`representative_dataset` must be an array… (images, 32, 32, 3)…shape=(2, 16, 16, 3)",
        ),
        (
            lambda: export.export_tflite(net(), "x", "int8", images(32, 32, 3)),
            "`representative_dataset` must be an array… (images, 32, 32, 3)…shape=(32, 32, 3)",
        ),
        (
            lambda: export.export_tflite(net(), "x", "int8", [[1, 2]]),
            "`representative_dataset` must be an array… batch='int'",
        ),
        (
            lambda: export.export_tflite(net(), "x", "int8", images(2, 32, 32, 3) > 0),
            "`representative_dataset` must be images of integers or floats… dtype='bool'",
        ),
        (
            lambda: export.export_tflite(net(), "x", "int8", images(2, 32, 32, 3) - 300),
            "`representative_dataset` must be images of finite values between 0 and 255…lowest=",
        ),
        (
            lambda: export.export_tflite(net(), "x", "int8", images(0, 32, 32, 3)),
            "`representative_dataset` must be one image or more. Received: images=0",
        ),
        (
            lambda: export.export_tflite(net(), "x", "int8", []),
            "`representative_dataset` must be one image or more. Received: images=0",
        ),
        (
            lambda: export.export_tflite(foreign(2), "x", "int8", X),
            "`model` must be one of a single input for quantize='int8'… inputs=2",
        ),
        (
            lambda: export.export_tflite(net(), "x", input_dtype="uint8"),
            "`input_dtype` must be 'float32' unless quantize='int8'… quantize=None",
        ),
        (
            lambda: export.export_tflite(net(), "x", "int8", X, output_dtype="int16"),
            "`output_dtype` must be one of ('float32', 'int8', 'uint8'). …output_dtype='int16'",
        ),
        (
            lambda: export.export_tflite(net(input_shape=(None, None, 3)), "x"),
            "`model` must be of known height… =(None, None, None, 3)",
        ),
    ],
    "export_onnx": [
        (lambda: export.export_onnx(Subclass(), "x"), "`model` must be a functional… model='Subclass'"),
        (lambda: export.export_onnx(net(), 3), "`path` must be a string or a path object… path=3"),
        (
            lambda: export.export_onnx(net(), "/no/x.onnx"),
            "`path` must be in a folder that exists…'/no/x.onnx'",
        ),
        (
            lambda: export.export_onnx(
                keras.Sequential([keras.Input((4,)), keras.layers.ReLU(dtype="float16")]), "x"
            ),
            "`model` must be one that computes in float32… compute_dtypes=['float16']",
        ),
    ],
    "export_openvino": [
        (lambda: export.export_openvino(None, "x"), "`model` must be a functional… model='NoneType'"),
        (lambda: export.export_openvino(net(), "/"), "`path` must be new: nothing is overwritten. …='/'"),
    ],
    "verify_export": [
        (lambda: export.verify_export("net", "x"), "`model` must be a functional… model='str'"),
        (lambda: export.verify_export(net(), "x.onnx"), "`path` must be an existing .keras…path='x.onnx'"),
        (lambda: export.verify_export(net(), __file__), "`path` must be an existing… mistakes_models.py'"),
        (
            lambda: export.verify_export(net(), "x", images(2, 16, 16, 3)),
            "`images` must be one image or more of the shape that the model's only input… (2, 16, 16, 3)",
        ),
        (lambda: export.verify_export(net(), "x", images(32, 32, 3)), "`images` must be one… (32, 32, 3)"),
        (lambda: export.verify_export(foreign(2), "x", X), "`images` must be one… input_shapes=[(None, 32"),
    ],
    "Digits": [
        (lambda: data.Digits("dev"), "`split` must be one of… Received: split='dev'"),
        (lambda: data.Digits(scales=(3.0,)), "`scales` must be some of… Received: scales=(3.0,)"),
    ],
    "batches": [
        (lambda: data.batches(range(9), 0), "`batch_size` must be a positive integer. …batch_size=0"),
        (lambda: data.batches(range(9), 10), "`batch_size` must be no more than the images… batch_size=10"),
        (lambda: data.batches(range(9), 3, epochs=0), "`epochs` must be… Received: epochs=0"),
        (lambda: data.batches(range(9), 3, shard=(3, 3)), "`shard` must be the number of… shard=(3, 3)"),
        (lambda: data.batches(range(9), 3, shard=(0, 2)), "`batch_size` must be a multiple of… shard=(0, 2)"),
        (lambda: data.batches(Files(), 1), "`transform` must be a function… Received: transform=None"),
    ],
    "evaluation_batches": [
        (lambda: data.evaluation_batches(Files(), 0), "`batch_size` must be a positive… batch_size=0"),
        (lambda: data.evaluation_batches(Files(), 1), "`transform` must be a function… transform=None"),
    ],
    "open_source": [
        (lambda: data.open_source("digit", "test"), "`text` must be 'digits',…(did you mean 'digits'?)…"),
        (lambda: data.open_source("folder:", "test"), "`text` must be 'digits', … text='folder:'"),
        (lambda: data.open_source(3, "test"), "`text` must be 'digits', … Received: text=3"),
        (lambda: data.open_source("digits", "dev"), "`split` must be one of… Received: split='dev'"),
        (lambda: data.open_source("folder:/no/where", "test"), "`text` must be a folder that exists…"),
        (lambda: data.open_source("digits", "test", "/tmp"), "`data_dir` must be None but… data_dir='/tmp'"),
        (lambda: data.open_source("tfds:mnist", "test", "/no"), "`data_dir` must be a folder that exists…"),
    ],
    "Subset": [
        (lambda: data.Subset(Files(), []), "`indices` must be one or more integers… indices=[]"),
        (lambda: data.Subset(Files(), [1]), "`indices` must be… Received: indices=[1], length=1"),
        (lambda: data.Subset(Files(), [0.5]), "`indices` must be… Received: indices=[0.5]"),
        (lambda: data.Subset(Files(), [-1]), "`indices` must be… Received: indices=[-1]"),
    ],
    "split_source": [
        (lambda: data.split_source(Files(), 1), "`held_out` must be a number of… held_out=1, length=1"),
        (lambda: data.split_source(Files(), 0.1), "`held_out` must be… Received: held_out=0.1, length=1"),
        (lambda: data.split_source(Files(), "1"), "`held_out` must be… Received: held_out='1'"),
        (lambda: data.split_source(Files(), 1, seed=-1), "`seed` must be… Received: seed=-1"),
    ],
    "training_transform": [
        (lambda: data.training_transform(0), "`size` must be a positive integer or… size=0"),
        (lambda: data.training_transform(8, scale=(0, 1)), "`scale` must be two rising… scale=(0, 1)"),
        (lambda: data.training_transform(8, scale=(0.5, 2)), "`scale` must be two rising… scale=(0.5, 2)"),
        (lambda: data.training_transform(8, ratio=1), "`ratio` must be two rising… Received: ratio=1"),
        (lambda: data.training_transform(8, ratio=(2, 1)), "`ratio` must be… Received: ratio=(2, 1)"),
        (lambda: data.training_transform(8, interpolation="area"), "`interpolation` must be one of…'area'"),
    ],
    "pad_crop_transform": [
        (lambda: data.pad_crop_transform((8,)), "`size` must be a positive integer or a… size=(8,)"),
        (lambda: data.pad_crop_transform(8, padding=-1), "`padding` must be… Received: padding=-1"),
    ],
    "center_crop_transform": [
        (lambda: data.center_crop_transform(0, 8), "`resize` must be… Received: resize=0"),
        (lambda: data.center_crop_transform(8, 9), "`crop` must be no more than `resize`. …crop=(9, 9)"),
        (lambda: data.center_crop_transform(8, 8, "area"), "`interpolation` must be one of…'area'"),
    ],
    "Augmentation": [
        (lambda: data.Augmentation(mixup=2), "`mixup` must be a number from 0 to 1. Received: mixup=2"),
        (lambda: data.Augmentation(rand_augment=True), "`rand_augment` must be… rand_augment=True"),
        (lambda: data.Augmentation(erasing=NAN), "`erasing` must be… Received: erasing=nan"),
        (lambda: data.Augmentation(cutmix="1"), "`cutmix` must be… Received: cutmix='1'"),
    ],
    "find_corrupt": [
        (lambda: data.find_corrupt(Files(), ["0"]), "`indices` must be integers from 0… indices=['0']"),
        (lambda: data.find_corrupt(Files(), [1]), "`indices` must be… Received: indices=[1], length=1"),
    ],
    "skip_corrupt": [
        (lambda: data.skip_corrupt(Files()), "`source` must be of images… reason='is empty'"),
    ],
    "naming_corrupt_files": [
        (lambda: read(Files()), "`source` must be of images that can be read. …'element 0', which is empty"),
    ],
    "check_sizes": [
        (lambda: data.check_sizes(data.Digits(), 33), "`size` must be no more than… image=(32, 32)"),
        (lambda: data.check_sizes(data.Digits(), "3"), "`size` must be a positive… Received: size='3'"),
        (lambda: data.check_sizes(data.Digits(), 3, 0), "`sample` must be a positive… sample=0"),
    ],
    "decode": [
        (lambda: data.decode(3), "`contents` must be the bytes of one file. Received: contents='int32'"),
        (lambda: data.decode([b"", b""]), "`contents` must be the bytes… shape=(2,)"),
    ],
    "evaluation_transform": [
        (
            lambda: data.evaluation_transform(3),
            "`model` must be a keras.Model of one input, images with three channels. …model='int'",
        ),
        (lambda: data.evaluation_transform(foreign(2)), "`model` must be a keras.Model of one input"),
        (
            lambda: data.evaluation_transform(net(include_preprocessing=False, input_shape=(32, 32, 1))),
            "`model` must be… input_shape=(None, 32, 32, 1)",
        ),
        (lambda: data.evaluation_transform(net(), "32"), "`size` must be… Received: size='32'"),
    ],
}
