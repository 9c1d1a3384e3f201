import numpy as np
import pytest

import keras_sknet
from checks import images, randomize, relative_difference
from keras_sknet import (
    BAMBottleneck,
    CBAMBottleneck,
    attention_scores,
    complexity,
    feature_pyramid,
    fold_batch_norm,
    freeze_stages,
)
from keras_sknet.layers import Bottleneck
from keras_sknet.ops._private import flatten_layers
from nets import tiny

GATED = ("CBAMResNeXt50", "BAMResNeXt50")
# Network, trainable, parameters, and multiply-adds by two countings, G.
ROWS = [
    ("CBAMResNeXt50", 27_561_496, 27_629_752, "4.2369", "4.2513"),
    ("BAMResNeXt50", 25_386_971, 25_456_091, "4.3126", "4.3273"),
    pytest.param("CBAMResNeXt101", 48_958_716, 49_096_638, "7.9812", "8.0024", marks=pytest.mark.slow),
    pytest.param("BAMResNeXt101", 44_535_771, 44_674_523, "8.0521", "8.0736", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("name, trainable, parameters, plain, norm", ROWS)
def test_counts(name, trainable, parameters, plain, norm):
    counts = complexity(getattr(keras_sknet, name)())
    assert (counts.trainable_parameters, counts.parameters) == (trainable, parameters)
    assert [f"{value / 1e9:.4f}" for value in counts[2:5]] == [plain, plain, norm]
    assert counts.uncounted == ()


@pytest.mark.parametrize(
    "name, trainable",
    [
        ("CBAMResNeXt50", 28_089_624),
        ("BAMResNeXt50", 25_915_099),
        pytest.param("CBAMResNeXt101", 49_330_172, marks=pytest.mark.slow),
        pytest.param("BAMResNeXt101", 44_907_227, marks=pytest.mark.slow),
    ],
)
def test_on_a_plain_resnet_the_gates_cost_what_they_do_in_pytorchcv(name, trainable):
    model = getattr(keras_sknet, name)(cardinality=1, widths=(64, 128, 256, 512))
    assert complexity(model).trainable_parameters == trainable


def test_cbam_is_in_every_block_and_bam_at_the_end_of_every_stage_but_the_last():
    depths = (2, 3, 1, 2)
    cbam, bam = (tiny(name, depths=depths) for name in GATED)
    blocks = {layer.name: layer for layer in cbam.layers if isinstance(layer, Bottleneck)}
    assert list(blocks) == [f"cbam_{s}_{b}" for s, depth in enumerate(depths, 2) for b in range(1, depth + 1)]
    assert all(isinstance(block, CBAMBottleneck) for block in blocks.values())
    blocks = {layer.name: layer for layer in bam.layers if isinstance(layer, Bottleneck)}
    assert list(blocks) == [f"bam_{s}_{b}" for s, depth in enumerate(depths, 2) for b in range(1, depth + 1)]
    with_bam = [name for name, block in blocks.items() if isinstance(block, BAMBottleneck)]
    assert with_bam == ["bam_2_2", "bam_3_3", "bam_4_1"]


def test_the_gates_options_arrive():
    model = tiny("BAMResNeXt50", depths=(1, 1, 1), reduction=2, dilation_rate=3)
    bam = model.get_layer("bam_3_1").bam
    assert (bam.reduction, bam.dilation_rate) == (2, 3)
    assert tiny("CBAMResNeXt50", reduction=2).get_layer("cbam_3_1").gate.reduction == 2


@pytest.mark.parametrize("name", GATED)
def test_folds_to_equal_outputs(name):
    model = tiny(name, depths=(1, 2, 1), reduction=2, classifier_activation=None)
    randomize(model)
    folded = fold_batch_norm(model)
    x = images(4, (32, 32, 3))
    assert relative_difference(folded(x), model(x)) < 1e-5
    assert not any("moving_mean" in weight.path for weight in folded.weights)
    again = fold_batch_norm(folded)
    np.testing.assert_array_equal(again(x), folded(x))


@pytest.mark.parametrize("name", GATED)
def test_is_exported_to_litert(name, tmp_path):
    model = tiny(name, depths=(1, 1, 1), reduction=2, classifier_activation=None)
    randomize(model)
    # It verifies by itself that outputs are equal.
    path = tmp_path / "model.tflite"
    keras_sknet.export_tflite(model, path)
    assert path.stat().st_size > 10_000


@pytest.mark.parametrize("name", [*GATED, "SENet50"])
def test_its_gates_are_no_kernel_attention(name):
    with pytest.raises(ValueError, match="`model` must be one with SK units of two branches or more"):
        attention_scores(tiny(name), np.zeros((1, 32, 32, 3), "float32"))


def test_features_are_taken_and_stages_frozen_with_their_gates():
    model = tiny("BAMResNeXt50", include_top=False, depths=(1, 1, 1, 1))
    assert feature_pyramid(model).output["P3"] is model.get_layer("bam_3_1").output
    freeze_stages(model, through=3)
    gates = [layer for layer in flatten_layers(model) if isinstance(layer, keras_sknet.BAM)]
    assert [gate.trainable for gate in gates] == [False, False, True]
