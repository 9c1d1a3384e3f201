import keras
import numpy as np
import pytest

import keras_sknet
from keras_sknet.models.imagenet import class_names_of_imagenet, imagenet_classes


def test_classes_are_wordnets_in_imagenets_order():
    classes = imagenet_classes()
    assert len(classes) == len(set(classes)) == 1000 == len(set(class_names_of_imagenet()))
    ids = [wordnet for wordnet, _ in classes]
    assert ids == sorted(ids) and all(len(wordnet) == 9 and wordnet[0] == "n" for wordnet in ids)
    assert classes[0] == ("n01440764", "tench") and classes[999] == ("n15075141", "toilet tissue")
    assert classes[134] == ("n02012849", "crane (bird)") and classes[517] == ("n03126707", "crane (machine)")


def test_decodes_the_likeliest_first():
    scores = np.zeros((2, 1000), "float32")
    scores[0, [386, 385, 101]] = 0.5, 0.3, 0.2
    scores[1, 7] = -1
    for preds in (scores, keras.ops.convert_to_tensor(scores)):
        first, second = keras_sknet.decode_predictions(preds, top=3)
        assert [name for _, name, _ in first] == ["African elephant", "Indian elephant", "tusker"]
        assert first[0] == ("n02504458", "African elephant", np.float32(0.5))
        assert [wordnet for wordnet, _, _ in second] == ["n01440764", "n01443537", "n01484850"]
    assert [len(found) for found in keras_sknet.decode_predictions(scores)] == [5, 5]


@pytest.mark.parametrize("dtype, least", [("uint8", 0), ("int8", -128)])
def test_integers_of_a_file_are_decoded_in_their_order(dtype, least):
    scores = np.full((1, 1000), least, dtype)
    scores[0, [386, 385]] = least + 255, least + 1
    (first,) = keras_sknet.decode_predictions(scores, top=2)
    assert [name for _, name, _ in first] == ["African elephant", "Indian elephant"]
    assert first[0][2] == least + 255


def test_preprocesses_as_keras_does_and_leaves_its_input_alone():
    x = np.random.default_rng(0).uniform(0, 255, (2, 8, 9, 3)).astype("float32")
    expected = keras.applications.imagenet_utils.preprocess_input(x.copy(), mode="torch")
    before = x.copy()
    found = keras_sknet.preprocess_input(x)
    assert type(found) is np.ndarray and found.dtype == "float32"
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_allclose(keras_sknet.preprocess_input(x[0], "channels_last"), expected[0], atol=1e-5)
    tensor = keras_sknet.preprocess_input(keras.ops.convert_to_tensor(x))
    assert keras.ops.is_tensor(tensor)
    np.testing.assert_allclose(tensor, expected, atol=1e-5)


def test_preprocesses_whole_numbers_and_inside_a_model():
    x = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3))
    expected = (x / 255 - 0.5) / 0.25
    half = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    np.testing.assert_allclose(keras_sknet.preprocess_input(x, **half), expected, atol=1e-5)
    np.testing.assert_allclose(keras_sknet.preprocess_input(x.astype("uint8"), **half), expected, atol=1e-5)
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras_sknet.preprocess_input(inputs, **half))
    np.testing.assert_allclose(model(x), expected, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_the_policy_takes_no_precision(policy):
    x = np.full((1, 2, 2, 3), 100, "uint8")
    expected = keras_sknet.preprocess_input(x)
    keras.config.set_dtype_policy(policy)
    np.testing.assert_array_equal(keras_sknet.preprocess_input(x), expected)
