"""Smaller numbers in a LiteRT file: what is asked of its converter, and what it leaves to do."""

from keras_sknet.export.calibration import FORMS, calibration_batches
from keras_sknet.ops._private import litert_schema
from keras_sknet.validation import one_of, require

QUANTIZATIONS = (None, "float16", "dynamic", "int8")
DTYPES = ("float32", "int8", "uint8")


def check_quantization(model, quantize, representative_dataset, batch_size, input_dtype, output_dtype):
    """Checks the arguments of `export_tflite` that go together.

    Returns:
        The batches to calibrate with, as `calibration_batches` returns them; `None` but for int8.
    """
    one_of("quantize", quantize, QUANTIZATIONS)
    dtypes = {"input_dtype": input_dtype, "output_dtype": output_dtype}
    for argument, dtype in dtypes.items():
        one_of(argument, dtype, DTYPES)
        require(
            dtype == "float32" or quantize == "int8",
            argument,
            "'float32' unless quantize='int8'",
            **{argument: dtype},
            quantize=quantize,
        )
    if quantize != "int8":
        require(
            representative_dataset is None,
            "representative_dataset",
            "None unless quantize='int8', which alone needs data",
            representative_dataset=type(representative_dataset).__name__,
            quantize=quantize,
        )
        return None
    require(
        representative_dataset is not None,
        "representative_dataset",
        f"given with quantize='int8': {FORMS}",
        representative_dataset=None,
    )
    require(
        len(model.inputs) == 1,
        "model",
        "one of a single input for quantize='int8'",
        model=model.name,
        inputs=len(model.inputs),
    )
    return calibration_batches(representative_dataset, model, model.inputs[0].shape[0] or batch_size)


def configure(converter, quantize, batches, input_dtype, output_dtype):
    """Sets a `tf.lite.TFLiteConverter` to one of `QUANTIZATIONS`."""
    import tensorflow as tf

    if quantize is None:
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    elif quantize == "int8":
        converter.representative_dataset = batches
        converter.inference_input_type = tf.as_dtype(input_dtype)
        converter.inference_output_type = tf.as_dtype(output_dtype)


def softmax_in_float(content):
    """Lets a softmax whose int8 result is turned into floats compute in float.

    The converter quantizes the softmax and dequantizes its result: probabilities in steps of 1/256, from an
    operation that no delegate takes. Here the two change places.

    Args:
        content: `bytes` of a LiteRT file.

    Returns:
        `bytes` of the changed file; `content` itself if nothing is to change.
    """
    import flatbuffers

    schema = litert_schema()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content))
    changed = False
    for graph in model.subgraphs:
        codes = [model.operatorCodes[operator.opcodeIndex].builtinCode for operator in graph.operators]
        for index in range(len(codes) - 1):
            softmax, dequantize = graph.operators[index : index + 2]
            (between,) = softmax.outputs if len(softmax.outputs) == 1 else (None,)
            if (
                codes[index : index + 2]
                != [schema.BuiltinOperator.SOFTMAX, schema.BuiltinOperator.DEQUANTIZE]
                or between not in dequantize.inputs
                or sum(between in operator.inputs for operator in graph.operators) > 1
            ):
                continue
            dequantize.inputs, softmax.inputs = softmax.inputs, dequantize.inputs
            dequantize.outputs, softmax.outputs = softmax.outputs, dequantize.outputs
            graph.operators[index : index + 2] = dequantize, softmax
            tensor = graph.tensors[between]
            tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
            changed = True
    if not changed:
        return content
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
