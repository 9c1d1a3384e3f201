"""What this package needs of Keras and TensorFlow that they do not publish; nothing else may reach for it."""


def flatten_layers(layer):
    """Lists every layer inside a layer or model, itself first, however deeply nested.

    Args:
        layer: `keras.layers.Layer` or `keras.Model`.

    Returns:
        List of layers, each once.

    Example:

    ```python
    import keras
    from keras_sknet.ops._private import flatten_layers

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    assert model.layers[0] in flatten_layers(model)
    ```
    """
    return layer._flatten_layers(include_self=True, recursive=True)


def graph_nodes(model):
    """Lists the calls of layers and operations that a model is made of, in an order that can be computed.

    Args:
        model: Functional or built sequential `keras.Model`.

    Returns:
        List of nodes with `operation`, `arguments` (`.args`, `.kwargs`), `input_tensors` and `outputs`.
        Those of the inputs are not among them.

    Example:

    ```python
    import keras
    from keras_sknet.ops._private import graph_nodes

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    assert [node.operation for node in graph_nodes(model)] == model.layers
    ```
    """
    graph = getattr(model, "_functional", model)
    by_depth = [nodes for _, nodes in sorted(graph._nodes_by_depth.items(), reverse=True)]
    return [node for nodes in by_depth for node in nodes if not node.is_input]


def operation_class(function):
    """Returns the class of what a function of `keras.ops` puts into a functional model.

    Args:
        function: Function of one tensor.

    Returns:
        A subclass of `keras.Operation`.

    Example:

    ```python
    import keras
    from keras_sknet.ops._private import operation_class

    assert operation_class(keras.ops.softmax).__name__ == "Softmax"
    ```
    """
    import keras

    return type(function(keras.KerasTensor((1, 2)))._keras_history.operation)


def lambda_output_shape(layer):
    """Returns what a `keras.layers.Lambda` was given as its `output_shape`: its config describes a function.

    Example:

    ```python
    import keras
    from keras_sknet.ops._private import lambda_output_shape

    assert lambda_output_shape(keras.layers.Lambda(abs, output_shape=(3,))) == (3,)
    ```
    """
    return layer._output_shape


def in_xla():
    """Tells whether TensorFlow is tracing a function that XLA will compile (`jit_compile=True`, TPU).

    Returns:
        `bool`. TensorFlow backend only.

    Example:

    ```python
    from keras_sknet.ops._private import in_xla

    assert not in_xla()
    ```
    """
    import tensorflow as tf

    return tf.__internal__.get_enclosing_xla_context() is not None


def in_tape():
    """Tells whether a `tf.GradientTape` or `tf.autodiff.ForwardAccumulator` is open in this thread.

    Returns:
        `bool`. TensorFlow backend only.

    Example:

    ```python
    from keras_sknet.ops._private import in_tape

    assert not in_tape()
    ```
    """
    from tensorflow.python.eager import record

    return record.could_possibly_record()


def litert_schema():
    """Returns TensorFlow's module of the classes that a LiteRT file is made of, to read and to pack one.

    Example:

    ```python
    from keras_sknet.ops._private import litert_schema

    assert litert_schema().BuiltinOperator.SOFTMAX == 25
    ```
    """
    from tensorflow.lite.python import schema_py_generated

    return schema_py_generated
