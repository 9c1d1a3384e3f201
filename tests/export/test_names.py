"""How inputs and outputs are called: alike in every format, whatever the model calls them."""

import keras
import numpy as np
import pytest

from checks import images
from keras_sknet import export
from keras_sknet.export.formats import load

EXPORTERS = {
    "saved_model": export.export_saved_model,
    "x.tflite": export.export_tflite,
    "x.onnx": export.export_onnx,
    "openvino": export.export_openvino,
}
SHAPE = (8, 8, 3)


def body(x):
    return keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))


def outputs_of(file):
    loaded = load(file)
    return loaded.run(dict.fromkeys(loaded.inputs, images(1, SHAPE)))


@pytest.mark.parametrize("path", EXPORTERS)
@pytest.mark.parametrize(
    "name, exported",
    [
        ("my-image.1", "my_image_1"),
        ("my image", "my_image"),
        ("1x", "input_1x"),
        ("_x", "input__x"),
        ("self", "input_self"),
        ("class", "input_class"),
        ("größe", "gr__e"),
        ("Images", "Images"),
    ],
)
def test_inputs_have_one_name_everywhere(name, exported, path, tmp_path):
    x = keras.Input(SHAPE, name=name)
    report = EXPORTERS[path](keras.Model(x, body(x)), tmp_path / path)
    assert report.difference < 1e-4
    assert list(load(tmp_path / path).inputs) == [exported]


@pytest.mark.parametrize("path", EXPORTERS)
def test_names_that_become_the_same_are_refused(path, tmp_path):
    inputs = [keras.Input(SHAPE, name=name) for name in ("a.b", "a-b")]
    model = keras.Model(inputs, body(inputs[0] - inputs[1]))
    with pytest.raises(ValueError, match=r"`model` must be one whose inputs have different.*'a_b', 'a_b'"):
        EXPORTERS[path](model, tmp_path / path)


@pytest.mark.parametrize("path", EXPORTERS)
@pytest.mark.parametrize(
    "structure, names",
    [
        (lambda y: {"a": y, "b": {"c": 2 * y, "d": [3 * y]}}, {"a": 1, "b_c": 2, "b_d_0": 3}),
        (lambda y: [y, [2 * y, 3 * y]], {"output_0": 1, "output_1_0": 2, "output_1_1": 3}),
        (lambda y: [y, y], {"output_0": 1, "output_1": 1}),
        (
            lambda y: {"logits": y, "also": keras.layers.Activation("linear")(y)},
            {"logits": 1, "also": 1},
        ),
    ],
    ids=["dictionaries", "lists", "twice", "under two names"],
)
def test_outputs_have_one_name_everywhere(structure, names, path, tmp_path):
    x = keras.Input(SHAPE, name="images")
    y = body(x)
    EXPORTERS[path](keras.Model(x, structure(y)), tmp_path / path)
    found = outputs_of(tmp_path / path)
    assert found.keys() == names.keys()
    want = keras.Model(x, y)(images(1, SHAPE))
    for name, factor in names.items():
        np.testing.assert_allclose(found[name], factor * want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("path", EXPORTERS)
def test_an_input_may_be_an_output(path, tmp_path):
    x = keras.Input(SHAPE, name="images")
    EXPORTERS[path](keras.Model(x, [x, body(x)]), tmp_path / path)
    assert list(load(tmp_path / path).inputs) == ["images"]
    np.testing.assert_array_equal(outputs_of(tmp_path / path)["output_0"], images(1, SHAPE))


@pytest.mark.parametrize("path", EXPORTERS)
@pytest.mark.parametrize(
    "structure, text",
    [
        (lambda y: keras.ops.mean(y), r"whose outputs all begin with the batch.*output_shapes=\[\(\)\]"),
        (lambda y: {"a_b": y, "a": {"b": y}}, "whose outputs have different names.*'a_b', 'a_b'"),
    ],
    ids=["scalar", "same names"],
)
def test_what_cannot_be_named_or_counted_is_refused(structure, text, path, tmp_path):
    x = keras.Input(SHAPE)
    with pytest.raises(ValueError, match=f"`model` must be one {text}"):
        EXPORTERS[path](keras.Model(x, structure(body(x))), tmp_path / path)


@pytest.mark.parametrize("path", ["x.onnx", "openvino"])
def test_an_output_called_as_the_input_is_refused_where_it_must(path, tmp_path):
    x = keras.Input(SHAPE, name="images")
    with pytest.raises(ValueError, match="`model` must be one whose outputs are not called as its inputs"):
        EXPORTERS[path](keras.Model(x, {"images": body(x)}), tmp_path / path)


@pytest.mark.parametrize("path", EXPORTERS)
@pytest.mark.parametrize("verify", [None, "yes", 1, np.zeros((2, 4, 8, 3)), np.zeros((0, *SHAPE))])
def test_verify_is_checked_first(verify, path, tmp_path, monkeypatch):
    def never(*arguments, **keywords):
        raise AssertionError("it was traced")

    monkeypatch.setattr("keras.export.ExportArchive", never)
    x = keras.Input(SHAPE)
    with pytest.raises(ValueError, match="`verify` must be one image or more of the shape"):
        EXPORTERS[path](keras.Model(x, body(x)), tmp_path / path, verify=verify)
