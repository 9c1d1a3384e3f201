import numpy as np

from keras_sknet.validation import require

CONFIDENCE = 0.95
RESAMPLES = 2000
CHUNK = 1_000_000  # random numbers at a time


def paired_bootstrap(changes, seed=0):
    """Computes the 95 % confidence interval of mean changes, by the bootstrap over what changed.

    A row of `changes` is one image's, the difference between two measurements of it, so that drawing rows
    keeps the pairs. 2,000 resamples of as many rows, with replacement; the interval is between the 2.5th and
    97.5th percentile of their means.

    Args:
        changes: Array `(images, measurements)`. All measurements are resampled together.
        seed: Integer or tuple of integers, of the resamples. Defaults to `0`.

    Returns:
        Two arrays `(measurements,)`, the lower and the upper ends: NaN for fewer than two images.

    Raises:
        ValueError: if `changes` has another shape.

    Example:

    ```python
    from keras_sknet.analysis.statistics import paired_bootstrap

    changes = np.random.default_rng(0).normal(1, 1, (100, 3))
    low, high = paired_bootstrap(changes)  # about 0.8 and 1.2
    ```
    """
    changes = np.asarray(changes, "float64")
    require(changes.ndim == 2, "changes", "of shape (images, measurements)", changes=changes.shape)
    count = len(changes)
    if count < 2:
        return (np.full(changes.shape[1], np.nan),) * 2
    random = np.random.default_rng(seed)
    means = []
    step = max(1, CHUNK // count)
    for start in range(0, RESAMPLES, step):
        resamples = min(step, RESAMPLES - start)
        drawn = random.integers(count, size=(resamples, count)) + np.arange(resamples)[:, None] * count
        # How often each image was drawn: a product of matrices in place of a copy of the changes.
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        means.append(times @ changes / count)
    tail = (1 - CONFIDENCE) / 2
    return tuple(np.quantile(np.concatenate(means), (tail, 1 - tail), axis=0))
