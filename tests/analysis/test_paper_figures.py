import numpy as np
import pytest
import tensorflow as tf
from matplotlib.image import imread

from checks import randomize
from keras_sknet import attention_scores, scale_response
from keras_sknet.analysis import (
    ScaleResponse,
    draw_channels,
    draw_classes,
    draw_contact_sheet,
    draw_units,
    enlarge,
    pick_images,
)
from keras_sknet.analysis.paper_figures import default_units
from nets import tiny

IMAGES = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3)).astype("float32")
LABELS = np.arange(8) % 4
NAMES = ("$cat^$", "Gänse<b>blümchen</b>", "dog & co", "a very long name of a class of animals")
SCALES = (1.0, 1.5, 2.0)
SKNET50 = [f"sk_{stage}_{block}" for stage, depth in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True)
           for block in range(1, depth + 1)]  # fmt: skip


@pytest.fixture(scope="module")
def network():
    model = tiny()
    randomize(model)
    return model


@pytest.fixture(scope="module")
def response(network):
    return scale_response(network, (IMAGES, LABELS), class_names=NAMES)


def made_up(units=SKNET50, classes=60, kernels=(3, 5, 7)):
    """A response in which the largest kernel gains 0.1 from scale to scale."""
    images = 3 * classes
    random = np.random.default_rng(0)
    last = 0.3 + 0.1 * np.arange(3) + 0.02 * random.standard_normal((images, 1))
    others = np.repeat(((1 - last) / (len(kernels) - 1))[..., None], len(kernels) - 1, axis=-1)
    attention = np.concatenate([others, last[..., None]], axis=-1)
    labels = np.arange(images) % classes
    return ScaleResponse(SCALES, dict.fromkeys(units, kernels), dict.fromkeys(units, attention), labels)


def lines(axis, points):
    return [line.get_ydata() for line in axis.lines if len(line.get_xdata()) == points]


def check_files(figure, folder):
    """Writes a figure in both formats, and checks that neither is blank."""
    figure.savefig(folder / "figure.png")
    figure.savefig(folder / "figure.svg")
    image = imread(folder / "figure.png")[..., :3]
    assert 300 < min(image.shape[:2]) and max(image.shape[:2]) < 2500
    assert 0.01 < (image.min(axis=-1) < 0.9).mean() < 0.9
    assert (folder / "figure.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")


def test_channels_show_images_attention_and_differences(network, response, tmp_path):
    figure = draw_channels(network, IMAGES[:2], "sk_3_1", titles=NAMES[:2])
    assert len(figure.axes) == 2 * 5
    scores = {scale: attention_scores(network, np.asarray(enlarge(IMAGES[:2], scale))) for scale in SCALES}
    for row in range(2):
        *pictures, channels, units = figure.axes[row * 5 : row * 5 + 5]
        for axis, scale in zip(pictures, SCALES, strict=True):
            shown = np.asarray(enlarge(IMAGES[row : row + 1], scale))[0].astype("uint8")
            np.testing.assert_array_equal(axis.images[0].get_array(), shown)
        for drawn, scale in zip(lines(channels, 8), SCALES, strict=True):
            np.testing.assert_allclose(drawn, scores[scale]["sk_3_1"][row, 1], atol=1e-5)
        for position, drawn in enumerate(lines(units, 4)):
            expected = [response.difference(unit)[row, position] for unit in response.units]
            np.testing.assert_allclose(drawn, expected, atol=1e-5)
    assert [text.get_text() for text in figure.axes[0].texts] == ["$cat^$"]
    check_files(figure, tmp_path)


def test_neighbouring_channels_are_averaged_where_there_are_many():
    model = tiny(widths=(8, 8, 256, 16))
    figure = draw_channels(model, IMAGES[:1], "sk_4_1")
    (drawn, *_) = lines(figure.axes[3], 64)
    channels = attention_scores(model, IMAGES[:1])["sk_4_1"][0, 1]
    np.testing.assert_allclose(drawn, channels.reshape(64, 4).mean(axis=1), atol=1e-5)


def test_units_show_the_rows(response, tmp_path):
    figure = draw_units(response)
    means, changes = figure.axes
    rows = {(row.unit, row.scale): row for row in response.rows()}
    for drawn, scale in zip(lines(means, 4), SCALES, strict=True):
        np.testing.assert_allclose(drawn, [rows[unit, scale].difference for unit in response.units])
    for bars, scale in zip(changes.containers, SCALES[1:], strict=True):
        line, _, (segments,) = bars
        found = [rows[unit, scale] for unit in response.units]
        np.testing.assert_allclose(line.get_ydata(), [row.change for row in found])
        ends = np.array([segment[:, 1] for segment in segments.get_segments()])
        np.testing.assert_allclose(ends, [[row.change_low, row.change_high] for row in found], atol=1e-7)
    check_files(figure, tmp_path)


def test_units_of_three_kernels_show_the_receptive_field(tmp_path):
    given = made_up()
    figure = draw_units(given)
    assert [axis.get_ylabel() for axis in figure.axes] == [
        "difference",
        "change from 1.0×",
        "mean kernel, pixels",
    ]
    fields = [row.receptive_field for row in given.rows() if row.scale == 2.0]
    np.testing.assert_allclose(lines(figure.axes[2], 16)[2], fields)
    assert [label.get_text() for label in figure.axes[2].get_xticklabels()] == SKNET50
    check_files(figure, tmp_path)


def test_classes_have_their_names_where_they_are_few(response, tmp_path):
    figure = draw_classes(response, ["sk_3_1", "sk_5_1"])
    assert [axis.get_title("left") for axis in figure.axes] == ["sk_3_1", "sk_5_1"]
    for axis, unit in zip(figure.axes, ["sk_3_1", "sk_5_1"], strict=True):
        for position, drawn in enumerate(lines(axis, 4)):
            expected = [response.difference(unit)[LABELS == label, position].mean() for label in range(4)]
            np.testing.assert_allclose(drawn, expected, atol=1e-6)
    assert len(lines(figure.axes[0], 4)) == 2  # 1.0 and 1.5, as in the paper
    shown = [label.get_text() for label in figure.axes[1].get_xticklabels()]
    assert shown == ["$cat^$", "Gänse<b>blümchen<…", "dog & co", "a very long name …"]
    check_files(figure, tmp_path)


def test_many_classes_are_a_line(tmp_path):
    figure = draw_classes(made_up(), scales=(1.0, 2.0))
    assert [axis.get_title("left") for axis in figure.axes] == ["sk_2_3", "sk_3_4", "sk_5_3"]
    assert figure.axes[-1].get_xlabel() == "class"
    low, high = lines(figure.axes[0], 60)
    np.testing.assert_allclose(high - low, 0.3, atol=1e-6)  # 0.2 more for one, 0.1 less for the other
    check_files(figure, tmp_path)


@pytest.mark.parametrize(
    "units, expected",
    [
        (SKNET50, ["sk_2_3", "sk_3_4", "sk_5_3"]),
        (["a"], ["a"]),
        (["a", "b"], ["a", "b"]),
        (list("abcde"), ["b", "c", "e"]),
    ],
)
def test_the_units_of_the_paper_are_the_default(units, expected):
    assert default_units(units) == expected


def test_the_contact_sheet_has_the_extremes(network, response, tmp_path):
    figure = draw_contact_sheet(network, (IMAGES, LABELS), response, "sk_3_1", count=3)
    values = response.difference("sk_3_1")[:, 0]
    order = [*np.argsort(-values)[:3], *np.argsort(values)[:3]]
    drawn = [axis for axis in figure.axes if axis.images]
    for axis, index in zip(drawn, order, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), IMAGES[index].astype("uint8"))
        number, name = axis.texts[0].get_text().split("\n")
        assert float(number.replace("−", "-")) == pytest.approx(values[index], abs=6e-4)
        assert name == NAMES[LABELS[index]][:16]
    check_files(figure, tmp_path)


def test_images_are_found_by_their_numbers(network):
    stream = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(3)
    for given in (IMAGES, (IMAGES, LABELS), stream):
        picked = pick_images(network, given, [7, 2, 2])
        assert sorted(picked) == [2, 7]
        for index, image in picked.items():
            np.testing.assert_array_equal(image, IMAGES[index])
        with pytest.raises(ValueError, match="`indices` must be below 8, the number of images"):
            pick_images(network, given, [8])


def test_a_contact_sheet_of_few_images_has_all(network, response):
    figure = draw_contact_sheet(network, IMAGES, response, "sk_2_1")
    assert sum(bool(axis.images) for axis in figure.axes) == 16


def test_images_of_other_ranges_are_shown_too():
    model = tiny(include_preprocessing=False, input_shape=(32, 32, 3))
    figure = draw_channels(model, IMAGES[:1] / 127.5 - 1, "sk_2_1")
    shown = figure.axes[0].images[0].get_array()
    assert shown.min() == 0 and shown.max() == 255
    np.testing.assert_allclose(shown, IMAGES[0], atol=2)


@pytest.mark.parametrize(
    "draw, text",
    [
        (
            lambda m, r: draw_channels(m, IMAGES[0]),
            r"`images` must be an array of one .* images=\(32, 32, 3\)",
        ),
        (lambda m, r: draw_channels(m, IMAGES[:1], "sk_1_1"), r"`unit` must be one of the 4 .*unit='sk_1_1'"),
        (lambda m, r: draw_channels(m, IMAGES[:1], scales=(0.5, 1)), "`scales` must be two numbers or more"),
        (lambda m, r: draw_channels(m, IMAGES[:2], titles=["a"]), "`titles` must be one for each image"),
        (lambda m, r: draw_classes(r, ["sk_9"]), "`units` must be one of the 4 there are"),
        (lambda m, r: draw_classes(r, scales=(1.2,)), r"`scales` must be some of \(1.0, 1.5, 2.0\)"),
        (
            lambda m, r: draw_classes(scale_response(m, IMAGES)),
            "`response` must be one to images with labels",
        ),
        (lambda m, r: draw_contact_sheet(m, IMAGES, r, "sk_3_1", 0), "`count` must be a positive integer"),
    ],
)
def test_mistakes_are_named(draw, text, network, response):
    with pytest.raises(ValueError, match=text):
        draw(network, response)


def test_scales_are_told_apart_without_colour():
    from keras_sknet.analysis.style import MARKERS, SCALE_COLOURS, scale_style

    styles = [scale_style(number) for number in range(6)]
    assert len({style["marker"] for style in styles}) == len(MARKERS) == len(SCALE_COLOURS) == 6
    # As grey, neighbouring scales differ too.
    weights = np.array([0.2126, 0.7152, 0.0722])
    grey = [[int(colour[place : place + 2], 16) for place in (1, 3, 5)] @ weights for colour in SCALE_COLOURS]
    assert min(abs(a - b) for a, b in zip(grey[:3], grey[1:3], strict=False)) > 25


@pytest.mark.parametrize("channels, shown", [(1, 1), (2, 1), (3, 3), (4, 3), (6, 3)])
def test_images_of_any_channels_are_shown(channels, shown):
    from keras_sknet.analysis.style import show_image
    from keras_sknet.figures import new_figure

    image = np.random.default_rng(0).uniform(0, 255, (4, 5, channels))
    axis = new_figure(1, 1).subplots()
    show_image(axis, image)
    expected = image[..., :shown].astype("uint8").squeeze()
    np.testing.assert_array_equal(axis.images[0].get_array(), expected)
