"""Which models take raw pixels, on what they are calibrated and compared, and who their classes are."""

import keras
import numpy as np
import pytest

import keras_sknet
from checks import images
from keras_sknet.export import export_saved_model, export_tflite
from keras_sknet.export.calibration import calibration_batches
from keras_sknet.export.labels import final_classifier
from keras_sknet.export.pixels import takes_raw_pixels
from keras_sknet.export.samples import random_inputs
from keras_sknet.export.signatures import classifies_files
from nets import small, tiny

tf = pytest.importorskip("tensorflow")

LAYERS = keras.layers
SHAPE = (32, 32, 3)
MEAN, STD = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.25, 0.3])


def head(x):
    x = LAYERS.GlobalAveragePooling2D()(LAYERS.Conv2D(4, 3)(x))
    return keras_sknet.Classifier(3)(x)


def after(*first, shape=SHAPE, dtype=None, then=head):
    x = y = keras.Input(shape, dtype=dtype)
    for layer in first:
        y = layer(y)
    return keras.Model(x, then(y))


def both(net, change):
    """The sum of what a network makes of its input and of a changed one."""
    return lambda x: net(x) + net(change(x))


def to_float(x):
    return keras.ops.cast(x, "float32")


RAW = {
    "a network": tiny,
    "nested": lambda: after(then=tiny()),
    "nested twice": lambda: after(then=after(then=small())),
    "sequential": lambda: keras.Sequential([keras.Input(SHAPE), small()]),
    "1/255": lambda: after(LAYERS.Rescaling(1 / 255)),
    "-1..1": lambda: after(LAYERS.Rescaling(1 / 127.5, -1)),
    "by channel": lambda: after(LAYERS.Rescaling(1 / (255 * STD), -MEAN / STD)),
    "Normalization": lambda: after(LAYERS.Normalization(mean=255 * MEAN, variance=(255 * STD) ** 2)),
    "bytes": lambda: after(to_float, dtype="uint8", then=small()),
    "augmented": lambda: after(
        LAYERS.RandomFlip(), LAYERS.RandomContrast(0.2), LAYERS.Dropout(0.1), then=small()
    ),
    "resized": lambda: after(LAYERS.Resizing(32, 32), shape=(48, 48, 3), then=small()),
    "pooled": lambda: after(LAYERS.AveragePooling2D(2), LAYERS.Rescaling(1 / 255)),
    "any size": lambda: after(LAYERS.Rescaling(1 / 255), shape=(None, None, 3)),
    "augmented by a nested model": lambda: after(
        keras.Sequential([keras.Input(SHAPE), LAYERS.RandomFlip()]), then=small()
    ),
    "flipped too": lambda: after(then=both(small(), lambda x: keras.ops.flip(x, 2))),
}
NOT_RAW = {
    "no preprocessing": lambda: tiny(include_preprocessing=False),
    "input_tensor": lambda: tiny(input_tensor=LAYERS.Rescaling(255.0)(keras.Input(SHAPE))),
    "0..1": lambda: after(LAYERS.Rescaling(255.0), then=tiny()),
    "-1..1": lambda: after(LAYERS.Rescaling(127.5, 127.5), then=tiny()),
    "0..1 by channel": lambda: after(LAYERS.Rescaling(1 / STD, -MEAN / STD)),
    "0..1, Normalization": lambda: after(LAYERS.Normalization(mean=MEAN, variance=STD**2)),
    "an operation": lambda: after(lambda x: 255 * x, then=tiny()),
    "normalized inside": lambda: after(LAYERS.Conv2D(3, 3, padding="same"), LAYERS.Rescaling(1 / 255)),
    "one way raw": lambda: after(then=both(small(), lambda x: 2 * x)),
    "int8": lambda: after(to_float, dtype="int8", then=small()),
    "only moved": lambda: after(LAYERS.RandomFlip(), then=LAYERS.Flatten()),
}


@pytest.mark.parametrize("name", RAW)
def test_raw_pixels(name):
    model = RAW[name]()
    assert takes_raw_pixels(model)
    x = next(iter(random_inputs(model).values()))
    assert x.min() == 0 and x.max() == 255 and x.dtype == model.inputs[0].dtype


@pytest.mark.parametrize("name", NOT_RAW)
def test_other_numbers(name):
    model = NOT_RAW[name]()
    assert not takes_raw_pixels(model) and not classifies_files(model)


def test_each_input_is_told_by_itself():
    a, b = keras.Input(SHAPE, name="a"), keras.Input(SHAPE, name="b")
    net = small()
    model = keras.Model([a, b], net(a) - net(LAYERS.Rescaling(255.0)(b)))
    assert [takes_raw_pixels(model, position) for position in (0, 1)] == [True, False]
    inputs = random_inputs(model)
    assert inputs["a"].max() == 255 and inputs["b"].max() < 20


def test_small_numbers_are_calibrated_and_compared_as_they_are(tmp_path):
    net = small()
    x = images(40, SHAPE, seed=3)
    unit = after(LAYERS.Rescaling(255.0), then=net)
    signed = after(LAYERS.Rescaling(127.5, 127.5), then=net)
    want = net(x, training=False).numpy().argmax(-1)
    for model, data in (unit, x / 255), (signed, x / 127.5 - 1):
        ((batch,),) = calibration_batches(data, model, 40)()
        np.testing.assert_array_equal(batch, data)
        path = tmp_path / f"{data.min()}.tflite"
        report = export_tflite(model, path, "int8", data)
        interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
        run = interpreter.get_signature_runner()
        got = np.concatenate([run(images=image[None])["output_0"] for image in data.astype("float32")])
        assert (got.argmax(-1) == want).mean() > 0.8 and report.agreement >= 0.5
        random = random_inputs(model, data)["images"]
        assert data.min() <= random.min() and random.max() <= data.max()


@pytest.mark.parametrize("scale", [1 / 255, 1 / 127.5])
def test_images_that_an_input_of_bytes_would_lose_are_refused(scale):
    model = after(to_float, dtype="uint8", then=small())
    x = images(4, SHAPE)
    ((batch,),) = calibration_batches(x, model, 4)()
    assert batch.dtype == "uint8"
    # The first image's corners stand for the range.
    np.testing.assert_array_equal(batch[1:], np.rint(x[1:]))
    with pytest.raises(ValueError, match="`representative_dataset` must be images whose values fit"):
        calibration_batches(x * scale, model, 4)
    signed = after(to_float, dtype="int8")
    with pytest.raises(ValueError, match="values fit the model's input, integers of int8"):
        calibration_batches(x, signed, 4)


@pytest.mark.parametrize("dtype, low, high", [("uint8", 0, 255), ("int32", 0, 255), ("int8", -128, 127)])
def test_random_images_of_integers_are_bright(dtype, low, high):
    x = random_inputs(after(to_float, dtype=dtype))["images"]
    assert (x.dtype, x.min(), x.max()) == (dtype, low, high) and 30 < x.std() < 120


def features_and_scores():
    net = small(class_names=list("abcde"))
    return keras.Model(net.input, [net.output, net.layers[-1].input])


def test_classes_are_those_of_the_output():
    both = features_and_scores()
    x = keras.Input(SHAPE)
    assert final_classifier(keras.Model(x, both(x)[1])) is None
    found = final_classifier(keras.Model(x, both(x)[0]))
    assert found is both.get_layer(found.name) and found.class_names == tuple("abcde")
    twice = keras.Model(x, keras.Model(both.inputs, both.outputs)(x)[0])
    y = keras.Input(SHAPE)
    assert final_classifier(keras.Model(y, twice(y))) is found
    assert final_classifier(both) is None


def test_features_are_not_served_as_probabilities(tmp_path):
    x = keras.Input(SHAPE)
    export_saved_model(keras.Model(x, features_and_scores()(x)[1]), tmp_path / "x", verify=False)
    assert "classify_jpeg" not in tf.saved_model.load(str(tmp_path / "x")).signatures
    assert not (tmp_path / "x" / "assets" / "labels.txt").exists()


def test_a_single_logit_goes_through_sigmoid(tmp_path):
    x = keras.Input(SHAPE)
    y = LAYERS.GlobalAveragePooling2D()(LAYERS.Rescaling(1 / 255)(x))
    model = keras.Model(x, keras_sknet.Classifier(1, None, kernel_initializer="ones")(y))
    export_saved_model(model, tmp_path / "x", verify=False)
    file = tf.io.encode_png(np.full((*SHAPE[:2], 3), 51, "uint8"))
    served = tf.saved_model.load(str(tmp_path / "x")).signatures["classify_jpeg"](image_bytes=file[None])
    for name in "probabilities", "scores":
        np.testing.assert_allclose(served[name], [[1 / (1 + np.exp(-0.6))]], atol=1e-5)
