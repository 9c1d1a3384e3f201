"""Copies of a model that its exports are made of."""

from keras_sknet.export.verify import differs
from keras_sknet.models import fold_batch_norm


def rewritten(model, rewrite):
    """Rewrites a model, unless that fails or changes what it computes.

    Others' layers may not say all of themselves in their config, of which a copy is made.

    Args:
        model: A model that `require_exportable` lets pass.
        rewrite: Function `(model)` that returns a copy.

    Returns:
        The copy, or `model` itself.
    """
    try:
        copy = rewrite(model)
    except Exception:  # of any kind: others' layers are called
        return model
    return model if differs(model, copy) else copy


def folded(model):
    """Returns a copy with batch normalization folded, or the model itself, as `rewritten` does."""
    return rewritten(model, fold_batch_norm)
