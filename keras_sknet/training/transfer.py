from pathlib import Path

from keras_sknet.models import freeze_stages
from keras_sknet.models.keras_file import load_keras_file
from keras_sknet.training.distribution import this_process
from keras_sknet.training.fit import MODEL, fit
from keras_sknet.training.recipes import FINETUNE, FINETUNE_HEAD

FROZEN = "frozen"


def finetune(
    model, source, validation, output, *, freeze_through=4, head=FINETUNE_HEAD, whole=FINETUNE, **kwargs
):
    """Trains a network on new data in two parts: with frozen stages first, then all of it at a lower rate.

    The second part starts from the best epoch of the first one. Like `fit` it can be killed at any moment,
    and goes on when it is called again in the same way.

    Args:
        model: `keras.Model`, e.g. what `keras_sknet.replace_classifier` returns.
        source: As in `fit`.
        validation: As in `fit`.
        output: Path of an existing folder, as in `fit`; the first part gets a folder `frozen` in it.
        freeze_through: Last stage to freeze in the first part, as in `keras_sknet.freeze_stages`. Defaults
            to `4`.
        head: `Recipe` of the first part. Defaults to `FINETUNE_HEAD`.
        whole: `Recipe` of the second part. Defaults to `FINETUNE`.
        **kwargs: Other arguments of `fit`, for both parts. One of its `callbacks` that stops the first part
            stops all of it until `finetune` is called again.

    Returns:
        A history as `fit` returns it for each part, and the number of the second one's best epoch (`None` if
        it has none yet).

    Raises:
        ValueError: for an argument that cannot work, also as `fit`, which tells the other errors.

    Example:

    ```python
    from pathlib import Path

    from keras_sknet.data import Digits
    from keras_sknet.training import Recipe, finetune

    Path("new").mkdir()
    model = keras_sknet.replace_classifier(keras_sknet.SKNetSmall(), Digits.class_names)
    digits, recipe = Digits("train", scales=(2.0,)), Recipe(1, 650, 0.01)
    finetune(model, digits, Digits("validation"), "new", freeze_through=3, head=recipe, whole=recipe)
    ```
    """
    frozen = Path(output, FROZEN)
    freeze_stages(model, freeze_through)
    if this_process().is_first:
        frozen.mkdir(exist_ok=True)
    first, _ = fit(model, source, validation, head, frozen, **kwargs)
    if len(first) < head.epochs:  # a callback has stopped it
        return (first, []), None
    model.set_weights(load_keras_file(frozen / MODEL).get_weights())
    freeze_stages(model, None)
    second, best = fit(model, source, validation, whole, output, **kwargs)
    return (first, second), best
