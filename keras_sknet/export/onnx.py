"""ONNX, as ONNX Runtime and many others run it."""

from keras_sknet.export.inference import (
    inference_archive,
    named_outputs,
    require_exportable,
    require_float32,
    require_own_names,
)
from keras_sknet.export.metadata import metadata
from keras_sknet.export.rewritten import folded
from keras_sknet.export.runtimes import quiet
from keras_sknet.export.verify import check_verify, verified
from keras_sknet.export.xla import require_no_xla
from keras_sknet.extras import import_extra
from keras_sknet.files import appearing_whole, write_errors
from keras_sknet.validation import require

OPSET = 17
TO_CHANNELS_FIRST = [0, 3, 1, 2]


def export_onnx(model, path, verify=True):
    """Writes a model as an ONNX file of opset 17, in float32.

    Input and output are the model's own, channels last: of a network of this package `images`, raw RGB
    of 0–255 if it includes its preprocessing, any batch size, and any height and width where the model's
    are `None`; and `output_0`. Inside, images are transposed once and feature maps never, batch
    normalization is folded, and a grouped convolution is one `Conv` with the attribute `group`.

    Class names, as JSON, and the crop and interpolation of evaluation are in the file's `metadata_props`.

    Args:
        model: Functional `keras.Model`, on the TensorFlow backend.
        path: File to write, usually named `*.onnx`. It appears when it is complete; one that exists is
            never overwritten.
        verify: Whether ONNX Runtime must give the model's outputs, within 1e-4 of the largest, before the
            file appears: `True` (default) on random images, an array of images: on these too, or `False`.

    Returns:
        `Report` with `path`, `format`, `bytes` and `difference`.

    Raises:
        ValueError: if `path` exists, or the model cannot be exported: it is not functional, does not
            compute in float32, or needs operations that ONNX does not have.
        VerificationError: if the outputs differ.
        OSError: if the file cannot be written.
        ImportError: if a package of the extra `onnx` is not installed.

    Example:

    ```python
    import onnxruntime

    keras_sknet.export_onnx(keras_sknet.SKNetSmall(), "small.onnx")
    session = onnxruntime.InferenceSession("small.onnx")
    y = session.run(["output_0"], {"images": np.zeros((8, 32, 32, 3), "float32")})[0]  # (8, 10)
    ```
    """
    require_exportable(model)
    check_verify(model, verify)
    require_float32(model)
    require_own_names(model)
    onnx, _, _ = map(import_extra, ("onnx", "tf2onnx", "onnxruntime"))
    with appearing_whole(path) as unfinished:
        graph = _convert(model)
        _pad_explicitly(graph)
        graph = _optimize(graph, unfinished.with_name("optimized.onnx"), path)
        _reshape_single_pixels(graph)
        _describe(graph, model)
        onnx.checker.check_model(graph)
        with write_errors(path):
            unfinished.write_bytes(graph.SerializeToString())
        return verified(model, unfinished, path, "onnx", verify)


def _convert(model):
    import tensorflow as tf

    tf2onnx, defs = import_extra("tf2onnx"), import_extra("onnx.defs")
    # The archive holds the variables.
    archive, function = inference_archive(folded(model))
    require_no_xla(model, [function])
    signature = function.structured_input_signature[0]
    # It takes the names of outputs from a dictionary only.
    named = tf.function(lambda *inputs: named_outputs(function(*inputs)))
    with quiet("tf2onnx"), quiet("tensorflow"):
        graph, _ = tf2onnx.convert.from_function(named, signature, opset=OPSET)
    known = {schema.name for schema in defs.get_all_schemas()}
    # Like LiteRT's converter, it leaves in place what it does not know.
    missing = sorted({node.op_type for node in graph.graph.node} - known)
    require(not missing, "model", "made of operations that ONNX has", model=model.name, operations=missing)
    return graph


def _pad_explicitly(graph):
    """Replaces "SAME" by numbers where these do not depend on the images' size.

    ONNX Runtime does not implement it for dilated convolutions.
    """
    helper = import_extra("onnx.helper")
    for node in graph.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type != "Conv" or attributes.get("auto_pad") != b"SAME_UPPER":
            continue
        if max(attributes["strides"]) > 1:
            continue
        reach = [
            dilation * (size - 1)
            for size, dilation in zip(attributes["kernel_shape"], attributes["dilations"], strict=True)
        ]
        attributes |= {"auto_pad": "NOTSET", "pads": [r // 2 for r in reach] + [r - r // 2 for r in reach]}
        del node.attribute[:]
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())


def _optimize(graph, file, path):
    """Returns the graph as ONNX Runtime simplifies it, without what is its own or depends on the machine.

    It moves transpositions to where they cancel out, which tf2onnx does around attention's products only
    in part.
    """
    onnx, onnxruntime = import_extra("onnx"), import_extra("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(file)
    options.log_severity_level = 3
    try:
        onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of a private class
        if "serialization failed" not in str(error):
            raise
        raise OSError(f"Cannot write {str(path)!r} (ONNX Runtime could not; is the disk full?)") from error
    with write_errors(path):
        optimized = onnx.load(file)
        file.unlink()
    del optimized.opset_import[:]
    optimized.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    return optimized


def _reshape_single_pixels(graph):
    """Turns the transpositions of maps of one pixel, which attention's weights are, into reshapes."""
    onnx = import_extra("onnx")
    inferred = onnx.shape_inference.infer_shapes(graph).graph
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in inferred.value_info
    }
    for node in graph.graph.node:
        if node.op_type != "Transpose" or list(node.attribute[0].ints) != TO_CHANNELS_FIRST:
            continue
        _, height, width, channels = shapes.get(node.input[0], [0] * 4)
        if height == width == 1 and channels:
            # 0 stands for the batch size as it is.
            shape = onnx.helper.make_tensor(
                f"{node.name}_shape", onnx.TensorProto.INT64, [4], [0, channels, 1, 1]
            )
            graph.graph.initializer.append(shape)
            node.op_type = "Reshape"
            node.input.append(shape.name)
            del node.attribute[:]


def _describe(graph, model):
    onnx = import_extra("onnx")
    graph.producer_name, graph.graph.name = "keras_sknet", model.name
    for value in (*graph.graph.input, *graph.graph.output):
        # None, if its rank is unknown.
        for batch in value.type.tensor_type.shape.dim[:1]:
            if batch.dim_param:
                batch.dim_param = "batch"
    onnx.helper.set_model_props(graph, metadata(model))
