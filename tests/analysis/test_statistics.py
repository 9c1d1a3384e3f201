import numpy as np
import pytest
from scipy import stats

from keras_sknet.analysis.statistics import paired_bootstrap


def test_agrees_with_scipy():
    # A skewed change, so that the interval is no symmetric one.
    changes = np.random.default_rng(0).exponential(1, (60, 2)) - 0.5
    ours = np.array(paired_bootstrap(changes))
    scipy = stats.bootstrap(
        (changes,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    spread = changes.std(axis=0, ddof=1) / np.sqrt(60)
    np.testing.assert_allclose(ours / spread, np.array(scipy) / spread, atol=0.15)


def test_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    changes = rng.normal(0.3, 1, (50, 400))  # 400 experiments of 50 images
    low, high = paired_bootstrap(changes)
    assert 0.90 < np.mean((low < 0.3) & (high > 0.3)) < 0.98


def test_pairs_make_a_small_change_certain():
    rng = np.random.default_rng(0)
    image = rng.normal(0, 10, (200, 1))
    before, after = image, image + 0.1 + rng.normal(0, 0.1, (200, 1))
    low, high = paired_bootstrap(after - before)
    assert 0.07 < low < 0.1 < high < 0.13


def test_is_the_same_each_time_and_of_the_seed():
    changes = np.random.default_rng(0).normal(size=(30, 2))
    first, again, other = (paired_bootstrap(changes, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_large_data_go_through_in_parts():
    changes = np.random.default_rng(0).normal(size=(30_000, 1))
    low, high = paired_bootstrap(changes)
    half = 1.96 * changes.std() / np.sqrt(30_000)
    np.testing.assert_allclose([low[0], high[0]], changes.mean() + [-half, half], atol=half * 0.12)


def test_one_image_has_no_interval():
    low, high = paired_bootstrap([[1.0, 2.0]])
    assert low.shape == high.shape == (2,) and np.isnan([low, high]).all()
    with pytest.raises(ValueError, match=r"`changes` must be of shape \(images, measurements\). .*\(3,\)"):
        paired_bootstrap(np.zeros(3))
