from pathlib import Path

import pytest
import tensorflow as tf

from convolutions import (
    CHANNELS,
    FILTERS,
    TOLERANCE,
    assert_close,
    case,
    forward_and_gradients,
    has_native_gradient,
    tensors,
)
from keras_sknet.ops import convolution_path, grouped_conv, paths

TESTS = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_rule_asks_for_what_this_build_can_differentiate(dtype):
    choice = "native" if has_native_gradient(dtype) else "custom"
    assert dtype != "float64" or choice == "custom"
    paths._cpu_has_gradients.cache_clear()

    @tf.function
    def traced():
        return tf.constant(paths.choose_path(dtype, 4, (1, 1)))

    assert traced() == choice  # the trial ran inside the trace
    assert paths.choose_path(dtype, 4, (1, 1)) == choice
    assert paths.choose_path(tf.dtypes.as_dtype(dtype), 1, (1, 2)) == choice
    assert paths.choose_path(dtype, 1, (1, 1)) == "native"
    assert paths.choose_path(dtype, 1, (1, 1), trains_pointwise=True) == choice


def test_without_onednn_every_combination_trains_on_the_custom_path(run_python):
    code = """
import itertools, sys
sys.path.insert(0, sys.argv[1])
import numpy as np, tensorflow as tf
from oracles import numpy_conv2d, numpy_conv2d_gradients
import keras_sknet
from keras_sknet.ops.paths import choose_path
rng = np.random.default_rng(0)
assert choose_path("float32", 4, (1, 1)) == choose_path("bfloat16", 1, (2, 2)) == "custom"
for groups, strides, dilation in itertools.product((1, 4, 8), (1, 2, 3), (1, 2, 3)):
    x, kernel = rng.normal(size=(2, 9, 10, 8)), rng.normal(size=(3, 3, 8 // groups, 16))
    want = numpy_conv2d(x, kernel, strides, "symmetric", dilation)
    dy = rng.normal(size=want.shape)
    wanted = want, *numpy_conv2d_gradients(x, kernel, dy, strides, "symmetric", dilation)
    layer = keras_sknet.GroupedConv2D(16, 3, strides, dilation_rate=dilation, groups=groups, use_bias=False)
    x = tf.constant(x, "float32")
    layer.build(x.shape)
    layer.kernel.assign(kernel)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(y * dy.astype("float32"))
    for got, want in zip((y, *tape.gradient(loss, [x, layer.kernel.value])), wanted):
        assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max(), (groups, strides, dilation)
# What the graph optimizer would fuse with a convolution must stay apart: its fused kernel refuses groups.
layer = keras_sknet.GroupedConv2D(16, 3, groups=4, activation="relu")
norm = keras_sknet.BatchNormalization()
layer.build(x.shape)
want = np.maximum(numpy_conv2d(x, layer.kernel), 0)
for batch, training in itertools.product((None, 2), (False, True)):
    @tf.function(input_signature=[tf.TensorSpec((batch, 9, 10, 8))])
    def run(x):
        y = layer.convolution_op(x, layer.kernel, inference=not training)
        return layer(x, training=training), tf.nn.relu(norm(y, training=False))
    for got in run(x):
        assert np.abs(got - want).max() <= 1e-3 * want.max()
layer = keras_sknet.GroupedConv2D(16, 3, 3, dilation_rate=3)
x = tf.zeros((0, 9, 10, 8))
assert tf.function(layer, input_signature=[tf.TensorSpec((None, 9, 10, 8))])(x).shape == (0, 3, 4, 16)
print("trained")
"""
    assert run_python(code, TESTS, TF_ENABLE_ONEDNN_OPTS="0") == "trained\n"


def test_on_jax_without_tensorflow_the_plain_definition_runs(run_python):
    code = """
import sys
sys.path.insert(0, sys.argv[1])
sys.modules["tensorflow"] = None
import jax, numpy as np
from oracles import numpy_conv2d, numpy_conv2d_gradients
import keras_sknet
from keras_sknet.ops import convolution_path, grouped_conv, paths
from keras_sknet.ops.paths import choose_path
assert choose_path("float32", 4, (1, 1)) == "keras"
rng = np.random.default_rng(0)
x = rng.normal(size=(2, 9, 10, 8)).astype("float32")
for size, padding, strides, dilation in [
    (3, "symmetric", 1, 1),
    (3, "symmetric", 2, 2),
    (3, "same", 2, 2),
    (4, "same", (2, 1), (1, 3)),
    (2, "valid", 3, 1),
]:
    layer = keras_sknet.GroupedConv2D(
        16, size, strides, padding, dilation_rate=dilation, groups=4, use_bias=False
    )
    y = layer(x)
    kernel = np.asarray(layer.kernel.value)
    want = numpy_conv2d(x, kernel, strides, padding, dilation)
    assert np.abs(y - want).max() <= 1e-5 * np.abs(want).max()
    assert layer.compute_output_shape((None, *x.shape[1:])) == (None, *want.shape[1:])
    assert layer(x[:0]).shape == (0, *want.shape[1:])
dy = rng.normal(size=(2, 5, 5, 16)).astype("float32")
kernel = rng.normal(size=(3, 3, 2, 16)).astype("float32")
got = jax.grad(lambda x, k: (grouped_conv(x, k, 2, dilation_rate=2) * dy).sum(), (0, 1))(x, kernel)
for g, w in zip(got, numpy_conv2d_gradients(x, kernel, dy, 2, "symmetric", 2)):
    assert np.abs(g - w).max() <= 1e-5 * np.abs(w).max()
for path in ("native", "custom"):
    try:
        with convolution_path(path):
            raise SystemExit("not refused")
    except ValueError as error:
        assert f"off the TensorFlow backend. Received: path='{path}', backend='jax'" in str(error)
for path in ("auto", "keras"):
    with convolution_path(path):
        grouped_conv(x, kernel)
print("equal")
"""
    assert run_python(code, TESTS, KERAS_BACKEND="jax") == "equal\n"


def test_the_forced_path_ends_with_its_block():
    forced = paths._forced_path
    with convolution_path("custom"):
        with pytest.raises(KeyError), convolution_path("keras"):
            assert forced() == "keras"
            raise KeyError
        assert forced() == "custom"
        with convolution_path("auto"):
            assert forced() == "auto"
        assert forced() == "custom"
    assert forced() == "auto"
    # Blocks of different threads end in any order.
    first, second = convolution_path("keras"), convolution_path("native")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert forced() == "native"
    second.__exit__(None, None, None)
    assert forced() == "auto"


@pytest.mark.parametrize("path", ["cudnn", "", None, "Native"])
def test_an_unknown_path_is_refused(path):
    with pytest.raises(ValueError, match="`path` must be one of .*'native'.* Received: path="):
        with convolution_path(path):
            pytest.fail("entered")


def test_the_forced_path_reaches_the_threads_that_trace_replicas():
    inputs, arguments, _ = case((3, 3), (9, 10), 4, 1, "symmetric", 1)
    run = forward_and_gradients("auto", arguments)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

    def replica():
        x, kernel, dy = tensors(inputs, "float64")
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            loss = tf.reduce_sum(grouped_conv(x, kernel, **arguments) * dy)
        return tape.gradient(loss, kernel)

    strategy.run(replica)
    assert run(*tensors(inputs, "float64"))[2].shape == (3, 3, 2, FILTERS)
    # No CPU kernel has this gradient in float64: the error shows that "native" was heard.
    with convolution_path("native"), pytest.raises(tf.errors.InvalidArgumentError):
        strategy.run(replica)


def test_an_empty_replica_is_right_even_if_the_caller_assumes_images():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    images = tf.data.Dataset.from_tensor_slices(tf.ones((3, 13, 12, CHANNELS))).batch(2)
    images = strategy.experimental_distribute_dataset(images.with_options(options))

    def replica(x):
        assert x.shape[0] is None
        kernel = tf.ones((3, 3, 2, FILTERS))
        return tf.shape(grouped_conv(x, kernel, strides=2, inference=True))

    @tf.function(input_signature=[images.element_spec])
    def run(batch):
        return strategy.run(replica, (batch,))

    shapes = [
        tuple(shape.numpy()) for batch in images for shape in strategy.experimental_local_results(run(batch))
    ]
    assert shapes == [(n, 7, 6, FILTERS) for n in (1, 1, 1, 0)]


@pytest.fixture
def gpu_machine(monkeypatch):
    """A machine that has a GPU, as far as the rule can see: it is CPU:0 under another name."""
    listed, device = tf.config.list_logical_devices, paths._device

    def list_logical_devices(device_type=None):
        gpus = [tf.config.LogicalDevice("/device:GPU:0", "GPU")]
        return gpus if device_type == "GPU" else listed(device_type)

    monkeypatch.setattr(tf.config, "list_logical_devices", list_logical_devices)
    monkeypatch.setattr(paths, "_device", lambda: device().replace("CPU:0", "GPU:0"))


def choice():
    return paths.choose_path("float64", 4, (1, 1))


def test_with_a_gpu_the_native_kernels_run_unless_a_scope_names_a_cpu(gpu_machine):
    assert choice() == "native"
    with tf.device("/CPU:1"):
        assert choice() == "custom"

    @tf.function
    def traced(_):
        outside = choice()
        with tf.device("/CPU:1"):
            return tf.constant([outside, choice()])

    assert traced(1).numpy().tolist() == [b"native", b"custom"]
    with tf.device("/CPU:1"):
        assert traced(2).numpy().tolist() == [b"custom", b"custom"]


@pytest.mark.parametrize("scope", ["inside", "around"])
def test_with_a_gpu_a_function_traced_in_a_cpu_scope_trains_on_the_cpu(gpu_machine, scope):
    inputs, arguments, expected = case((3, 3), (9, 10), 4, 2, "symmetric", 2)
    run = forward_and_gradients("auto", arguments)

    def scoped(*values):
        with tf.device("/CPU:1"):
            return run(*values)

    # float64 has no native gradient on any CPU.
    values = tensors(inputs, "float64")
    if scope == "inside":
        got = tf.function(scoped)(*values)
    else:
        with tf.device("/CPU:1"):
            got = tf.function(run)(*values)
    for result, want in zip(got, expected, strict=True):
        assert_close(result, want, 1e-12)


NARROW_POINTWISE = """
import tensorflow as tf
from keras_sknet.ops import grouped_conv

@tf.function
def step(x, kernel):
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        y = grouped_conv(x, kernel, strides=2)
    return tape.gradient(y, [x, kernel])

for channels in (8, 12):
    x, kernel = tf.random.normal((4, 64, 64, channels)), tf.random.normal((1, 1, channels, 16))
    for _ in range(20):
        dx, dkernel = step(x, kernel)
    want = tf.reduce_sum(x[:, ::2, ::2], (0, 1, 2))
    tf.debugging.assert_near(dkernel[0, 0, :, 0], want, atol=1e-2)
"""


def test_a_narrow_strided_1x1_convolution_keeps_clear_of_onednns_overrun(run_python):
    run_python(NARROW_POINTWISE)


DILATED_HALVES = """
import sys
import numpy as np
import tensorflow as tf
from keras_sknet.ops import grouped_conv

half, random = tf.dtypes.as_dtype(sys.argv[1]), np.random.default_rng(0)
for channels, groups, dilation, size in ((8, 2, 2, 32), (32, 8, 3, 32), (8, 2, 2, 56)):
    x = tf.constant(random.normal(size=(2, size, size, channels)), half)
    kernel = tf.constant(random.normal(size=(3, 3, channels // groups, channels)), half)
    gradients = []
    for dtype in (half, tf.float32):
        kernel = tf.cast(kernel, dtype)
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            y = grouped_conv(tf.cast(x, dtype), kernel, dilation_rate=dilation)
        gradients.append(np.asarray(tf.cast(tape.gradient(y, kernel), tf.float32)))
    difference = np.abs(gradients[0] - gradients[1]).max() / np.abs(gradients[1]).max()
    assert difference < 0.02, difference
"""


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_dilated_convolution_of_narrow_groups_keeps_clear_of_onednns_overrun(run_python, dtype):
    run_python(DILATED_HALVES, dtype)


@pytest.mark.parametrize(
    "padding, strides, dilation_rate",
    [("symmetric", (2, 2), (2, 2)), ("valid", (2, 1), (4, 3)), ("symmetric", (1, 3), (1, 3))],
)
def test_dilation_that_strides_divide_trains_without_strides(padding, strides, dilation_rate):
    inputs, arguments, _ = case((3, 3), (13, 14), 4, strides, padding, dilation_rate)
    kernel = tf.constant(inputs[1], "float32")

    def convolutions(inference):
        function = tf.function(lambda x: grouped_conv(x, kernel, **arguments, inference=inference))
        graph = function.get_concrete_function(tf.TensorSpec((None, 13, 14, CHANNELS))).graph
        return [
            tuple(tuple(node.get_attr(name))[1:3] for name in ("strides", "dilations"))
            for node in graph.get_operations()
            if node.type == "Conv2D"
        ]

    undivided = tuple(d // s for d, s in zip(dilation_rate, strides, strict=True))
    assert convolutions(inference=False) == [((1, 1), undivided)]
    assert convolutions(inference=True) == [(strides, dilation_rate)]
    images = tf.constant(inputs[0], "float32")
    results = [grouped_conv(images, kernel, **arguments, inference=inference) for inference in (False, True)]
    assert_close(results[0], results[1].numpy().astype("float64"))
