"""Whether memory stays flat over 2,000 steps of training and 10,000 predictions.

    python benchmarks/faults/memory.py [--steps 2000] [--predictions 10000] [--only NAME ...]

Trains SKNetSmall with `keras_sknet.training.fit` in batches of 8, in epochs of 50 steps with validation, a
checkpoint every two seconds and the best model kept, and predicts one image at a time with the Keras model
(as `keras-sknet predict` does, and by `model.predict`), its SavedModel and its LiteRT file; a network of one
plain Keras layer is the control of what `model.predict` itself takes. Each runs in a process of its own,
whose resident memory is read on the way. The first quarter, in which memory is filled for the first time,
does not count. Linux only.
"""

import argparse
import concurrent.futures
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tally import Tally  # noqa: E402

SAMPLES = 80
ALLOWED_MB = 20
BATCH, STEPS_PER_EPOCH = 8, 50


def arguments():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--steps", type=int, default=2000, metavar="N", help="of training (2000)")
    parser.add_argument(
        "--predictions", type=int, default=10_000, metavar="N", help="with each form of the model (10000)"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="NAME")
    options = parser.parse_args()
    if min(options.steps, options.predictions) < 4 * STEPS_PER_EPOCH:
        parser.error(f"at least {4 * STEPS_PER_EPOCH} steps and predictions are needed")
    return options


def main():
    if not Path("/proc/self/statm").exists():
        sys.exit("memory.py: error: it reads /proc, which only Linux has")
    options, tally = arguments(), Tally("runs whose memory is watched")
    context = multiprocessing.get_context("spawn")
    for name in options.only:
        count = options.steps if name == "training" else options.predictions
        # A process for each: what one has freed would hide what the next one takes.
        with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
            samples = pool.submit(watched, name, count).result()
        judge(tally, name, count, samples)
    return tally.end()


def judge(tally, name, count, samples):
    import numpy as np

    steps, megabytes = np.array([sample for sample in samples if sample[0] >= count // 4]).T
    slope = np.polyfit(steps / 1000, megabytes, 1)[0]
    # Medians of five, as a single reading may fall into a validation, or before a collection of garbage.
    first, last = np.median(megabytes[:5]), np.median(megabytes[-5:])
    tally.add(
        f"{name}, {count:,} times",
        last - first <= ALLOWED_MB,
        f"{first:,.1f} MB at {steps[0]:,.0f}, {last:,.1f} MB at {steps[-1]:,.0f}: {last - first:+.1f} MB, "
        f"{ALLOWED_MB} allowed; slope {slope:+z.2f} MB a 1,000; highest {megabytes.max():,.1f} MB",
    )


def watched(name, count):
    """Runs a part; returns [(how often until then, resident megabytes)]."""
    samples, every, start = [], max(count // SAMPLES, 1), time.monotonic()

    def seen(step):
        if step % every == 0:
            samples.append((step, resident_megabytes()))
            if len(samples) % 10 == 0:
                seconds = time.monotonic() - start
                print(f"{name} {step:,}/{count:,}: {samples[-1][1]:,.1f} MB, {seconds:.0f} s", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        PARTS[name](Path(folder), count, seen)
    return samples


def resident_megabytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def training(folder, count, seen):
    import keras

    import keras_sknet
    from keras_sknet.data import Digits, Subset
    from keras_sknet.training import Recipe, fit

    class Watch(keras.callbacks.Callback):
        done = 0

        def on_train_batch_end(self, batch, logs=None):
            self.done += 1
            seen(self.done)

    keras.utils.set_random_seed(0)
    source = Subset(Digits("train"), range(BATCH * STEPS_PER_EPOCH))
    validation = Subset(Digits("validation"), range(BATCH * 8))
    recipe = Recipe(epochs=-(-count // STEPS_PER_EPOCH), batch_size=BATCH, learning_rate=0.01)
    options = {"callbacks": [Watch()], "checkpoint_seconds": 2, "verbose": False}
    fit(keras_sknet.SKNetSmall(), source, validation, recipe, folder, **options)


def keras_file(folder, count, seen):
    import keras_sknet
    from keras_sknet.export.runtimes import load_keras

    keras_sknet.SKNetSmall().save(folder / "model.keras")
    classify = load_keras(folder / "model.keras")
    (name,) = classify.inputs
    repeat(lambda image: classify.run({name: image}), count, seen)


def keras_predict(folder, count, seen):
    import keras_sknet

    model = keras_sknet.SKNetSmall()
    repeat(lambda image: model.predict(image, verbose=0), count, seen)


def plain_predict(folder, count, seen):
    import keras

    layers = [keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential(layers)
    repeat(lambda image: model.predict(image, verbose=0), count, seen)


def saved_model(folder, count, seen):
    import tensorflow as tf

    import keras_sknet

    keras_sknet.export_saved_model(keras_sknet.SKNetSmall(), folder / "saved")
    loaded = tf.saved_model.load(str(folder / "saved"))
    classify = loaded.signatures["serving_default"]
    repeat(lambda image: classify(images=tf.constant(image))["output_0"].numpy(), count, seen)


def litert(folder, count, seen):
    from ai_edge_litert.interpreter import Interpreter

    import keras_sknet

    keras_sknet.export_tflite(keras_sknet.SKNetSmall(), folder / "model.tflite")
    classify = Interpreter(str(folder / "model.tflite")).get_signature_runner()
    repeat(lambda image: classify(images=image)["output_0"], count, seen)


def repeat(predict, count, seen):
    import numpy as np

    images = np.random.default_rng(0).uniform(0, 255, (64, 1, 32, 32, 3)).astype("float32")
    for number in range(1, count + 1):
        predict(images[number % len(images)])
        seen(number)


PARTS = {
    "training": training,
    ".keras file": keras_file,
    "model.predict": keras_predict,
    "model.predict of one plain layer": plain_predict,
    "SavedModel": saved_model,
    "LiteRT": litert,
}

if __name__ == "__main__":
    sys.exit(main())
