import importlib
from concurrent.futures import ThreadPoolExecutor

import keras
import pytest

import keras_sknet
from keras_sknet import K3, K5, K7, Branch, complexity
from keras_sknet.ops import paths
from nets import tiny

module = importlib.import_module("keras_sknet.complexity")

WIDER = {"widths": (136, 272, 544, 1088), "filters": (272, 544, 1088, 2176), "cardinality": 34}
CARDINAL = {"widths": (144, 288, 576, 1152), "filters": (256, 512, 1024, 2048), "cardinality": 36}
# Network, options, trainable, parameters, and G multiply-adds by three countings, as worked out by hand.
ROWS = [
    ("ResNeXt50", {}, 25_028_904, 25_097_128, "4.2305", None, "4.2449"),
    ("ResNeXt101", {}, 44_177_704, 44_315_560, "7.9700", None, "7.9912"),
    ("SENet50", {}, 27_559_896, 27_628_120, "4.2330", None, "4.2474"),
    ("SENet101", {}, 48_955_416, 49_093_272, "7.9747", None, "7.9960"),
    ("SKNet26", {}, 16_746_408, 16_793_256, "2.5869", "2.5899", "2.5978"),
    ("SKNet50", {}, 27_479_784, 27_564_328, "4.4627", "4.4682", "4.4799"),
    ("SKNet101", {}, 48_736_040, 48_908_712, "8.4487", "8.4577", "8.4744"),
    # Counted in timm's networks, by hooks.
    ("SKResNet18", {}, 11_958_056, 11_972_008, "1.8143", "1.8158", "1.8176"),
    ("SKResNet34", {}, 22_282_376, 22_307_944, "3.6642", "3.6670", "3.6694"),
    ("ResNeXt50", WIDER, 28_017_832, 28_090_312, "4.7400", None, "4.7552"),
    ("ResNeXt50", {"depths": (3, 4, 8, 3)}, 27_281_704, 27_358_120, "4.6704", None, "4.6856"),
    ("ResNeXt50", CARDINAL, 27_549_352, 27_621_352, "4.6993", None, "4.7145"),
    ("SKNet50", {"branches": (K3, K7)}, 27_479_784, 27_564_328, "4.4627", "4.4682", "4.4799"),
    ("SKNet50", {"branches": (K3, K3)}, 27_479_784, 27_564_328, "4.4627", "4.4682", "4.4799"),
    (
        "SKNet50",
        {"branches": (K3, Branch(5, groups=64))},
        28_029_928,
        28_114_472,
        "4.5526",
        "4.5581",
        "4.5698",
    ),
    (
        "SKNet50",
        {"branches": (K3, Branch(7, groups=128))},
        27_990_632,
        28_075_176,
        "4.5462",
        "4.5517",
        "4.5634",
    ),
    ("SKNet50", {"branches": (K5,)}, 25_028_904, 25_097_128, "4.2305", None, "4.2449"),
    (
        "SKNet50",
        {"branches": (K3, K5), "use_attention": False},
        26_458_664,
        26_541_992,
        "4.4617",
        None,
        "4.4789",
    ),
    (
        "SKNet50",
        {"branches": (K3, K5, K7), "use_attention": False},
        *(27_888_424, 27_986_856, "4.6929", None, "4.7128"),
    ),
    ("SKNet50", {"branches": (K3, K5, K7)}, 29_249_512, 29_349_160, "4.6943", "4.7025", "4.7142"),
]
# Each a network of full size, which takes seconds to build.
QUICK = (
    *(row for row in ROWS if row[0] in ("SKNet26", "SENet50", "SKResNet18")),
    ROWS[5],
    ROWS[-1],
    ROWS[-2],
)


@pytest.mark.parametrize(
    "name, options, trainable, parameters, plain, select, norm",
    [row if row in QUICK else pytest.param(*row, marks=pytest.mark.slow) for row in ROWS],
)
def test_rows_of_the_paper(name, options, trainable, parameters, plain, select, norm):
    counts = complexity(getattr(keras_sknet, name)(**options))
    assert (counts.trainable_parameters, counts.parameters) == (trainable, parameters)
    giga = [f"{value / 1e9:.4f}" for value in counts[2:5]]
    assert giga == [plain, select or plain, norm]
    assert counts.uncounted == ()


def independent_count(size, classes, kernels, groups, depths, widths, filters, stem):
    """SKNet by arithmetic alone: trainable parameters, moving statistics, the three countings."""
    branches = len(kernels)
    size = -(-size // 2)
    parameters, statistics = 49 * 3 * stem + 2 * stem, 2 * stem
    plain, select, norm = size**2 * 49 * 3 * stem, 0, size**2 * stem
    size, channels = -(-size // 2), stem
    for stage, (depth, width, out) in enumerate(zip(depths, widths, filters, strict=True)):
        for block in range(depth):
            before = size
            if stage and not block:
                size = -(-size // 2)
            units = max(width // 16, 32)
            convs = [(before, channels * width, width), (size, width * out, out)]
            convs += [(size, k * k * width // g * width, width) for k, g in zip(kernels, groups, strict=True)]
            convs += [(1, width * units, units)]
            if channels != out or size != before:
                convs += [(size, channels * out, out)]
            for at, kernel, outputs in convs:
                parameters += kernel + 2 * outputs
                statistics += 2 * outputs
                plain += at**2 * kernel
                norm += at**2 * outputs
            parameters += units * branches * width
            plain += units * branches * width
            select += branches * size**2 * width
            channels = out
    parameters += (channels + 1) * classes
    plain += channels * classes
    return parameters, parameters + statistics, plain, plain + select, plain + norm


def test_a_size_class_count_and_branch_set_of_no_table():
    options = {"depths": (1, 2, 1, 2), "widths": (24, 48, 96, 600), "filters": (24, 64, 128, 256)}
    expected = independent_count(87, 37, (3, 5, 3), (8, 4, 24), stem=24, **options)
    model = keras_sknet.SKNet50(
        input_shape=(None, None, 3),
        classes=37,
        branches=(Branch(3, 3, 8), Branch(5, 1, 4), Branch(3, 1, 24)),
        stem_filters=24,
        **options,
    )
    assert complexity(model, (87, 87, 3))[:5] == expected


def test_resnet50_of_keras_applications():
    # torchvision and fvcore count 4,089,184,256 with the stride on the 3×3; Keras' has it on the first 1×1.
    counts = complexity(keras.applications.ResNet50(weights=None))
    size, channels, plain = 56, 64, 112**2 * 49 * 3 * 64
    for stage, (depth, width) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True)):
        for block in range(depth):
            if stage and not block:
                size //= 2
            plain += size**2 * (channels * width + 9 * width**2 + width * 4 * width)
            plain += 0 if block else size**2 * channels * 4 * width
            channels = 4 * width
    assert counts.multiply_adds == plain + 2048 * 1000
    assert counts.parameters == 25_636_712 and counts.trainable_parameters == 25_583_592


def test_counts_every_kind_of_convolution_and_each_call():
    inputs = keras.Input((8, 8, 4))
    x = keras.layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=2)(inputs)  # 4·4·9·8
    x = keras.layers.SeparableConv2D(6, 3, padding="same")(x)  # 4·4·(9·8 + 8·6)
    x = keras.layers.Conv2DTranspose(4, 2, 2)(x)  # 4·4·4·6·4
    x = keras.layers.Reshape((64, 4))(x)
    x = keras.layers.Conv1D(4, 3, padding="same")(x)  # 64·3·4·4
    dense = keras.layers.Dense(4)  # 64·4·4, twice
    counts = complexity(keras.Model(inputs, dense(dense(x))))
    expected = 16 * 72 + 16 * (72 + 48) + 16 * 96 + 64 * 48 + 2 * 64 * 16
    assert counts.multiply_adds == expected
    assert counts.uncounted == ()


def test_names_what_it_cannot_count():
    inputs = keras.Input((8, 4))
    model = keras.Model(inputs, keras.layers.LSTM(3, name="memory")(inputs))
    assert complexity(model).uncounted == ("memory",)


class Recurrent(keras.layers.Layer):
    """A cell with a layer that is counted, or would be."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.state_size = self.output_size = 8
        self.dense = keras.layers.Dense(8)

    def build(self, input_shape):
        self.dense.build((None, input_shape[-1] + 8))

    def call(self, inputs, states):
        outputs = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
        return outputs, [outputs]


@pytest.mark.parametrize("unroll", [False, True])
def test_a_loop_is_not_counted_by_halves(unroll):
    inputs = keras.Input((10, 16))
    loop = keras.layers.RNN(Recurrent(), unroll=unroll, name="loop")
    model = keras.Model(inputs, keras.layers.Dense(2)(loop(inputs)))
    counts = complexity(model)
    assert counts.uncounted == (() if unroll else ("loop",))
    assert counts.multiply_adds == 16 + (10 * 24 * 8 if unroll else 0)


def test_leaves_the_model_as_it_was():
    model = tiny()
    config = model.get_config()
    complexity(model)
    assert all("call" not in vars(layer) for layer in model.layers)
    head = model.layers[-1]
    head.call = lambda inputs, **_: keras.ops.zeros_like(inputs[:, :1])
    complexity(model)
    assert model(keras.ops.ones((2, 32, 32, 3))).shape == (2, 1)
    del head.call
    assert model.get_config() == config


def test_threads_count_one_after_the_other():
    model = tiny()
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(complexity, [model] * 4))
    assert found == {complexity(model)}


def test_a_model_may_be_used_while_it_is_counted(monkeypatch):
    """Neither is what other threads compute counted, nor are they made to compute step by step."""
    model, x = tiny(), keras.ops.ones((1, 32, 32, 3))
    expected = complexity(model)
    seen = []
    rule = module._select

    def disturbed(layer, inputs, outputs):
        if not seen:
            seen.append(None)  # once
            with ThreadPoolExecutor(1) as pool:
                seen[0] = pool.submit(lambda: (model(x, training=False), paths.is_forced())).result()[1]
        return rule(layer, inputs, outputs)

    rules = tuple((*row[:2], disturbed if row[2] is rule else row[2]) for row in module.RULES)
    monkeypatch.setattr(module, "RULES", rules)
    assert complexity(model) == expected
    assert seen == [False]
    assert not paths.is_forced()


def test_counts_inside_nested_models_and_at_several_sizes():
    network = tiny(include_top=False, pooling="avg", input_shape=(None, None, 3))
    nested = keras.Sequential([keras.Input((64, 64, 3)), network])
    assert complexity(nested).multiply_adds == complexity(network, (64, 64, 3)).multiply_adds
    assert complexity(network, (64, 64, 3)).multiply_adds > 3 * complexity(network, (32, 32, 3)).multiply_adds
