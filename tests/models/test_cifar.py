import pytest

import keras_sknet
from keras_sknet import Branch, complexity

# Published: 25.2M, 34.4M, 68.1M, 35.0M, and 27.7M with 4.2 G.
ROWS = [
    ("ResNeXt29_16x32d", 25_136_970, 25_194_442, "4.0283"),
    ("ResNeXt29_8x64d", 34_426_698, 34_484_170, "5.3873"),
    ("ResNeXt29_16x64d", 68_155_210, 68_255_690, "10.6889"),
    ("SENet29", 34_948_506, 35_005_978, "5.3878"),
    ("SKNet29", 27_739_626, 27_819_274, "4.1809"),
]


@pytest.mark.parametrize("name, trainable, parameters, giga", ROWS)
def test_counts_at_ten_classes(name, trainable, parameters, giga):
    model = getattr(keras_sknet, name)()
    counts = complexity(model)
    assert (counts.trainable_parameters, counts.parameters) == (trainable, parameters)
    assert f"{counts.multiply_adds / 1e9:.4f}" == giga
    assert model.input_shape == (None, 32, 32, 3) and model.output_shape == (None, 10)
    stages = [layer.output.shape[1:] for layer in model.layers if layer.name.endswith("_3")]
    assert stages == [(32, 32, 256), (16, 16, 512), (8, 8, 1024)]


def test_the_kernels_of_sknet_29_are_an_inference_that_can_be_changed():
    assert "inferred" in keras_sknet.SKNet29.__doc__
    options = {"widths": (32, 32, 32), "filters": (8, 8, 8), "depths": (1, 1, 1)}
    model = keras_sknet.SKNet29(
        classes=100, branches=(Branch(3, 1, 8), Branch(5, 1, 8)), reduction=2, min_units=4, **options
    )
    unit = model.get_layer("sk_2_1").spatial
    assert unit.branches == (Branch(3, 1, 8), Branch(5, 1, 8)) and unit.squeeze.units == 16
    assert model.output_shape == (None, 100)
