import os

import keras
import numpy as np
import pytest

import keras_sknet
from checks import images, randomize, relative_difference
from keras_sknet.data import decode, evaluation_transform
from keras_sknet.export import export_saved_model
from nets import tiny as tiny_of_four

tf = pytest.importorskip("tensorflow")


def tiny(*args, **options):
    return tiny_of_four(*args, **{"depths": (1, 1, 1), **options})


EVERY = {"serving_default", "classify_jpeg", "features"}


def jpegs(count, seed=0):
    pixels = images(count, (60, 45, 3), seed).astype("uint8")
    return [tf.io.encode_jpeg(image).numpy() for image in pixels]


def signatures(path):
    return tf.saved_model.load(str(path)).signatures


@pytest.fixture(scope="module")
def classify(exported):
    served = signatures(exported[1])["classify_jpeg"]
    return lambda files: {name: y.numpy() for name, y in served(image_bytes=tf.constant(files)).items()}


def logits(model, files):
    transform = evaluation_transform(model)
    return model(tf.stack([transform(decode(file)) for file in files]), training=False)


def test_the_five_likeliest_classes_by_name(exported, classify):
    files, names = jpegs(16), exported[0].layers[-1].class_names
    got = classify(files)
    want = tf.nn.softmax(logits(exported[0], files)).numpy()
    order = np.argsort(-want, axis=1)[:, :5]
    assert {tuple(row) for row in order} > {tuple(order[0])}, "all images look the same"
    assert relative_difference(got["probabilities"], want) < 1e-5
    np.testing.assert_array_equal(got["scores"], np.take_along_axis(got["probabilities"], order, 1))
    assert [[name.decode() for name in row] for row in got["classes"]] == [
        [names[i] for i in row] for row in order
    ]


def test_png_files_and_other_sizes_share_a_batch(exported, classify):
    pixels = images(1, (90, 33, 3))[0].astype("uint8")
    files = [tf.io.encode_png(pixels).numpy(), *jpegs(2), tf.io.encode_png(pixels[..., :1]).numpy()]
    want = tf.nn.softmax(logits(exported[0], files))
    assert relative_difference(classify(files)["probabilities"], want) < 1e-5


def test_bytes_that_are_no_image_are_named_by_their_index(classify):
    good = jpegs(3)
    bad = [good[0], b"no image", good[1], b"", good[2], b"GIF89a" + bytes(20)]
    message = (
        r"`image_bytes` must be JPEG or PNG files. Others are at these indices of the batch:\] \[1 3 5\]"
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        classify(bad)


def test_a_file_that_is_cut_off_fails_the_request_and_no_other(classify):
    files = jpegs(3)
    want = classify(files)["probabilities"]
    for length in (200, len(files[1]) - 1):
        with pytest.raises(tf.errors.InvalidArgumentError, match="Invalid JPEG data"):
            classify([files[0], files[1][:length], files[2]])
    # What a client does then: each one by itself.
    for file, row in zip(files, want, strict=True):
        assert relative_difference(classify([file])["probabilities"], row[None]) < 1e-5


@pytest.mark.parametrize(
    "options, top",
    [
        ({"classes": 3, "classifier_activation": "softmax"}, 3),
        ({"classes": 12, "classifier_activation": "sigmoid"}, 5),
    ],
)
def test_an_activation_is_not_followed_by_softmax(options, top, tmp_path):
    model = tiny(**options)
    randomize(model)
    export_saved_model(model, tmp_path / "x", verify=False)
    got = signatures(tmp_path / "x")["classify_jpeg"](image_bytes=tf.constant(jpegs(2)))
    want = logits(model, jpegs(2))
    assert relative_difference(got["probabilities"], want) < 1e-5
    assert got["scores"].shape == got["classes"].shape == (2, top)
    # Without names the classes are numbers.
    numbers = np.argsort(-want.numpy(), axis=1)[:, :top].astype("S")
    np.testing.assert_array_equal(got["classes"], numbers)
    assert labels(tmp_path / "x") == [str(i) for i in range(options["classes"])]


def labels(folder):
    return (folder / "assets" / "labels.txt").read_text(encoding="utf-8").splitlines()


def test_labels_are_a_file_too(exported):
    assert labels(exported[1]) == list(exported[0].layers[-1].class_names)


def test_a_name_of_two_lines_is_one(tmp_path):
    names = ("a\nb", " c ", "d\r\ne")
    export_saved_model(tiny(classes=3, class_names=names), tmp_path / "x", verify=False)
    assert labels(tmp_path / "x") == ["a b", " c ", "d e"]
    got = signatures(tmp_path / "x")["classify_jpeg"](image_bytes=tf.constant(jpegs(1)))["classes"]
    assert set(got.numpy()[0]) == {b"a b", b" c ", b"d e"}


def nested():
    inputs = keras.Input((32, 32, 3))
    return keras.Model(inputs, tiny()(inputs))


def own():
    x = keras.layers.Rescaling(1 / 255)(inputs := keras.Input((32, 32, 3)))
    x = keras.layers.GlobalAveragePooling2D()(keras_sknet.ConvNormAct(4, 3)(x))
    return keras.Model(inputs, keras_sknet.Classifier(3)(x))


def softened():
    return keras.Sequential([*tiny(classifier_activation=None).layers, keras.layers.Softmax()])


def doubled():
    model = tiny(classifier_activation=None)
    return keras.Model(model.input, 2 * model.output)


def in_a_dictionary():
    model = tiny()
    return keras.Model(model.input, {"probabilities": model.output})


@pytest.mark.parametrize(
    "make, names",
    [
        (lambda: tiny(stem="cifar"), EVERY),
        (in_a_dictionary, EVERY),
        (lambda: tiny(include_top=False), EVERY - {"classify_jpeg"}),
        (lambda: tiny(include_preprocessing=False), EVERY - {"classify_jpeg"}),
        (lambda: tiny(include_preprocessing=False, input_shape=(32, 32, 1)), {"serving_default"}),
        (nested, EVERY - {"features"}),
        (own, EVERY - {"features"}),
        (softened, {"serving_default"}),
        (doubled, EVERY - {"classify_jpeg"}),
        (lambda: keras.Sequential([keras.Input((4,)), keras_sknet.Classifier(2)]), {"serving_default"}),
    ],
)
def test_a_model_gets_the_signatures_that_it_can_have(make, names, tmp_path):
    export_saved_model(make(), tmp_path / "x", verify=False)
    assert set(signatures(tmp_path / "x")) == names
    assert (tmp_path / "x" / "assets" / "labels.txt").exists() == ("classify_jpeg" in names)


def test_pooled_is_what_the_classifier_sees(exported):
    model, folder = exported
    x = images(2, (32, 32, 3))
    got = signatures(folder)["features"](images=tf.constant(x))
    assert set(got) == {"P2", "P3", "P4", "pooled"}
    pooled = keras.Model(model.input, model.layers[-1].input)(x, training=False)
    assert relative_difference(got["pooled"], pooled) < 1e-5


def test_a_network_of_any_size_and_of_mixed_precision(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = tiny(input_shape=(None, None, 3), classifier_activation=None)
    randomize(model)
    export_saved_model(model, tmp_path / "x", size=(40, 64))
    served = signatures(tmp_path / "x")
    assert {output.dtype for output in served["features"].structured_outputs.values()} == {tf.float32}
    got = served["classify_jpeg"](image_bytes=tf.constant(jpegs(1)))
    image = evaluation_transform(model, (40, 64))(decode(jpegs(1)[0]))
    assert image.shape == (40, 64, 3)
    assert relative_difference(got["probabilities"], tf.nn.softmax(model(image[None], training=False))) < 2e-2
    with pytest.raises(ValueError, match="`size` must be a positive integer or a pair.*size=0"):
        export_saved_model(model, tmp_path / "y", size=0)
    assert os.listdir(tmp_path) == ["x"]
