"""What is measured of this package, in a worker: training, inference, and the files it exports.

Frameworks are imported where they are used: what runs an exported file need not have TensorFlow.
"""

import contextlib
import gc
import importlib
import importlib.metadata
import time

from worker import CORES, imports_are_done, repeated, serve

NETWORKS = {"sknet50": "SKNet50", "resnext50": "ResNeXt50"}
# For a trial of these scripts: as wide as 32 groups allow.
SMALL = {"depths": (1, 1, 1, 1), "widths": (32,) * 4, "filters": (32,) * 4, "stem_filters": 8}


def network(name, size, dtype="float32", small=False, depths=None, kernels=None):
    """Builds a network of this package.

    Args:
        name: Key of `NETWORKS`.
        size: Integer, height and width of the images.
        dtype: Dtype policy. Defaults to `"float32"`.
        small: Boolean, for a few channels only. Defaults to `False`.
        depths: Blocks of each stage. Defaults to `None`, the network's own.
        kernels: Integer M, the first so many of kernels 3, 5, 7 and 9 wide. Defaults to `None`, the network's
            own.
    """
    import keras

    import keras_sknet

    imports_are_done()
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(dtype)
    options = {}
    if depths:
        options["depths"] = tuple(depths)
    if kernels:
        options["branches"] = [keras_sknet.Branch(3, dilation) for dilation in range(1, kernels + 1)]
    model = plain_network(name, size, small, **options)
    for weight in model.trainable_weights:
        # Zeros, as they start, would be optimized away when batch normalization is folded.
        if weight.name == "beta":
            weight.assign(keras.random.normal(weight.shape, stddev=0.1))
    return model


def plain_network(name, size, small=False, **options):
    """Builds a network as its users do: nothing is prepared or altered."""
    import keras_sknet

    options = {**(SMALL if small else {}), **options}
    return getattr(keras_sknet, NETWORKS[name])(input_shape=(size, size, 3), **options)


def batch_of(batch, size, classes=1000):
    import numpy as np

    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (batch, size, size, 3)).astype("float32")
    return images, rng.integers(classes, size=batch)


def convolutions(path):
    """The context that chooses how convolutions are computed; none for the package's own choice."""
    import keras_sknet

    return keras_sknet.ops.convolution_path(path) if path else contextlib.nullcontext()


def training_steps(model, batch, size, path=None, optimizer="keras_sknet"):
    """Returns a function of a number of steps of `model.fit` on one fixed batch that gives their seconds.

    Args:
        model: The model to train.
        batch: Integer, images in the batch.
        size: Integer, their height and width.
        path: How convolutions are computed. Defaults to `None`, the package's own choice.
        optimizer: Whose SGD, `"keras_sknet"` (default) or `"keras"`.
    """
    import keras
    import tensorflow as tf

    from keras_sknet.training import SGD

    class Clock(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.start = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            float(logs["loss"])  # now it is there
            self.seconds.append(time.perf_counter() - self.start)

    clock = Clock()
    data = tf.data.Dataset.from_tensors(batch_of(batch, size, model.output_shape[-1])).repeat()
    sgd = {"keras_sknet": SGD, "keras": keras.optimizers.SGD}[optimizer]
    model.compile(sgd(0.1, momentum=0.9), "sparse_categorical_crossentropy", jit_compile=False)

    def run(count):
        clock.seconds = []
        with convolutions(path):
            model.fit(data, steps_per_epoch=count, verbose=0, callbacks=[clock])
        return clock.seconds

    return run


def train(network_name, batch, size, path=None, optimizer="keras_sknet", freeze_through=None, **options):
    import keras_sknet

    model = network(network_name, size, **options)
    keras_sknet.freeze_stages(model, freeze_through)
    return training_steps(model, batch, size, path, optimizer)


def infer(network_name, batch, size, path=None, folded=False, **options):
    """Inference by `tf.function`; `folded`: batch norm in the convolutions, weights as constants."""
    import tensorflow as tf

    import keras_sknet

    model = network(network_name, size, **options)
    images = tf.constant(batch_of(batch, size)[0])
    if folded:
        classify = frozen(keras_sknet.fold_batch_norm(model))
    else:
        classify = tf.function(lambda x: model(x, training=False))
    with convolutions(path):
        classify = classify.get_concrete_function(images)
    return repeated(lambda: classify(images).numpy())


def frozen(model):
    """A model as a `tf.function` in whose graph the weights are constants."""
    import tensorflow as tf

    trainable = [variable.numpy() for variable in model.trainable_variables]
    others = [variable.numpy() for variable in model.non_trainable_variables]

    @tf.function
    def classify(x):
        constants = ([tf.constant(value) for value in values] for values in (trainable, others))
        return model.stateless_call(*constants, x, training=False)[0]

    return classify


def export(network_name, size, folder, **options):
    """Writes a network as a LiteRT file, a SavedModel and, where OpenVINO is installed, for that."""
    from keras_sknet import export

    model = network(network_name, size, **options)
    export.export_tflite(model, f"{folder}/{network_name}.tflite", verify=False)
    export.export_saved_model(model, f"{folder}/{network_name}", verify=False)
    with contextlib.suppress(ImportError):
        export.export_openvino(model, f"{folder}/{network_name}-openvino", verify=False)
    return {}


EXPORTS = {
    "saved_model": ("export_saved_model", {}),
    "openvino": ("export_openvino", {}),
    "model.onnx": ("export_onnx", {}),
    "float32.tflite": ("export_tflite", {}),
    "float16.tflite": ("export_tflite", {"quantize": "float16"}),
    "dynamic.tflite": ("export_tflite", {"quantize": "dynamic"}),
    "int8.tflite": ("export_tflite", {"quantize": "int8"}),
}


def exports(network_name, size, folder, **options):
    """Writes a network in every format; returns what each export reports of itself.

    Its logits on blurred noise tell it from other networks: statistics of batch normalization fit the images,
    gamma is random.
    """
    import keras
    import numpy as np

    from keras_sknet import export

    model = network(network_name, size, **options)
    model.get_layer(index=-1).activation = keras.activations.linear
    rng = np.random.default_rng(0)
    images = np.asarray(keras.ops.image.resize(rng.uniform(0, 255, (64, 12, 12, 3)), (size, size)))
    for weight in model.trainable_weights:
        if weight.name == "gamma":
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    for _ in range(10):
        model(images[:16], training=True)
    found = {}
    for name, (function, keywords) in EXPORTS.items():
        keywords = {**keywords, "verify": images}
        if keywords.get("quantize") == "int8":
            keywords["representative_dataset"] = images
        report = getattr(export, function)(model, f"{folder}/{name}", **keywords)
        found[name] = {key: getattr(report, key) for key in ("bytes", "difference", "agreement")}
    return found


def saved_model(folder, batch, size):
    import tensorflow as tf

    imports_are_done()
    # A signature does not keep the variables.
    loaded = tf.saved_model.load(folder)
    classify = loaded.signatures["serving_default"]
    images = tf.constant(batch_of(batch, size)[0])

    def run():
        assert loaded
        return classify(images=images)["output_0"].numpy()

    return repeated(run)


def onnx(file, batch, size):
    import onnxruntime

    imports_are_done()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = CORES
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    images = batch_of(batch, size)[0]
    return repeated(lambda: session.run(None, {"images": images}))


def litert(file, size):
    from ai_edge_litert.interpreter import Interpreter

    imports_are_done()
    interpreter = Interpreter(file, num_threads=CORES)
    interpreter.allocate_tensors()
    (input_details,), (output_details,) = interpreter.get_input_details(), interpreter.get_output_details()
    images = batch_of(1, size)[0]

    def classify():
        interpreter.set_tensor(input_details["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(output_details["index"])

    return repeated(classify)


def openvino(file, batch, size):
    import openvino

    imports_are_done()
    model = openvino.Core().read_model(file)
    model.reshape([batch, size, size, 3])
    # Left to itself it computes in bfloat16 where the processor can.
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": CORES,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    images = batch_of(batch, size)[0]
    return repeated(lambda: compiled([images])[0])


def multiply_adds(network_name, size, **options):
    """What one image takes."""
    import keras_sknet

    return {"multiply_adds": keras_sknet.complexity(network(network_name, size, **options)).multiply_adds}


def startup(network_name, batch, size, **options):
    """Seconds to import this package beyond Keras, to build a network, and of its first training step.

    Args:
        network_name: Key of `NETWORKS`, or `"ResNet50"` for that of `keras.applications`.
    """
    import keras

    start = time.perf_counter()
    importlib.import_module("keras_sknet")
    imported = time.perf_counter() - start

    # Else the search for garbage among all that imports left falls into building one network, not the other.
    gc.collect()
    gc.freeze()
    start = time.perf_counter()
    if network_name == "ResNet50":
        model = keras.applications.ResNet50(weights=None, input_shape=(size, size, 3))
    else:
        model = plain_network(network_name, size, **options)
    built = time.perf_counter() - start

    start = time.perf_counter()
    training_steps(model, batch, size)(1)
    return {"import": imported, "build": built, "first step": time.perf_counter() - start}


def versions(packages):
    """The versions of those `packages` that this interpreter has."""
    found = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


if __name__ == "__main__":
    makers = (
        *(train, infer, export, exports, saved_model, onnx, litert, openvino),
        *(multiply_adds, startup, versions),
    )
    serve({maker.__name__: maker for maker in makers})
