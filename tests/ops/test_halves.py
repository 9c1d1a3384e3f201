import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_sknet
from checks import images, randomize, relative_difference
from keras_sknet.export.inference import inference_archive
from keras_sknet.layers import Stem, record_attention
from keras_sknet.layers.block import Block
from keras_sknet.ops import convolution_path, halves, pixels
from nets import tiny


@pytest.fixture
def preferred(monkeypatch):
    """As on a processor with AVX-512 and oneDNN, with several threads between operations."""
    for module in (halves, pixels):
        for name, value in {"has_avx512": True, "without_onednn": False, "on_gpu": False}.items():
            monkeypatch.setattr(module, name, lambda *_, value=value: value)
    monkeypatch.delenv("TF_NUM_INTEROP_THREADS", raising=False)


def computed(function, x):
    """What a graph gives for `x`, and the graph."""
    graph = tf.function(function).get_concrete_function(tf.TensorSpec(x.shape, x.dtype))
    return graph(x), graph.graph


def batches(function, x):
    """The shapes that `function` is called with for `x`, in a graph."""
    seen = []

    def watched(x):
        seen.append(tuple(x.shape))
        return function(x)

    y, _ = computed(lambda x: halves.in_halves(watched, x), x)
    np.testing.assert_array_equal(y, function(x))
    return seen


@pytest.mark.parametrize("count", [2, 5, 8, 16])
def test_small_batches_are_halved(preferred, count):
    x = tf.random.normal((count, 2, 3))
    assert batches(lambda x: 2 * x, x) == [(count - count // 2, 2, 3), (count // 2, 2, 3)]


@pytest.mark.parametrize("count", [0, 1, 17])
def test_others_are_not(preferred, count):
    assert batches(lambda x: 2 * x, tf.ones((count, 2))) == [(count, 2)]


def test_where_it_is_not_preferred(preferred, monkeypatch):
    x = tf.ones((4, 2))
    assert len(batches(tf.negative, x)) == 2
    assert len(batches(tf.negative, tf.cast(x, "bfloat16"))) == 1
    for whole in (convolution_path("native"), halves.whole_batches()):
        with whole:
            assert len(batches(tf.negative, x)) == 1
    with monkeypatch.context() as changed:
        changed.setenv("TF_NUM_INTEROP_THREADS", "1")
        assert len(batches(tf.negative, x)) == 1
    answers = {"has_avx512": False, "without_onednn": True, "on_gpu": True, "in_xla": True}
    for name, value in {**answers, "replica_count": 2}.items():
        with monkeypatch.context() as changed:
            changed.setattr(halves, name, lambda *_, value=value: value)
            assert len(batches(tf.negative, x)) == 1, name


def test_not_without_a_graph_or_a_known_batch(preferred):
    called = []
    assert halves.in_halves(lambda x: called.append(x) or x, tf.ones((4, 2))).shape == (4, 2)
    symbolic = tf.function(lambda x: halves.in_halves(lambda x: called.append(x) or x, x))
    symbolic.get_concrete_function(tf.TensorSpec((None, 2)))
    assert len(called) == 2


def test_halves_are_handed_on(preferred):
    def twice(x):
        return halves.in_halves(tf.negative, halves.in_halves(tf.nn.relu, x))

    x = tf.random.normal((5, 3))
    y, graph = computed(twice, x)
    np.testing.assert_array_equal(y, tf.negative(tf.nn.relu(x)))
    assert [op.inputs[0].op.type for op in graph.get_operations() if op.type == "Neg"] == ["Relu", "Relu"]


@pytest.mark.parametrize("sizes, axis", [((1, 4), 0), ((3, 1, 1), 0), ((5, 5), 1)])
def test_what_else_was_put_together_is_cut_anew(preferred, sizes, axis):
    parts = [tf.random.normal((size, 3)) for size in sizes]
    seen = []

    def function(x):
        return halves.in_halves(
            lambda x: seen.append(x.shape[0]) or tf.negative(x), tf.concat([*parts], axis)
        )

    y, _ = computed(function, parts[0])
    np.testing.assert_array_equal(y, tf.negative(tf.concat(parts, axis)))
    assert seen == [3, 2]


def test_halves_are_not_halved_again(preferred):
    seen = []

    def function(x):
        return halves.in_halves(lambda x: seen.append(x.shape[0]) or -x, x)

    computed(lambda x: halves.in_halves(function, x), tf.ones((8, 2)))
    assert seen == [4, 4]


def test_features_have_gradients_under_a_tape(preferred):
    model = tiny(classifier_activation=None)
    randomize(model)
    features = keras.Model(model.input, [model.get_layer("sk_3_1").output, model.output])

    def gradient(x):
        with tf.GradientTape() as tape:
            inner, outer = features(x, training=False)
            score = outer[:, 0]
        return tape.gradient(score, inner)

    x = tf.constant(images(4, (32, 32, 3)))
    y, _ = computed(gradient, x)
    assert relative_difference(y, gradient(x)) < 1e-4


def test_what_no_image_changes_is_made_once(preferred):
    made = []

    def function(x):
        return (
            x
            + halves.once("weight", lambda: made.append(1) or tf.constant(1.0))
            + halves.once("other", lambda: tf.constant(2.0))
        )

    x = tf.ones((4, 2))
    y, _ = computed(lambda x: halves.in_halves(function, x), x)
    np.testing.assert_array_equal(y, x + 3)
    assert len(made) == 1
    function(x), function(x)  # nothing is kept
    assert len(made) == 3


def test_graphs_inside_make_their_own(preferred):
    def function(x):
        return tf.cond(tf.size(x) > 0, lambda: x + halves.once("weight", lambda: tf.square(3.0)), lambda: x)

    y, _ = computed(lambda x: halves.in_halves(function, x), tf.ones((4, 2)))
    np.testing.assert_array_equal(y, tf.fill((4, 2), 10.0))


@pytest.mark.parametrize("size", [2, 8], ids=["weights outweigh", "images outweigh"])
def test_kernels_are_scaled_once(preferred, monkeypatch, size):
    block = keras_sknet.ResNeXtBottleneck(32, 16, cardinality=4)
    block.build((None, size, size, 32))
    scaled = []
    for sizes in (halves.BATCHES, ()):
        monkeypatch.setattr(halves, "BATCHES", sizes)
        _, graph = computed(lambda x: block(x, training=False), tf.ones((2, size, size, 32)))
        scaled.append(sum(op.type in ("Sqrt", "Rsqrt") for op in graph.get_operations()))
    assert scaled[0] == scaled[1] > 0


NETWORKS = ["SKNet50", "SENet50", "CBAMResNeXt50", "BAMResNeXt50", "ResNeXt50", "SKResNet18"]


@pytest.mark.parametrize("folded", [False, True], ids=["unfolded", "folded"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_what_it_gives_whole(preferred, monkeypatch, name, folded):
    options = {"branches": keras_sknet.layers.basic_block.BRANCHES} if name == "SKResNet18" else {}
    model = tiny(name, classifier_activation=None, **options)
    randomize(model)
    model = keras_sknet.fold_batch_norm(model) if folded else model
    x = tf.constant(images(5, (32, 32, 3)))
    results = []
    for sizes in (halves.BATCHES, ()):
        monkeypatch.setattr(halves, "BATCHES", sizes)
        run = tf.function(lambda x: model(x, training=False)).get_concrete_function(x)
        assert sum(op.type == "MaxPool" for op in run.graph.get_operations()) == (2 if sizes else 1)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = run(x)
        results.append([y, *tape.gradient(y, [x, *model.trainable_variables])])
    bounds = [1e-5] + [1e-3] * len(results[0])  # gradients are sums of values that cancel each other
    for halved, whole, bound in zip(*results, bounds, strict=False):
        assert halved.shape == whole.shape
        assert np.abs(halved - whole).max() <= bound * np.abs(whole).max()


def test_only_the_last_block_puts_halves_together(preferred):
    model = tiny()
    _, graph = computed(lambda x: model(x, training=False), tf.constant(images(8, (32, 32, 3))))
    whole = [op.outputs[0] for op in graph.get_operations() if op.type == "ConcatV2"]
    used = [features for features in whole if features.consumers()]
    assert [tuple(features.shape) for features in used] == [(8, 1, 1, 32)]
    assert len(whole) == 5  # the stem and four blocks


def test_training_is_of_the_whole_batch(preferred):
    layer = Stem(8)
    layer.build((None, 16, 16, 3))
    _, graph = computed(lambda x: layer(x, training=True), tf.random.normal((8, 16, 16, 3)))
    assert sum(op.type == "MaxPool" for op in graph.get_operations()) == 1


def test_attention_is_recorded_of_all_images(preferred):
    block = keras_sknet.SKBottleneck(16, 8, branches=[(3, 1, 2), (3, 2, 2)])
    block.build((None, 8, 8, 16))

    def scores(x):
        with record_attention() as recorded:
            block(x, training=False)
        return recorded

    recorded, _ = computed(scores, tf.random.normal((6, 8, 8, 16)))
    assert [value.shape for value in recorded.values()] == [(6, 2, 8)]


def test_exports_keep_batches_whole(preferred):
    model = tiny()
    model = keras.Model(inputs := keras.Input(batch_shape=(4, 32, 32, 3)), model(inputs))
    _, function = inference_archive(model, path="auto")
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    assert sum(node.op == "MaxPool" for node in nodes) == 1


def test_a_block_must_say_what_it_computes():
    with pytest.raises(NotImplementedError, match="Block must define `compute`"):
        Block()(keras.ops.ones((1, 2, 2, 3)))
