"""Mistakes in exporting, as in `mistakes_models`."""

import keras

from keras_sknet import export
from mistakes_layers import X, images
from mistakes_models import Subclass, foreign, net

EXPORT_MISTAKES = {
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
        (lambda: export.export_tflite(net(), "x", verify=None), "`verify` must be one image… verify=None"),
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
        (lambda: export.export_openvino(net(), "x", "yes"), "`verify` must be one image… verify='yes'"),
        (lambda: export.export_openvino(None, "x"), "`model` must be a functional… model='NoneType'"),
        (lambda: export.export_openvino(net(), "/"), "`path` must be new: nothing is overwritten. …='/'"),
    ],
    "verify_export": [
        (lambda: export.verify_export("net", "x"), "`model` must be a functional… model='str'"),
        (lambda: export.verify_export(net(), "x.onnx"), "`path` must be an existing .keras…path='x.onnx'"),
        (lambda: export.verify_export(net(), __file__), "`path` must be an existing… mistakes_export.py'"),
        (
            lambda: export.verify_export(net(), "x", images(2, 16, 16, 3)),
            "`images` must be one image or more of the shape that the model's only input… (2, 16, 16, 3)",
        ),
        (lambda: export.verify_export(net(), "x", images(32, 32, 3)), "`images` must be one… (32, 32, 3)"),
        (lambda: export.verify_export(foreign(2), "x", X), "`images` must be one… input_shapes=[(None, 32"),
    ],
}
