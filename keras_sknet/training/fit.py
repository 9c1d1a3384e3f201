import contextlib
import dataclasses
import math
from pathlib import Path

from keras_sknet.data import batches, evaluation_batches, evaluation_transform, naming_corrupt_files
from keras_sknet.data.transforms import input_size
from keras_sknet.layers import ImageNormalization
from keras_sknet.models.graph import is_graph
from keras_sknet.ops._private import flatten_layers
from keras_sknet.training.averages import OwnWeights
from keras_sknet.training.best import keep_model
from keras_sknet.training.distribution import naming_lost_processes, this_process
from keras_sknet.training.interrupt import GentleInterrupt
from keras_sknet.training.log import Log
from keras_sknet.training.loop import Loop
from keras_sknet.training.progress import ProgressBar
from keras_sknet.training.state import checkpoint_folder
from keras_sknet.training.strategy import strategy_scope
from keras_sknet.validation import require, whole_number

MODEL = "model.keras"
CHECKPOINTS = "checkpoints"
LOGS = "tensorboard"


def fit(
    model,
    source,
    validation,
    recipe,
    output,
    *,
    seed=0,
    settings=None,
    callbacks=(),
    checkpoint_seconds=300,
    verbose=True,
):
    """Trains a model by a recipe; the best one by validation loss is kept in a file.

    It can be killed at any moment: called again in the same way it goes on where its last checkpoint is,
    and ends with the same weights as if nothing had happened, on the CPU to the bit. On the CPU the
    same seeds (this one and Keras', from which the model starts) give the same weights.

    Args:
        model: Functional or built sequential `keras.Model` that ends in a softmax or in logits. Made in the
            scope of a `tf.distribute.MirroredStrategy`, it is trained on its devices, each with a part of
            every batch. Made after `keras_sknet.training.distribution.join`, by all processes that have
            joined, each of which has to call `fit` in the same way.
        source: What to train on, as `keras_sknet.data.batches` takes it.
        validation: Source to choose the best epoch by. Every element counts once.
        recipe: `Recipe`. With a `crop`, images of validation are resized and cropped as the model remembers.
        output: Path of an existing folder for `model.keras`, the best model, and `checkpoints`. Several
            processes must have the same one; the first one writes.
        seed: Integer, 0 or more, of order and augmentation. Defaults to `0`.
        settings: Dictionary of what else makes the training, which JSON can hold. A checkpoint of other
            settings is refused. Defaults to `None`.
        callbacks: Sequence of `keras.callbacks.Callback`, of each process. One that sets
            `model.stop_training`, as `EarlyStopping` does, ends the training until `fit` is called again,
            also in the midst of an epoch, which is not validated then. Defaults to none.
        checkpoint_seconds: Float, how often to write a checkpoint within an epoch. Defaults to `300`.
        verbose: Boolean, whether to show progress: a bar on a terminal, elsewhere a line an epoch; of several
            processes the first one does. Defaults to `True`.

    Returns:
        List of a dictionary for each epoch (`epoch`, counted from 1, `loss`, `accuracy`, `val_loss`,
        `val_accuracy`, `learning_rate`), and the number of the best epoch.

    Raises:
        ValueError: for an argument that cannot work, checkpoints of another training in the folder, or an
            image that cannot be read or is smaller than what the recipe cuts out of it.
        RuntimeError: if the loss stops being finite, memory is too small for a step, or another process is
            lost. The best model until then is kept.
        OSError: if a file cannot be written. The last checkpoint is kept.
        KeyboardInterrupt: after Ctrl-C, when the step has ended and a checkpoint is written.

    Example:

    ```python
    from pathlib import Path

    from keras_sknet.data import Digits
    from keras_sknet.training import Recipe, fit

    Path("run").mkdir()
    recipe = Recipe(epochs=1, batch_size=1300, learning_rate=0.01)
    history, best = fit(
        keras_sknet.SKNetSmall(), Digits("train", scales=(2.0,)), Digits("validation"), recipe, "run"
    )
    ```
    """
    output = Path(output)
    whole_number("seed", seed)
    steps = recipe.steps(len(source))
    this = this_process()
    this.part(recipe.step_size)
    classes = len(source.class_names)
    require(
        is_graph(model),
        "model",
        "a functional keras.Model, or a Sequential one that is built",
        model=type(model).__name__,
    )
    _require_same_classes(source, validation, model)
    size = input_size(model)
    _remember_crop(model, recipe.crop_fraction)
    with strategy_scope(model, recipe.step_size, recipe.accumulation):
        recipe.compile(model, len(source))
        model.optimizer.build(model.trainable_variables)
    with contextlib.ExitStack() as stack:
        interrupt = stack.enter_context(GentleInterrupt())
        stack.enter_context(naming_lost_processes())
        stack.enter_context(_naming_lack_of_memory(recipe))
        stack.enter_context(naming_corrupt_files(validation))
        stack.enter_context(naming_corrupt_files(source, size=recipe.smallest(size)))
        if this.is_first:
            stack.enter_context(checkpoint_folder(output / CHECKPOINTS))
        loop = Loop(
            model,
            recipe.schedule(len(source)),
            steps,
            _validation_batches(
                validation, recipe.step_size, evaluation_transform(model) if recipe.crop else None, this
            ),
            lambda model: keep_model(model, output / MODEL),
            output / CHECKPOINTS,
            {
                **dataclasses.asdict(recipe),
                "images": len(source),
                "class_names": source.class_names,
                "parameters": model.count_params(),
                "trainable": sum(math.prod(weight.shape) for weight in model.trainable_weights),
                "seed": seed,
                **(settings or {}),
            },
            checkpoint_seconds,
            interrupt,
        )
        for complaint in loop.restore():
            what_follows = "the one before is taken" if loop.progress.step else "training starts anew"
            print(f"{complaint}: {what_follows}")
        if loop.progress.pending is not None:
            loop.finish_epoch(loop.progress.pending)
        log = Log(output / LOGS)
        bar = ProgressBar(recipe.epochs, steps, recipe.step_size, loop.progress.step)
        stack.callback(bar.close)
        callbacks = [
            loop,
            *([log] if this.is_first else []),
            *callbacks,
            *([bar] if this.is_first and verbose else []),
            *([OwnWeights()] if recipe.average is not None else []),
        ]
        # Once; twice if an epoch had begun already.
        while loop.progress.step < recipe.epochs * steps:
            epoch, step = divmod(loop.progress.step, steps)
            stream = batches(
                source,
                recipe.step_size,
                epochs=recipe.epochs,
                seed=seed,
                first_step=loop.progress.step,
                transform=recipe.transform(size),
                augmentation=recipe.augmentation,
                shard=this.shard,
            ).map(lambda x, y: (x, _one_hot(y, classes)))
            model.fit(
                this.checked(stream, recipe.step_size),
                initial_epoch=epoch,
                epochs=epoch + 1 if step else recipe.epochs,
                steps_per_epoch=steps - step,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            )
            if model.stop_training:
                break
        this.wait()  # for what the first one writes
    return loop.progress.history, loop.progress.best_epoch


@contextlib.contextmanager
def _naming_lack_of_memory(recipe):
    import tensorflow as tf

    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise RuntimeError(
            "The memory is too small for a step: train with a smaller batch, or in more parts of it. "
            f"Received: batch_size={recipe.batch_size}, accumulation={recipe.accumulation}"
        ) from error


def _require_same_classes(source, validation, model):
    names = getattr(validation, "class_names", source.class_names)
    require(
        list(names) == list(source.class_names),
        "validation",
        "a source of the same classes in the same order",
        class_names=names,
        trained_class_names=source.class_names,
    )
    require(
        model.output_shape[-1] == len(names),
        "model",
        "one with an output for each class of `source`",
        output_shape=model.output_shape,
        class_names=names,
    )


def _validation_batches(source, batch_size, transform, this):
    """Batches for `evaluate`, whose loss becomes the mean over all elements, padding or no."""
    classes = len(source.class_names)
    filled = -(-len(source) // batch_size) * batch_size
    stream = evaluation_batches(source, batch_size, transform, this.shard).map(
        # Keras divides by the images of a batch, not by the sum of weights.
        lambda x, y, weights: (x, _one_hot(y, classes), weights * (filled / len(source)))
    )
    return this.checked(stream, batch_size)


def _one_hot(labels, classes):
    import tensorflow as tf

    mixed = labels.shape.rank == 2
    return labels if mixed else tf.one_hot(labels, classes)


def _remember_crop(model, crop_fraction):
    for layer in flatten_layers(model):
        if isinstance(layer, ImageNormalization) and crop_fraction is not None:
            layer.crop_fraction = crop_fraction
