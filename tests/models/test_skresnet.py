import keras
import numpy as np
import pytest

import keras_sknet
from checks import images, randomize, relative_difference
from nets import tiny


@pytest.fixture(scope="module")
def model():
    model = tiny("SKResNet18", classifier_activation=None, depths=(1, 2, 1, 1))
    randomize(model)
    return model


def test_blocks_are_an_sk_unit_and_a_plain_convolution(model):
    block = model.get_layer("sk_3_1")
    assert type(block) is keras_sknet.SKBasicBlock and block.reduce is None
    assert [branch.conv.strides for branch in block.spatial.convolutions] == [(2, 2), (2, 2)]
    assert block.expand.conv.kernel_size == (3, 3) and block.expand.conv.strides == (1, 1)
    # Each branch has one half of the 8 channels.
    assert block.spatial.convolutions[0].conv.kernel.shape == (3, 3, 4 // 2, 8)


@pytest.mark.parametrize("name", ["SKResNet18", "SKResNet34"])
def test_full_size_network_is_timms(name):
    model = getattr(keras_sknet, name)()
    units = [model.get_layer(f"sk_{stage}_1").spatial for stage in (2, 3, 4, 5)]
    assert [unit.squeeze.units for unit in units] == [16, 16, 32, 64]
    assert [unit.convolutions[1].conv.dilation_rate for unit in units] == [(2, 2)] * 4
    assert all(branch.conv.groups == 1 for unit in units for branch in unit.convolutions)
    assert [unit.convolutions[0].conv.kernel.shape[2] for unit in units] == [32, 32, 64, 128]
    # The stem has as many channels as stage 2.
    shortcuts = [model.get_layer(f"sk_{stage}_1").shortcut is not None for stage in (2, 3, 4, 5)]
    assert shortcuts == [False, True, True, True]
    assert model.get_layer("stem").padding == "torch"


def test_the_block_equals_its_equation():
    block = keras_sknet.SKBasicBlock(8, 8)
    x = images(2, (8, 8, 8)) / 255
    block.build(x.shape)
    halves = [
        branch(half, training=False)
        for branch, half in zip(block.spatial.convolutions, np.split(x, 2, axis=-1), strict=True)
    ]
    a = np.asarray(block.attention(x))[:, :, None, None, :]
    selected = a[:, 0] * halves[0] + a[:, 1] * halves[1]
    y = np.maximum(np.asarray(block.expand(selected, training=False)) + x, 0)
    assert relative_difference(block(x, training=False), y) < 1e-5


def test_survives_saving_to_a_file(model, tmp_path):
    x = images(2, (32, 32, 3))
    model.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    for ours, theirs in zip(model.layers, loaded.layers, strict=True):
        assert type(ours) is type(theirs) and ours.get_config() == theirs.get_config()
    np.testing.assert_array_equal(loaded(x, training=False), model(x, training=False))


def test_folds(model):
    x = images(2, (32, 32, 3))
    folded = keras_sknet.fold_batch_norm(model)
    assert not any("moving" in weight.path for weight in folded.weights)
    assert relative_difference(folded(x, training=False), model(x, training=False)) < 1e-5


def test_tells_its_attention(model):
    x = images(4, (32, 32, 3))
    scores = keras_sknet.attention_scores(model, x)
    assert {unit: a.shape for unit, a in scores.items()} == {
        "sk_2_1": (4, 2, 8),
        "sk_3_1": (4, 2, 8),
        "sk_3_2": (4, 2, 8),
        "sk_4_1": (4, 2, 16),
        "sk_5_1": (4, 2, 16),
    }
    for a in scores.values():
        np.testing.assert_allclose(a.sum(axis=1), 1, rtol=1e-5)
    stem = keras.Model(model.input, model.get_layer("stem").output)
    np.testing.assert_allclose(scores["sk_2_1"], model.get_layer("sk_2_1").attention(stem(x)), atol=1e-5)


def test_has_a_pyramid_and_stages_to_freeze(model):
    pyramid = keras_sknet.feature_pyramid(model)
    shapes = {level: tuple(y.shape[1:]) for level, y in pyramid(images(1, (32, 32, 3))).items()}
    assert shapes == {"P2": (8, 8, 8), "P3": (4, 4, 16), "P4": (2, 2, 16), "P5": (1, 1, 32)}
    keras_sknet.freeze_stages(model, 3)
    assert {weight.path.split("/")[0] for weight in model.trainable_weights} == {
        "sk_4_1",
        "sk_5_1",
        "predictions",
    }
    keras_sknet.freeze_stages(model, None)


def test_exports_to_litert(model, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    path = tmp_path / "net.tflite"
    keras_sknet.export_tflite(model, path)
    x = images(1, (32, 32, 3))
    interpreter = Interpreter(str(path))
    runner = interpreter.get_signature_runner()
    (name,) = runner.get_input_details()
    (y,) = runner(**{name: x}).values()
    assert relative_difference(y, model(x, training=False)) < 1e-4
