import numpy as np
import pytest
from matplotlib.image import imread

from keras_sknet.analysis.figures import attention_by_scale, unit_responses


def scores(units=("sk_2_1", "sk_3_1"), scales=(1.0, 1.5, 2.0), images=40, branches=2, rise=0.1):
    """Attention whose largest kernel gets 0.4, and `rise` more from one scale to the next."""
    random = np.random.default_rng(0)
    found = {}
    for step, scale in enumerate(scales):
        last = 0.4 + rise * step + 0.02 * random.standard_normal((images, 1, 8))
        others = np.repeat((1 - last) / (branches - 1), branches - 1, axis=1)
        found[scale] = {unit: np.concatenate([others, last], axis=1) for unit in units}
    return found


@pytest.mark.parametrize("branches", [2, 3])
def test_responses_are_the_largest_kernels(branches):
    responses = unit_responses(scores(branches=branches))
    assert list(responses) == ["sk_2_1", "sk_3_1"]
    assert responses["sk_2_1"].shape == (40, 3)
    np.testing.assert_allclose(responses["sk_2_1"].mean(axis=0), [0.4, 0.5, 0.6], atol=0.01)


def test_the_figure_shows_mean_band_and_paired_change():
    given = scores()
    figure = attention_by_scale(given, title="forty digits")
    assert [axis.get_title() for axis in figure.axes] == ["sk_2_1", "sk_3_1"]
    axis, response = figure.axes[0], unit_responses(given)["sk_2_1"]
    quantile = 2.0227  # of Student's t for forty values, as tables have it
    line = next(line for line in axis.lines if len(line.get_xdata()) == 3)
    np.testing.assert_allclose(line.get_xydata(), np.transpose([[1.0, 1.5, 2.0], response.mean(axis=0)]))
    band = axis.collections[0].get_paths()[0].vertices
    first = response[:, 0]
    half = quantile * first.std(ddof=1) / np.sqrt(40)
    at_first = band[band[:, 0] == 1.0, 1]
    ends = [first.mean() - half, first.mean() + half]
    np.testing.assert_allclose([at_first.min(), at_first.max()], ends, rtol=1e-5)
    difference = response[:, 2] - response[:, 0]
    half = quantile * difference.std(ddof=1) / np.sqrt(40)
    assert axis.texts[0].get_text() == f"{difference.mean():+.3f} ± {half:.3f}"
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1.0×", "1.5×", "2.0×"]


def test_one_image_has_no_interval():
    given = {scale: {unit: a[:1] for unit, a in by_unit.items()} for scale, by_unit in scores().items()}
    figure = attention_by_scale(given)
    change = unit_responses(given)["sk_2_1"][0, [0, -1]] @ [-1, 1]
    text = f"{change:+.3f}".replace("-", "\N{MINUS SIGN}")
    assert figure.axes[0].texts[0].get_text() == text
    figure.canvas.draw()


@pytest.mark.parametrize("units, title", [(1, None), (5, "five"), (16, "sixteen")])
def test_the_png_is_large_enough_and_not_blank(units, title, tmp_path):
    given = scores(units=[f"sk_2_{number}" for number in range(1, units + 1)])
    attention_by_scale(given, title).savefig(tmp_path / "attention.png")
    image = imread(tmp_path / "attention.png")
    height, width, _ = image.shape
    assert 700 <= width <= 2200 and 350 <= height <= 2200
    blue = (image[..., 2] > 0.6) & (image[..., 0] < 0.2)
    assert blue.any(axis=0).sum() > 0.1 * width  # the line runs over a part of the width
    assert (image[..., :3].min(axis=-1) > 0.99).mean() > 0.5


def test_units_in_a_second_row_are_labelled_too():
    figure = attention_by_scale(scores(units=[f"sk_2_{number}" for number in range(1, 9)]))
    assert len(figure.axes) == 8
    labelled = [axis.xaxis.get_tick_params()["labelbottom"] for axis in figure.axes]
    assert labelled == [False] * 2 + [True] * 6


def mismatched():
    given = scores()
    given[2.0] = {unit: a[:-1] for unit, a in given[2.0].items()}
    return given


@pytest.mark.parametrize(
    "given, message",
    [
        (scores(scales=(1.0,)), r"`scores` must be a dictionary of two scales or more, .* scores=\[1.0\]"),
        (scores(scales=(2.0, 1.0)), r"`scores` must be .* ascending. Received: scores=\[2.0, 1.0\]"),
        (mismatched(), "`scores` must be of the same units and images at every scale"),
        ({1.0: {}, 2.0: {}}, "`scores` must be of the same units"),
    ],
)
def test_bad_scores(given, message):
    with pytest.raises(ValueError, match=message):
        attention_by_scale(given)


def test_without_matplotlib_the_error_names_the_extra(uninstalled):
    uninstalled("matplotlib")
    with pytest.raises(
        ImportError, match=r'^matplotlib is not installed: pip install "keras_sknet\[train\]"$'
    ):
        attention_by_scale({s: {"sk_2_1": np.ones((2, 2, 4))} for s in (1.0, 2.0)})
