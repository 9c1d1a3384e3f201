"""Requests that TensorFlow Serving answers while it loads a model, so that the first real one is fast."""

FILE = "tf_serving_warmup_requests"


def write_warmup_requests(folder, functions, size):
    """Writes one request of one image (or of a model's fixed batch size) for each signature.

    They are `PredictionLog` messages in a TFRecord file. The few fields are encoded here, as the package that
    defines them (tensorflow-serving-api) is otherwise needed by clients only.

    Args:
        folder: `Path` of the folder `assets.extra` of a SavedModel.
        functions: Dictionary of the signatures' names and concrete functions.
        size: Pair of integers, the height and width of an image where the signature's are `None`.
    """
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(folder / FILE)) as writer:
        for name, function in functions.items():
            (spec,) = tf.nest.flatten(function.structured_input_signature)
            writer.write(_prediction_log(name, spec.name, _example(spec, size)))


def _example(spec, size):
    """A black image, as a file where the signature takes files, in a `TensorProto`."""
    import tensorflow as tf

    batch_size = spec.shape[0] or 1
    if spec.dtype == tf.string:
        file = tf.io.encode_jpeg(tf.zeros((*size, 3), tf.uint8)).numpy()
        return tf.make_tensor_proto([file] * batch_size)
    _, *own, channels = spec.shape
    height, width = (known or default for known, default in zip(own, size, strict=True))
    # One value is enough for a tensor full of it.
    return tf.make_tensor_proto(0, spec.dtype, (batch_size, height, width, channels))


def _prediction_log(signature, name, tensor):
    """The bytes of `PredictionLog(predict_log=PredictLog(request=PredictRequest(…)))`."""
    model_spec = _field(1, b"default") + _field(3, signature.encode())  # name, signature_name
    inputs = _field(1, name.encode()) + _field(2, tensor.SerializeToString())  # key, value of the map
    request = _field(1, model_spec) + _field(2, inputs)
    return _field(6, _field(1, request))


def _field(number, content):
    """A length-delimited field of a protocol buffer."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value):
    digits = []
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
