import collections
import os

import keras
import numpy as np
import pytest

import keras_sknet
from checks import images, quantized, randomize, relative_difference
from keras_sknet import Branch
from keras_sknet.data import Digits
from keras_sknet.export import export_tflite
from keras_sknet.export.calibration import calibration_batches
from keras_sknet.export.quantize import softmax_in_float
from nets import BRANCHES, tiny

tf = pytest.importorskip("tensorflow")

SHAPE = (32, 32, 3)
# By how much logits may differ of a net with random weights, which is harder to round than a trained one.
TOLERANCES = {"float16": 1e-2, "dynamic": 0.1, "int8": 0.35}
# What is taken and returned.
DTYPES = [("float32", "float32"), ("uint8", "float32"), ("int8", "int8"), ("uint8", "uint8")]
# The bytes as they are, or centred.
INPUT_QUANTIZATION = {"float32": (0, 0), "uint8": (1, 0), "int8": (1, -128)}
OUTPUT_QUANTIZATION = {"float32": (0, 0), "uint8": (1 / 256, 0), "int8": (1 / 256, -128)}
UNWANTED = {"TRANSPOSE", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "STRIDED_SLICE", "READ_VARIABLE"}


def outputs(interpreter, x):
    """Float outputs for float images, one after the other, as an app quantizes and dequantizes them."""
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    results = []
    for image in x:
        scale, zero = source["quantization"]
        values = np.rint(image / scale + zero) if scale else image
        interpreter.set_tensor(source["index"], values[None].astype(source["dtype"]))
        interpreter.invoke()
        y = interpreter.get_tensor(target["index"])[0].astype("float32")
        scale, zero = target["quantization"]
        results.append((y - zero) * scale if scale else y)
    return np.stack(results)


def weights(interpreter):
    """The details of those tensors that are weights of convolutions and dense layers."""
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    return [
        tensors[operator["inputs"][1]]
        for operator in interpreter._get_ops_details()
        if operator["op_name"] in ("CONV_2D", "FULLY_CONNECTED")
    ]


@pytest.mark.parametrize("quantize", TOLERANCES)
def test_a_network_in_one_partition(quantize, litert, tmp_path):
    model = keras_sknet.SKNetSmall(classifier_activation=None)
    randomize(model)
    export_tflite(model, tmp_path / "x.tflite", **quantized(quantize))
    interpreter, delegation = litert(tmp_path / "x.tflite")
    x = images(8, SHAPE, seed=1)
    assert relative_difference(outputs(interpreter, x), model(x, training=False)) < TOLERANCES[quantize]
    assert delegation.whole and delegation.partitions == 1
    assert not UNWANTED & set(delegation.operators)
    found = weights(interpreter)
    assert len(found) == 24 + 11
    if quantize == "float16":
        # They are made float32 when the file is loaded.
        kinds = collections.Counter(tensor["dtype"] for tensor in interpreter.get_tensor_details())
        assert kinds[np.float16] >= len(found)
    for tensor in found:
        # A dynamic file leaves small ones alone.
        small = quantize == "dynamic" and np.prod(tensor["shape"]) < 1024
        integers = quantize != "float16" and not small
        assert tensor["dtype"] == (np.int8 if integers else np.float32)
        scales = tensor["quantization_parameters"]["scales"]
        assert len(scales) == (tensor["shape"][0] if integers else 0)


@pytest.mark.slow
@pytest.mark.parametrize("quantize", TOLERANCES)
def test_sknet50_at_full_size(quantize, litert, tmp_path):
    model = keras_sknet.SKNet50()
    randomize(model)
    shape = model.input_shape[1:]
    export_tflite(model, tmp_path / "x.tflite", **quantized(quantize, shape, count=8))
    interpreter, delegation = litert(tmp_path / "x.tflite")
    assert delegation.whole and delegation.partitions == 1
    assert not UNWANTED & set(delegation.operators)
    assert delegation.operators["CONV_2D"] == 69 and delegation.operators["SOFTMAX"] == 1
    megabytes = os.path.getsize(tmp_path / "x.tflite") / 1e6
    assert megabytes < {"float16": 56, "dynamic": 29, "int8": 30}[quantize]
    if quantize == "float16":
        x = images(1, shape, seed=1)
        assert relative_difference(outputs(interpreter, x), model(x, training=False)) < 1e-2


@pytest.mark.parametrize("input_dtype, output_dtype", DTYPES)
def test_integers_in_and_out(input_dtype, output_dtype, network, litert, tmp_path):
    data = np.clip(images(8, SHAPE), 20, 200)
    options = {"input_dtype": input_dtype, "output_dtype": output_dtype}
    export_tflite(network, tmp_path / "x", "int8", data, **options)
    interpreter, delegation = litert(tmp_path / "x")
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (source["dtype"], target["dtype"]) == (np.dtype(input_dtype), np.dtype(output_dtype))
    assert source["quantization"] == INPUT_QUANTIZATION[input_dtype]
    assert target["quantization"] == OUTPUT_QUANTIZATION[output_dtype]
    # Whole bytes lose nothing on the way in.
    x = np.rint(data)
    want = network(x, training=False)
    assert np.abs(outputs(interpreter, x) - want).max() < 0.2
    assert delegation.partitions == 1 and delegation.whole == (
        input_dtype != "uint8" and output_dtype == "float32"
    )


def test_softmax_in_float_is_finer(network, litert, tmp_path):
    export_tflite(network, tmp_path / "float", "int8", images(8, SHAPE))
    export_tflite(network, tmp_path / "int8", "int8", images(8, SHAPE), output_dtype="int8")
    x = images(8, SHAPE, seed=1)
    fine, coarse = (outputs(litert(tmp_path / name)[0], x) for name in ("float", "int8"))
    np.testing.assert_allclose(fine.sum(axis=-1), 1, atol=1e-6)
    # The rounding is the only difference.
    assert 1 / 1024 < np.abs(fine - coarse).max() < 1.5 / 256


def test_softmax_in_float_leaves_other_files_alone(tmp_path):
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Softmax()(keras.layers.Dense(3)(x)))
    export_tflite(model, tmp_path / "x")
    content = (tmp_path / "x").read_bytes()
    assert softmax_in_float(content) is content


def test_softmax_that_others_need_as_integers_stays(litert, tmp_path):
    x = keras.Input((4,))
    p = keras.layers.Softmax()(keras.layers.Dense(3)(x))
    model = keras.Model(x, {"p": p, "next": keras.layers.Dense(2)(p)})
    data = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    export_tflite(model, tmp_path / "x", "int8", data)
    found = litert(tmp_path / "x")[0].get_signature_runner()(images=data[:1])
    want = model(data[:1])
    np.testing.assert_allclose(found["p"], want["p"], atol=0.02)
    np.testing.assert_allclose(found["next"], want["next"], atol=0.05)


def test_three_branches_in_int8(litert, tmp_path):
    model = tiny(branches=(*BRANCHES, Branch(5, 1, 4)), classifier_activation=None)
    randomize(model)
    export_tflite(model, tmp_path / "x", **quantized("int8"))
    interpreter, delegation = litert(tmp_path / "x")
    x = images(8, SHAPE, seed=1)
    assert relative_difference(outputs(interpreter, x), model(x, training=False)) < TOLERANCES["int8"]
    # XNNPACK leaves the exponential and the quotient of integers to LiteRT.
    assert delegation.operators["EXP"] == delegation.operators["DIV"] == 3 * 4


def test_batches_of_any_size_and_kind_give_the_same_calibration(network):
    x = images(7, SHAPE).astype("uint8")
    pairs = tf.data.Dataset.from_tensor_slices((x, np.zeros(7, "int32")))
    kinds = [
        x,
        x.astype("float64"),
        tf.constant(x),
        [x[:3], x[3:3], x[3:]],
        (tf.constant(x[i : i + 1]) for i in range(7)),
        ([x[i : i + 1]] for i in range(7)),
        pairs.batch(4),
        pairs.map(lambda image, label: image).batch(2),
    ]
    first, *others = ([b for [b] in calibration_batches(kind, network, 3)()] for kind in kinds)
    assert [batch.shape for batch in first] == [(3, *SHAPE)] * 3
    assert {batch.dtype for batch in first} == {np.dtype("float32")}
    for other in others:
        np.testing.assert_array_equal(np.stack(other), np.stack(first))
    # One pixel is black and one white, and the last batch is filled up; else they are the images.
    want = x[[*range(7), 6, 6]].reshape(3, 3, *SHAPE).astype("float32")
    want[0, 0].flat[[0, -1]] = 0, 255
    np.testing.assert_array_equal(np.stack(first), want)


def test_an_endless_dataset_is_refused(network):
    dataset = tf.data.Dataset.from_tensor_slices(images(2, SHAPE)).batch(2).repeat()
    with pytest.raises(ValueError, match="`representative_dataset` must be .* another iterable that ends"):
        calibration_batches(dataset, network, 1)


def test_other_models_are_calibrated_with_what_they_are_given():
    x = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    ((batch,),) = calibration_batches(x, model, 2)()
    np.testing.assert_array_equal(batch, x)


def test_a_nested_network_is_calibrated_for_bytes_too(network):
    x = keras.Input(SHAPE)
    ((batch,),) = calibration_batches(images(2, SHAPE) / 2 + 30, keras.Model(x, network(x)), 2)()
    assert (batch.min(), batch.max()) == (0, 255)
    with pytest.raises(ValueError, match="images of finite values between 0 and 255"):
        calibration_batches(images(2, SHAPE) + 30, keras.Model(x, network(x)), 2)


def test_the_batch_size_of_an_int8_file(litert, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    data = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    export_tflite(model, tmp_path / "x", "int8", data, batch_size=3)
    found = litert(tmp_path / "x")[0].get_signature_runner()(images=data[:3])["output_0"]
    np.testing.assert_allclose(found, model(data[:3]), atol=0.05)


@pytest.mark.parametrize("bad", [255.1, -1, np.nan, np.inf])
def test_bad_data_is_found_late_too(bad, network):
    x = images(3, SHAPE)
    x[2, 0, 0, 0] = bad
    batches = calibration_batches(list(x[:, None]), network, 1)()
    assert len(next(batches)) == len(next(batches)) == 1
    with pytest.raises(
        ValueError, match="`representative_dataset` must be images of finite values between 0"
    ):
        next(batches)


def test_bad_data_found_late_leaves_nothing(network, tmp_path):
    data = [images(1, SHAPE), images(1, (16, 32, 3))]
    with pytest.raises(ValueError, match=r"of shape \(images, 32, 32, 3\). Received: shape=\(1, 16, 32, 3\)"):
        export_tflite(network, tmp_path / "x", "int8", data)
    assert os.listdir(tmp_path) == []


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The small network of the main job after a few epochs, and held-out digits that it mostly gets right."""
    from keras_sknet.cli import main

    folder = tmp_path_factory.mktemp("trained") / "out"
    assert main(["train", "--epochs", "5", "--no-export", "--output", str(folder)]) in (0, None)
    model = keras.models.load_model(folder / "model.keras")
    x, labels = Digits("test").arrays()
    want = model.predict(x.astype("float32"), verbose=0).argmax(axis=-1)
    assert (want == labels).mean() > 0.8
    return model, x, want


@pytest.mark.slow
@pytest.mark.parametrize(
    "quantize, input_dtype, output_dtype",
    [
        ("float16", "float32", "float32"),
        ("dynamic", "float32", "float32"),
        *(("int8", *dtypes) for dtypes in DTYPES),
    ],
)
def test_agreement_on_held_out_digits(quantize, input_dtype, output_dtype, trained, litert, tmp_path):
    model, x, want = trained
    data = Digits("train").arrays(epoch=1)[0][::13] if quantize == "int8" else None
    options = {"input_dtype": input_dtype, "output_dtype": output_dtype}
    export_tflite(model, tmp_path / "x", quantize, data, **options)
    found = outputs(litert(tmp_path / "x")[0], x.astype("float32")).argmax(axis=-1)
    assert (found == want).mean() >= (0.995 if quantize == "float16" else 0.98)
