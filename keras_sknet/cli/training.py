"""What `keras-sknet train` and `finetune` have in common: options, data, and the life of a run's folder."""

import contextlib
import dataclasses
import os
import sys
import time
from pathlib import Path

import keras

from keras_sknet.cli.arguments import fraction, positive_integer, positive_number, seed, whole_number
from keras_sknet.cli.data import add_data_options, open_data
from keras_sknet.cli.errors import CommandError, Stopped
from keras_sknet.cli.results import remove_results, write_results
from keras_sknet.cli.run_folder import RunFolder
from keras_sknet.data import check_sizes, naming_corrupt_files
from keras_sknet.data.missing import MissingSplit
from keras_sknet.training import mirrored_strategy
from keras_sknet.training.distribution import check_process, join, leave, this_process
from keras_sknet.training.recipe import PRECISIONS
from keras_sknet.validation import positive_pair

MUCH_LARGER = 1.5


def add_options(parser, data, output):
    """Adds the options of a training.

    Args:
        parser: Parser of a command.
        data: Default of `--data`, or `None` if it must be given.
        output: Default of `--output`.
    """
    add_data_options(parser, data)
    parser.add_argument("--cache", action="store_true", help="keep the files' contents in memory")
    parser.add_argument("--epochs", type=positive_integer, metavar="N", help="(default: the recipe's)")
    parser.add_argument(
        "--batch-size",
        type=positive_integer,
        metavar="N",
        help="images of an update over all devices; the learning rate follows in proportion (default: the "
        "recipe's)",
    )
    parser.add_argument(
        "--learning-rate",
        type=positive_number,
        metavar="X",
        help="the highest, after the warm-up; finetune: of the first part, in proportion of the second "
        "(default: the recipe's)",
    )
    parser.add_argument(
        "--average",
        type=fraction,
        metavar="X",
        help="momentum of a moving average of the weights, which is what is validated and kept, e.g. 0.999",
    )
    parser.add_argument(
        "--accumulation", type=positive_integer, default=1, metavar="N", help="compute a batch in N parts"
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=PRECISIONS[0],
        help="of the computation; the model that is written is float32 (default: %(default)s)",
    )
    parser.add_argument("--jit-compile", action="store_true", help="compile a step with XLA, for GPUs")
    parser.add_argument(
        "--strategy",
        choices=("mirrored",),
        help="train on all GPUs of the machine, each with a part of every batch",
    )
    parser.add_argument(
        "--replicas",
        type=positive_integer,
        metavar="N",
        help="mirrored: so many GPUs, or parts of the CPU to try it on",
    )
    parser.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="train in several processes, on one machine or many, with KERAS_BACKEND=jax: where the first "
        "one listens. The same command is given to each, but for --process, and the same --output",
    )
    parser.add_argument(
        "--processes", type=positive_integer, metavar="N", help="coordinator: how many processes there are"
    )
    parser.add_argument(
        "--process", type=whole_number, metavar="I", help="coordinator: the number of this one, from 0"
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="of weights, order and what is drawn; the same on the same machine gives the same model "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path(output),
        metavar="FOLDER",
        help="a new or empty folder, or that of a run that was stopped, which goes on; nothing else is ever "
        "overwritten (default: %(default)s)",
    )
    parser.add_argument("--no-export", action="store_true", help="write the model in Keras' format only")


def adapted(recipe, arguments):
    """Returns a recipe with what the options change of it."""
    if arguments.epochs:
        recipe = recipe.with_epochs(arguments.epochs)
    if arguments.batch_size:
        recipe = recipe.with_batch_size(arguments.batch_size)
    own = {"precision": arguments.precision, "accumulation": arguments.accumulation}
    own |= {"jit_compile": arguments.jit_compile, "average": arguments.average}
    if arguments.learning_rate:
        own["learning_rate"] = arguments.learning_rate
    return dataclasses.replace(recipe, **own)


def open_splits(arguments, recipe, size):
    """Opens the three splits; without a test split, validation stands for it.

    Args:
        arguments: The command's.
        recipe: `Recipe`.
        size: Integer or pair of them, the height and width of the network's images.

    Returns:
        `{"train": source, "validation": source, "test": source}`, and how many corrupt files each leaves out.
    """
    smallest = recipe.smallest(size)
    splits, skipped = {}, {}
    for split in ("train", "validation", "test"):
        try:
            splits[split], skipped[split] = open_data(
                arguments,
                split,
                arguments.cache and split != "test",
                smallest if split == "train" else None,
            )
        except MissingSplit as error:
            if split != "test":
                raise
            print(f"No test split, so the final figures are of the validation split ({error})")
            splits["test"], skipped["test"] = splits["validation"], 0
    recipe.steps(len(splits["train"]))
    if smallest is not None:
        found = check_sizes(splits["train"], smallest)
        if recipe.crop == "padded" and found:
            _say_what_is_cut(found, size)
    return splits, skipped


def _say_what_is_cut(found, size):
    """Warns if images of this median size are much larger than the pieces that are cut out of them."""
    height, width = positive_pair("size", size)
    if found[0] > MUCH_LARGER * height or found[1] > MUCH_LARGER * width:
        print(
            f"Half of the images have {found[0]}x{found[1]} pixels or more: this recipe trains on pieces of "
            f"{height}x{width} and measures on whole images made smaller. --recipe imagenet resizes for both"
        )


def run_training(arguments, scope, recipe, splits, skipped, make_model, train, description, in_two_parts):
    """Trains in the output folder and writes the results, or goes on with what was stopped there.

    Args:
        arguments: The command's.
        scope: What `model_scope` returns.
        recipe: `Recipe`, the last one of the training.
        splits, skipped: What `open_splits` returns.
        make_model: Callable that returns the model.
        train: Callable `(model, folder, settings)` that returns history and number of the best epoch.
        description: Dictionary for `metrics.json`: what makes the run besides recipe and seed.
        in_two_parts: As in `RunFolder`.
    """
    start = time.perf_counter()
    this = this_process()
    keras.config.set_dtype_policy(recipe.precision)
    keras.utils.set_random_seed(arguments.seed)
    folder = RunFolder(arguments.output, in_two_parts)
    # The others read there what the first one has written.
    with folder.opened() if this.is_first else contextlib.nullcontext():
        try:
            with folder.in_training() if this.is_first else contextlib.nullcontext():
                with scope():
                    model = make_model()
                size = f"{model.count_params():,} parameters"
                print(f"Training {model.name} ({size}) on {len(splits['train']):,} images", flush=True)
                # What is left out of the test split makes no other training.
                settings = {**description, "skipped": skipped["train"] + skipped["validation"]}
                history, best_epoch = train(model, folder.path, settings)
                leave()
        except KeyboardInterrupt:
            raise Stopped(folder.what_is_left()) from None
        except (ValueError, RuntimeError) as error:
            raise CommandError(str(error)) from error
        finally:
            keras.config.set_dtype_policy("float32")
        if not this.is_first:
            return
        metrics = {
            **description,
            "skipped": sum(skipped.values()),
            "parameters": model.count_params(),
            "best_epoch": best_epoch,
            "seed": arguments.seed,
            **dataclasses.asdict(recipe),
            "seconds": {"training": round(time.perf_counter() - start, 1)},
            "history": history,
        }
        remove_results(folder.path)
        try:
            with naming_corrupt_files(*splits.values()):
                failures = write_results(folder.path, splits, metrics, recipe, arguments.no_export, start)
        except KeyboardInterrupt:
            raise Stopped(folder.what_is_left()) from None
        except ValueError as error:
            raise CommandError(f"{error}. The model is kept, and the same command goes on") from error
        folder.close()
        names = sorted(path.name for path in folder.path.iterdir() if not path.name.startswith("."))
        print(f"Written to {folder.path}: {', '.join(names)}")
        if failures:
            raise CommandError(f"Not written: {'; '.join(failures)}")


def model_scope(arguments, recipe):
    """Finds the devices to train on; to be called before anything is computed.

    Args:
        arguments: The command's.
        recipe: `Recipe`.

    Returns:
        A function without arguments that returns the scope to make a model in.

    Raises:
        CommandError: if the options cannot work.
    """
    placed = [arguments.coordinator, arguments.processes, arguments.process]
    if any(option is not None for option in placed):
        _join(arguments, recipe, placed)
    if not arguments.strategy:
        if arguments.replicas:
            raise CommandError("argument --replicas: only with --strategy mirrored")
        return contextlib.nullcontext
    if recipe.accumulation > 1:
        raise CommandError("argument --accumulation: not together with --strategy")
    try:
        return mirrored_strategy(arguments.replicas).scope
    except (ValueError, RuntimeError) as error:
        raise CommandError(f"argument --strategy: {error}") from error


def _join(arguments, recipe, placed):
    if any(option is None for option in placed):
        raise CommandError("arguments --coordinator, --processes and --process: give all three or none")
    if arguments.strategy:
        raise CommandError("argument --strategy: not together with --coordinator")
    try:
        this = check_process(*placed)
        this.part(recipe.step_size)
        if not this.is_first:
            # Only what goes wrong here is of interest.
            sys.stdout = open(os.devnull, "w")
        keras.utils.set_random_seed(arguments.seed)
        join(*placed)
    except (ValueError, RuntimeError) as error:
        raise CommandError(f"argument --coordinator: {error}") from error
