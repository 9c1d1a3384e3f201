"""Images a second of the training pipeline, against a plain loop that decodes and resizes whole images.

    python benchmarks/input.py [--images N] [--rounds N] [--size N] [--output input.json]

Draws JPEG files of 500×375 pixels, like ImageNet's, into a temporary folder. The rows take turns, so that
what else the machine does falls on all of them; nothing else should run meanwhile.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from machine import Others, facts  # noqa: E402

BATCH = 32
CLASSES = ("a", "b")
PLAIN = "decode_jpeg and resize"


def arguments():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--images", type=int, default=512, help="files to draw (512)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of every row (7)")
    parser.add_argument("--batches", type=int, default=8, help=f"batches of {BATCH} that a turn takes (8)")
    parser.add_argument("--size", type=int, default=224, help="height and width of the results (224)")
    parser.add_argument("--output", type=Path, default=Path("input.json"))
    return parser.parse_args()


def main():
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), options.images)
        streams = rows(folder, options.size)
        found, others = {name: [] for name in streams}, Others()
        for number in range(options.rounds):
            for name in list(streams)[:: -1 if number % 2 else 1]:
                answer = others.watch(lambda name=name: turn(streams[name], options.batches))
                found[name].append(answer["images_per_second"])
    found = {name: summary(rates) for name, rates in found.items()}
    machine = {**facts({"ours": sys.executable}), "share_of_others": others.share()}
    result = {"machine": machine, "rows": found}
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{table(found)}\n\n{others.warning()}")


def draw(root, count):
    """Writes JPEG files of about 100 kB: coarse colours under fine noise."""
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = tf.image.resize(rng.uniform(0, 255, (12, 16, 3)), (375, 500), "bicubic")
        image = np.clip(coarse + rng.normal(0, 14, (375, 500, 1)), 0, 255).astype("uint8")
        path = root / "train" / CLASSES[number % 2] / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_jpeg(image, quality=90).numpy())


def rows(folder, size):
    """{name: endless `tf.data.Dataset` of batches}"""
    import tensorflow as tf

    from keras_sknet.data import Augmentation, batches, open_source, training_transform

    def stream(augmentation=None, cache=False, **options):
        source = open_source(f"folder:{folder}", "train", cache=cache)
        transform = training_transform(size, **options)
        return batches(source, BATCH, epochs=10_000, transform=transform, augmentation=augmentation)

    def plain(path):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(image, (size, size))

    files = tf.data.Dataset.list_files(f"{folder}/train/*/*.jpg", seed=0).repeat()
    files = files.map(plain, num_parallel_calls=tf.data.AUTOTUNE)
    return {
        PLAIN: files.batch(BATCH, drop_remainder=True).prefetch(tf.data.AUTOTUNE),
        "training_transform": stream(),
        "bilinear, no antialias": stream(interpolation="bilinear", antialias=False),
        "files cached": stream(cache=True),
        "random erasing and mixup": stream(Augmentation(erasing=0.25, mixup=0.2)),
        "RandAugment": stream(Augmentation(rand_augment=0.5)),
    }


def turn(stream, batches):
    """Reads batches after a first one, which waits for the threads to start."""
    images = iter(stream)
    next(images)
    start, processor = time.perf_counter(), time.process_time()
    for _ in itertools.islice(images, batches):
        pass
    seconds = time.perf_counter() - start
    rate = batches * BATCH / seconds
    return {"images_per_second": rate, "processor_seconds": time.process_time() - processor}


def summary(rates):
    quartiles = statistics.quantiles(rates, n=4, method="inclusive") if len(rates) > 1 else rates * 3
    low, middle, high = (round(rate, 1) for rate in quartiles)
    return {"median": middle, "quartiles": [low, high], "runs": len(rates)}


def table(found):
    lines = ["| pipeline | images a second | quartiles | against the plain loop |", "|---|---|---|---|"]
    for name, row in found.items():
        spread = "–".join(f"{rate:,.0f}" for rate in row["quartiles"])
        ratio = row["median"] / found[PLAIN]["median"]
        lines.append(f"| {name} | {row['median']:,.0f} | {spread} | {ratio:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
