import keras
import pytest

from keras_sknet.ops._private import (
    flatten_layers,
    graph_nodes,
    in_tape,
    in_xla,
    lambda_output_shape,
    litert_schema,
    operation_class,
)


def test_flatten_layers_finds_nested_ones_and_itself():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="deep")])
    outer = keras.Sequential([keras.Input((4,)), inner, keras.layers.ReLU(name="shallow")])
    found = flatten_layers(outer)
    assert found[0] is outer
    assert {"deep", "shallow"} <= {layer.name for layer in found}
    assert len({id(layer) for layer in found}) == len(found)
    assert flatten_layers(inner.layers[0]) == [inner.layers[0]]


def test_graph_nodes_are_the_calls_of_one_model_only():
    x, dense = keras.Input((4,), name="x"), keras.layers.Dense(4, name="dense")
    y = dense(x)
    model = keras.Model(x, dense(y) + 1.0)
    keras.Model(x, dense(dense(y)))
    first, second, added = graph_nodes(model)
    assert first.operation is second.operation is dense
    assert first.input_tensors == [x] and first.outputs == [y] == second.input_tensors
    assert [added.outputs[0]] == model.outputs

    norm = keras.layers.BatchNormalization()
    (node,) = graph_nodes(keras.Model(x, norm(x, training=True)))
    assert node.arguments.kwargs["training"] is True
    sequential = keras.Sequential([keras.Input((4,)), dense, norm])
    assert [node.operation for node in graph_nodes(sequential)] == [dense, norm]


@pytest.mark.parametrize("jit_compile", [True, False])
def test_in_xla_tells_compiled_functions_from_others(jit_compile):
    tf = pytest.importorskip("tensorflow")
    seen = {}

    @tf.function(jit_compile=jit_compile)
    def function(x):
        seen["function"] = in_xla()

        def branch():
            seen["branch"] = in_xla()
            return x

        @tf.function
        def nested(y):
            seen["nested"] = in_xla()
            return y

        return nested(tf.cond(tf.reduce_sum(x) > 0, branch, lambda: -x))

    tf.function(function)(tf.ones((2,)))
    assert seen == dict.fromkeys(["function", "branch", "nested"], jit_compile)
    assert not in_xla()


@pytest.mark.parametrize("jit_compile", [True, False])
def test_in_xla_inside_fit(jit_compile):
    pytest.importorskip("tensorflow")
    seen = []

    class Spy(keras.layers.Layer):
        def call(self, x, training=None):
            if training:
                seen.append(in_xla())
            return x

    model = keras.Sequential([keras.Input((3,)), Spy(), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=jit_compile)
    model.fit(keras.ops.ones((4, 3)), keras.ops.ones((4, 1)), verbose=0)
    assert seen and set(seen) == {jit_compile}


def test_litert_schema_reads_and_packs_a_file():
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = litert_schema()
    model = schema.ModelT()
    model.operatorCodes = [schema.OperatorCodeT()]
    model.operatorCodes[0].builtinCode = schema.BuiltinOperator.DEQUANTIZE
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    again = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytes(builder.Output())))
    assert [code.builtinCode for code in again.operatorCodes] == [schema.BuiltinOperator.DEQUANTIZE]
    assert schema.OperatorT().inputs is None and schema.TensorT().quantization is None
    assert schema.TensorType.FLOAT32 == 0


def test_in_tape_knows_tapes_and_accumulators():
    tf = pytest.importorskip("tensorflow")
    x = tf.ones(())

    def found():
        assert not in_tape()
        with tf.GradientTape() as tape:
            inside = in_tape()
            with tape.stop_recording():
                stopped = in_tape()
        with tf.autodiff.ForwardAccumulator(x, x):
            return inside, stopped, in_tape()

    seen = []
    tf.function(lambda: seen.append(found()))()
    assert [found()] == seen == [(True, False, True)]


def test_operations_of_keras_have_a_class_of_their_own():
    x = keras.Input((3,))
    made = {name: getattr(keras.ops, name) for name in ("softmax", "sigmoid")}
    assert {operation_class(function).__name__.lower() for function in made.values()} == set(made)
    for function in made.values():
        (node,) = graph_nodes(keras.Model(x, function(x)))
        assert type(node.operation) is operation_class(function)


def test_lambda_output_shape_is_what_the_layer_was_given():
    for given in (None, (3,), lambda shape: shape):
        assert lambda_output_shape(keras.layers.Lambda(abs, output_shape=given)) == given
