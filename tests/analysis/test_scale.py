import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

from checks import images as draw_images
from checks import randomize
from keras_sknet import Branch, attention_scores, scale_response
from keras_sknet.analysis import ScaleResponse, enlarge
from keras_sknet.analysis.statistics import paired_bootstrap
from keras_sknet.data import Digits, Subset
from nets import tiny

IMAGES = draw_images(12, (32, 32, 3))
LABELS = np.arange(12) % 3
SCALES = (1.0, 1.5, 2.0)
THREE = tuple(Branch(3, dilation, 2) for dilation in (1, 2, 3))


@pytest.fixture(scope="module")
def network():
    model = tiny(branches=THREE)
    randomize(model)
    return model


@pytest.fixture(scope="module")
def response(network):
    return scale_response(network, (IMAGES, LABELS), class_names=("cat", "dog", "yak"), batch_size=5)


def sampled(line, scale):
    """Linear interpolation of a line of pixels at the places of its enlarged centre; the ends go on."""
    size = len(line)
    places = (np.arange(size) + 0.5 - size / 2) / scale + size / 2 - 0.5
    return np.interp(places, np.arange(size), line)


@pytest.mark.parametrize("scale", [1.1, 1.5, 2.0, 3.0])
def test_the_centre_is_enlarged_exactly(scale):
    images = np.random.default_rng(0).uniform(0, 255, (2, 17, 32, 3))
    expected = np.apply_along_axis(sampled, 2, np.apply_along_axis(sampled, 1, images, scale), scale)
    np.testing.assert_allclose(enlarge(images, scale), expected, atol=2e-3)


def test_enlarging_twice_is_a_crop_of_half_the_size_resized():
    inside = slice(1, -1)  # a crop knows no pixel beyond its border
    crop = keras.ops.image.resize(IMAGES[:, 8:24, 8:24], (32, 32), interpolation="bilinear")
    np.testing.assert_allclose(
        enlarge(IMAGES, 2.0)[:, inside, inside], crop[:, inside, inside], rtol=1e-4, atol=1e-2
    )
    np.testing.assert_array_equal(enlarge(IMAGES.astype("uint8"), 1), IMAGES.astype("uint8"))


def test_response_is_what_the_scores_say(network, response):
    assert response.scales == SCALES and len(response) == 12
    for position, scale in enumerate(SCALES):
        scores = attention_scores(network, np.asarray(enlarge(IMAGES, scale)))
        assert response.units == tuple(scores)
        for unit, a in scores.items():
            difference = (a[:, 2] - a[:, 0]).mean(axis=-1)
            np.testing.assert_allclose(response.difference(unit)[:, position], difference, atol=1e-5)
            field = (3 * a[:, 0] + 5 * a[:, 1] + 7 * a[:, 2]).mean(axis=-1)
            np.testing.assert_allclose(response.receptive_field(unit)[:, position], field, rtol=1e-5)


def test_the_largest_kernel_is_found_wherever_it_stands():
    model = tiny(branches=(Branch(3, 3, 2), Branch(3, 1, 2), Branch(5, 1, 2)))
    randomize(model)
    response = scale_response(model, IMAGES)
    a = attention_scores(model, IMAGES)["sk_3_1"].mean(axis=-1)
    assert response.kernels["sk_3_1"] == (7, 3, 5)
    np.testing.assert_allclose(response.difference("sk_3_1")[:, 0], a[:, 0] - a[:, 1], atol=1e-5)


def test_rows_are_means_and_paired_intervals(response):
    rows = {(row.unit, row.scale): row for row in response.rows()}
    assert len(rows) == 4 * 3
    changes = np.stack(
        [response.difference(unit)[:, 1:] - response.difference(unit)[:, :1] for unit in response.units],
        axis=1,
    )
    for u, unit in enumerate(response.units):
        assert rows[unit, 1.0].change == rows[unit, 1.0].change_low == rows[unit, 1.0].change_high == 0
        for position, scale in enumerate(SCALES):
            row = rows[unit, scale]
            assert row.images == 12 and row.class_name == ""
            assert row.difference == pytest.approx(response.difference(unit)[:, position].mean(), abs=1e-6)
            if position:
                assert row.change == pytest.approx(changes[:, u, position - 1].mean(), abs=1e-6)
                low, high = paired_bootstrap(changes[:, u, position - 1 : position], 1)
                spread = changes[:, u, position - 1].std() / np.sqrt(12)
                assert row.change_low == pytest.approx(low[0], abs=0.3 * spread)
                assert row.change_high == pytest.approx(high[0], abs=0.3 * spread)


def test_classes_are_told_apart(response):
    assert response.present == ("cat", "dog", "yak")
    rows = response.rows(["sk_3_1"], by_class=True)
    assert [(row.class_name, row.scale) for row in rows] == [
        (name, scale) for name in response.present for scale in SCALES
    ]
    means = response.difference("sk_3_1")[LABELS == 1].mean(axis=0)
    np.testing.assert_allclose([row.difference for row in rows[3:6]], means, atol=1e-6)
    assert {row.images for row in rows} == {4} and len(response.of_class("dog")) == 4
    assert response.rows() == response.rows() and response.rows(seed=1) != response.rows()


def test_the_csv_has_the_same_numbers(response, tmp_path):
    response.write_csv(tmp_path / "x.csv", by_class=True)
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    rows = response.rows(by_class=True)
    assert len(read) == len(rows) == 4 * 3 * 3
    for found, row in zip(read, rows, strict=True):
        assert found == {name: str(value) for name, value in row._asdict().items()}
    with pytest.raises(ValueError, match="`path` must be new: nothing is overwritten"):
        response.write_csv(tmp_path / "x.csv")


@pytest.mark.parametrize("labelled", [True, False])
def test_datasets_give_the_same(labelled, network, response):
    given = (IMAGES, LABELS) if labelled else IMAGES
    found = scale_response(network, tf.data.Dataset.from_tensor_slices(given).batch(5))
    for unit in response.units:
        np.testing.assert_allclose(found.difference(unit), response.difference(unit), atol=1e-5)
    assert found.present == (("0", "1", "2") if labelled else ())


def test_sources_bring_their_class_names(network):
    found = scale_response(network, Subset(Digits("validation"), range(0, 60, 3)), scales=[1, 1.25])
    assert found.scales == (1.0, 1.25) and set(found.present) <= set("0123456789")
    np.testing.assert_array_equal(found.labels, Digits("validation").element_labels[:60:3])


def test_mixed_precision_and_nested_models_work():
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = tiny(include_top=False, pooling="avg")
    model = keras.Sequential([keras.Input((32, 32, 3)), network, keras.layers.Dense(3)])
    response = scale_response(model, IMAGES)
    assert response.units == ("sk_2_1", "sk_3_1", "sk_4_1", "sk_5_1")
    assert all(np.isfinite(row.difference) for row in response.rows())


@pytest.mark.parametrize(
    "labels, class_names, text",
    [
        (LABELS.astype("float32"), None, "integers from 0 on. Received: labels_shape=.*dtype='float32'"),
        (np.eye(12), None, r"integers from 0 on. Received: labels_shape=\(12, 12\)"),
        (LABELS - 1, None, r"integers from 0 on. .* labels=\[-1, 0, 1"),
        (LABELS, ("cat", "dog"), r"integers from 0 on, below 2. .*labels=\[0, 1, 2"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, class_names, text, network):
    with pytest.raises(
        ValueError, match=f"`dataset` must be one whose labels are numbers of classes, {text}"
    ):
        scale_response(network, (IMAGES, labels), class_names=class_names)


def test_unknown_and_empty_classes_and_units_are_refused(network):
    names = ("cat", "dog", "yak", "emu")
    response = scale_response(network, (IMAGES, LABELS), class_names=names)
    with pytest.raises(
        ValueError, match=r"`class_name` must be a class that has images.*'emu'.*\['cat', 'dog'"
    ):
        response.of_class("emu")
    with pytest.raises(ValueError, match=r"`class_name` must be one of the 4 there are, such as \['yak'\]"):
        response.of_class("yaks")
    with pytest.raises(ValueError, match=r"`units` must be one of the 4 .* \['sk_3_1'.* units='sk_3_9'"):
        response.rows(["sk_3_9"])
    with pytest.raises(ValueError, match="`unit` must be one of the 4 there are"):
        response.difference("conv")
    with pytest.raises(ValueError, match="`dataset` must be one with labels"):
        scale_response(network, IMAGES).of_class("cat")


def test_classes_of_one_name_are_one_class():
    attention = {"unit": np.tile([0.4, 0.6], (4, 2, 1))}
    response = ScaleResponse((1.0, 2.0), {"unit": (3, 5)}, attention, np.array([2, 0, 1, 2]), ("a", "b", "a"))
    assert response.present == ("a", "b") and len(response.of_class("a")) == 3
