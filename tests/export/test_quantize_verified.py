"""What is asked of files of 8-bit integers before they get their name."""

import keras
import numpy as np
import pytest

import keras_sknet
from checks import images, quantized
from keras_sknet.export import export_tflite, verify, verify_export
from keras_sknet.export.formats import load
from keras_sknet.export.verify import VerificationError

SHAPE = (32, 32, 3)


def single(seed, activation="sigmoid"):
    """A classifier of one output, and images that it sees differences between."""
    keras.utils.set_random_seed(seed)
    pixels = keras_sknet.layers.ImageNormalization()
    dense = keras.layers.Dense(1, activation, kernel_initializer=keras.initializers.RandomNormal(stddev=0.05))
    return keras.Sequential([keras.Input(SHAPE), pixels, keras.layers.Flatten(), dense])


@pytest.mark.parametrize("activation", ["sigmoid", None])
@pytest.mark.parametrize("quantize", ["dynamic", "int8"])
def test_a_single_output_is_compared_by_its_values(quantize, activation, tmp_path):
    model, other = single(1, activation), single(2, activation)
    report = export_tflite(model, tmp_path / "x.tflite", **quantized(quantize))
    assert report.agreement > 0.9
    with pytest.raises(VerificationError, match="single output differs by|the same largest output"):
        verify_export(other, tmp_path / "x.tflite", images(20, SHAPE, seed=7))


def test_a_single_output_may_be_a_small_probability(tmp_path):
    model = single(1)
    model.layers[-1].bias.assign([-14])
    assert model(images(64, SHAPE, seed=5)).numpy().max() < 1 / 64
    export_tflite(model, tmp_path / "x.tflite", **quantized("int8"))


def test_it_is_verified_on_what_it_was_calibrated_with(network, tmp_path, monkeypatch):
    seen = []
    compare = verify._compare

    def watched(model, file, path, format, inputs, **options):
        seen.append((inputs["images"], options))
        return compare(model, file, path, format, inputs, **options)

    monkeypatch.setattr(verify, "_compare", watched)
    data, mine = images(70, SHAPE), images(3, SHAPE, seed=9)
    export_tflite(network, tmp_path / "x", "int8", data, batch_size=3, verify=mine)
    (random, _), (calibration, options) = seen
    np.testing.assert_array_equal(random[-3:], mine)
    assert len(random) == 16 + 3 and len(calibration) == 64 and options == {"known_ranges": True}
    np.testing.assert_array_equal(calibration[1:], data[1:64])
    export_tflite(network, tmp_path / "y", "int8", data, verify=False)
    export_tflite(network, tmp_path / "z", "dynamic")
    assert len(seen) == 3


def test_a_file_that_is_wrong_on_calibration_images_alone_is_refused(network, tmp_path):
    export_tflite(network, tmp_path / "x.tflite", "int8", images(8, SHAPE))
    odd = images(20, SHAPE, seed=4)
    head = network.layers[-1]
    weights = head.get_weights()
    try:
        # The other way round, so that no image has the same class.
        head.set_weights([-weight for weight in weights])
        with pytest.raises(VerificationError, match="of the images have the same largest output"):
            verify.verified(network, tmp_path / "x.tflite", "x", "tflite", True, odd)
    finally:
        head.set_weights(weights)
    report = verify.verified(network, tmp_path / "x.tflite", "x", "tflite", True, odd)
    assert report.agreement >= 0.5 and report.difference > 0


def test_bytes_that_a_float_file_takes_are_no_quantization(tmp_path):
    def of(seed):
        keras.utils.set_random_seed(seed)
        x = keras.Input((8, 8, 3), dtype="uint8")
        y = keras.layers.Flatten()(keras.ops.cast(x, "float32"))
        return keras.Model(x, keras.layers.Dense(3)(y))

    export_tflite(of(1), tmp_path / "x.tflite")
    assert load(tmp_path / "x.tflite").precision == "float32"
    with pytest.raises(VerificationError, match="1e-04 is allowed .LiteRT, float32"):
        verify_export(of(2), tmp_path / "x.tflite")
