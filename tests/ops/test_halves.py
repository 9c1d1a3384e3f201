import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_sknet
from checks import images, randomize
from keras_sknet.layers import Stem, record_attention
from keras_sknet.layers.block import Block
from keras_sknet.ops import convolution_path, halves
from nets import tiny


@pytest.fixture
def preferred(monkeypatch):
    """As on a processor with AVX-512 and oneDNN."""
    for name, value in {"has_avx512": True, "without_onednn": False, "on_gpu": False}.items():
        monkeypatch.setattr(halves, name, lambda *_, value=value: value)


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
    assert len(batches(tf.exp, x)) == 2
    assert len(batches(tf.exp, tf.cast(x, "bfloat16"))) == 1
    with convolution_path("native"):
        assert len(batches(tf.exp, x)) == 1
    answers = {"has_avx512": False, "without_onednn": True, "on_gpu": True, "in_xla": True}
    for name, value in {**answers, "replica_count": 2}.items():
        with monkeypatch.context() as changed:
            changed.setattr(halves, name, lambda *_, value=value: value)
            assert len(batches(tf.exp, x)) == 1, name


def test_not_without_a_graph_or_a_known_batch(preferred):
    called = []
    assert halves.in_halves(lambda x: called.append(x) or x, tf.ones((4, 2))).shape == (4, 2)
    symbolic = tf.function(lambda x: halves.in_halves(lambda x: called.append(x) or x, x))
    symbolic.get_concrete_function(tf.TensorSpec((None, 2)))
    assert len(called) == 2


def test_halves_are_handed_on(preferred):
    def twice(x):
        return halves.in_halves(tf.exp, halves.in_halves(tf.sin, x))

    x = tf.random.normal((5, 3))
    y, graph = computed(twice, x)
    np.testing.assert_array_equal(y, tf.exp(tf.sin(x)))
    assert [op.inputs[0].op.type for op in graph.get_operations() if op.type == "Exp"] == ["Sin", "Sin"]


@pytest.mark.parametrize("sizes, axis", [((1, 4), 0), ((3, 1, 1), 0), ((5, 5), 1)])
def test_what_else_was_put_together_is_cut_anew(preferred, sizes, axis):
    parts = [tf.random.normal((size, 3)) for size in sizes]
    seen = []

    def function(x):
        return halves.in_halves(lambda x: seen.append(x.shape[0]) or tf.exp(x), tf.concat([*parts], axis))

    y, _ = computed(function, parts[0])
    np.testing.assert_array_equal(y, tf.exp(tf.concat(parts, axis)))
    assert seen == [3, 2]


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

        def run(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = model(x, training=False)
            return y, tape.gradient(y, [x, *model.trainable_variables])

        (y, gradients), graph = computed(run, x)
        results.append([y, *gradients])
        assert sum(op.type == "MaxPool" for op in graph.get_operations()) == (2 if sizes else 1)
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


def test_a_block_must_say_what_it_computes():
    with pytest.raises(NotImplementedError, match="Block must define `compute`"):
        Block()(keras.ops.ones((1, 2, 2, 3)))
