"""`keras-sknet evaluate`: how good a model in any format is on labelled images."""

import argparse
import sys
import time
from pathlib import Path

from keras_sknet.cli.arguments import positive_integer
from keras_sknet.cli.data import add_data_options, open_data
from keras_sknet.cli.errors import CommandError
from keras_sknet.cli.models import class_names, image_shape, image_transform, load_runnable, scores
from keras_sknet.cli.output import output_folder
from keras_sknet.data import evaluation_batches, naming_corrupt_files
from keras_sknet.data.open import SPLITS
from keras_sknet.evaluation import evaluate, label_map, write_evaluation
from keras_sknet.extras import import_extra
from keras_sknet.training import GentleInterrupt

DESCRIPTION = """\
Measures top-1 and top-5 error and loss of a model in any of the formats on labelled images, each of which
counts once. Of equal scores that of the class of the lower number counts as the higher one.

Images are resized and cropped as the model remembers. Classes are matched by name, by number where the model
has no names.

written to the output folder:
  evaluation.json  the numbers that are printed, and what they were measured on
  classes.csv      a row for each class: images, top-1 and top-5 accuracy, precision
  confusion.csv    how many images of each class (row) were taken for each other one (column)
  confusion.png    the same as a picture
"""


def add_to(commands):
    """Adds the command to the parsers of `keras-sknet`."""
    parser = commands.add_parser(
        "evaluate",
        help="measure how good a model in any format is",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "path",
        type=Path,
        metavar="MODEL",
        help="a .keras, .tflite, .onnx or .xml file, or the folder of a SavedModel or OpenVINO model",
    )
    add_data_options(parser)
    parser.add_argument("--split", choices=SPLITS, default="validation", help="(default: %(default)s)")
    parser.add_argument(
        "--resize",
        type=positive_integer,
        metavar="N",
        help="pixels that the shorter side gets, of which the centre is cut out (default: the model's)",
    )
    parser.add_argument(
        "--crop",
        type=positive_integer,
        metavar="N",
        help="height and width that are cut out; a .keras model of another size is built anew for it "
        "(default: the model's, 224 if it takes any)",
    )
    parser.add_argument(
        "--batch-size",
        type=positive_integer,
        default=64,
        metavar="N",
        help="images at a time, where the model does not fix it (default: %(default)s)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="a new or empty folder for the files above"
    )
    parser.set_defaults(run=run)


def run(arguments):
    """Runs the command."""
    if arguments.output is None:
        _evaluate(arguments)
        return
    import_extra("matplotlib.figure")  # now rather than when the evaluation is done
    with output_folder(arguments.output) as folder:
        result, details = _evaluate(arguments)
        write_evaluation(result, folder, details)
        print(f"Written to {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")


def _evaluate(arguments):
    """Prints the numbers; returns them, and what they were measured on."""
    try:
        model = load_runnable(arguments.path, arguments.crop)
        transform, described = image_transform(model, arguments.crop, arguments.resize)
        source, skipped = open_data(arguments, arguments.split)
        order = label_map(source.class_names, class_names(model))
        batch_size = image_shape(model)[0] or arguments.batch_size
        start = time.perf_counter()
        with naming_corrupt_files(source), GentleInterrupt() as interrupt:
            batches = _watched(evaluation_batches(source, batch_size, transform), len(source), batch_size)
            result = evaluate(
                lambda images: scores(model, images.astype("float32")),
                _matched(batches, order, interrupt),
                class_names(model) or source.class_names,
            )
    except ValueError as error:
        raise CommandError(str(error)) from error
    seconds = time.perf_counter() - start
    speed = result.images / seconds
    print(f"{result.images:,} images in {seconds:.1f} s, {speed:,.0f} images a second")
    print(f"top-1 error {result.top1_error:.2%}, top-5 error {result.top5_error:.2%}, loss {result.loss:.4f}")
    return result, {
        "model": str(arguments.path),
        "data": arguments.data,
        "split": arguments.split,
        **described,
        "skipped": skipped,
        "seconds": round(seconds, 1),
        "images_per_second": round(speed, 1),
    }


def _watched(batches, images, batch_size):
    """The batches, with a progress bar on a terminal."""
    if not sys.stdout.isatty():
        return batches
    bar = import_extra("tqdm").tqdm
    return bar(batches, total=-(-images // batch_size), unit_scale=batch_size, unit=" images", leave=False)


def _matched(batches, order, interrupt):
    """The batches, with the numbers of scores for labels, until Ctrl-C is pressed."""
    for number, (images, labels, weights) in enumerate(batches):
        yield images, order[labels], weights
        interrupt.on_test_batch_end(number)
