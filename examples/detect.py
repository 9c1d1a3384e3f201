"""A detector of drawn shapes: KerasCV's RetinaNet on an SKNet backbone.

    python examples/detect.py [--epochs 2] [--output detector]

Needs `pip install ".[cv,train]"` in the checkout.
"""

import argparse
from pathlib import Path

import keras
import keras_cv
import numpy as np
from shapes import CLASSES, draw, save_pictures, small_network

from keras_sknet.integrations.keras_cv import SKNetBackbone

FORMAT = "xyxy"
COLOURS = ("red", "lime", "cyan")


def build():
    """A RetinaNet for small pictures; what is not said here is as KerasCV has it."""
    return keras_cv.models.RetinaNet(
        SKNetBackbone(small_network()),
        num_classes=len(CLASSES),
        bounding_box_format=FORMAT,
        anchor_generator=keras_cv.layers.AnchorGenerator(
            bounding_box_format=FORMAT,
            sizes=[20, 40, 80, 160, 320],  # of P3–P7; the default ones begin at 32 pixels
            scales=[1, 2 ** (1 / 3), 2 ** (2 / 3)],
            aspect_ratios=[0.5, 1, 2],
            strides=[8, 16, 32, 64, 128],
            clip_boxes=True,
        ),
        prediction_decoder=keras_cv.layers.NonMaxSuppression(
            bounding_box_format=FORMAT, from_logits=True, iou_threshold=0.5, confidence_threshold=0.05
        ),
        # At first everything is background.
        classification_head=head(9 * len(CLASSES), bias=-np.log(99)),
        box_head=head(9 * 4, bias=0.0),
    )


def head(filters, bias):
    """Much smaller than KerasCV's, which take most of the time."""
    return keras.Sequential(
        [
            keras.Input((None, None, 256)),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(
                filters, 3, padding="same", bias_initializer=keras.initializers.Constant(bias)
            ),
        ]
    )


def compile_detector(model, optimizer):
    """A RetinaNet that comes from a file has to be compiled, too, before it trains on."""
    model.compile(optimizer=optimizer, box_loss="smoothl1", classification_loss="focal", jit_compile=False)


def average_precision(boxes, classes, found, iou_threshold=0.5):
    """AP50 as COCO counts it: the mean over classes, and over 101 recalls, of the best precision there.

    Args:
        boxes, classes: What is in the pictures, as `shapes.draw` returns it.
        found: What `RetinaNet.predict` returns: `boxes`, `classes` and `confidence`, padded with −1.
        iou_threshold: Overlap from which on a box is right. Defaults to `0.5`.
    """
    precisions = []
    for kind in range(len(CLASSES)):
        confidence, right = [], []
        for truth, guess, score in zip(
            [b[c == kind] for b, c in zip(boxes, classes, strict=True)],
            [b[c == kind] for b, c in zip(found["boxes"], found["classes"], strict=True)],
            [s[c == kind] for s, c in zip(found["confidence"], found["classes"], strict=True)],
            strict=True,
        ):
            order = np.argsort(-score, kind="stable")
            confidence.extend(score[order])
            right.extend(_matches(truth, guess[order], iou_threshold))
        right = np.array(right, bool)[np.argsort(-np.array(confidence), kind="stable")]
        recall = right.cumsum() / (classes == kind).sum()
        precision = right.cumsum() / np.arange(1, len(right) + 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        precisions.append(np.append(best, 0)[np.searchsorted(recall, np.linspace(0, 1, 101))])
    return np.mean(precisions)


def _matches(truth, guesses, iou_threshold):
    """Tells of each guess, the surest first, whether it finds a true box that none before it has found."""
    free = np.ones(len(truth), bool)
    for guess in guesses:
        sides = np.minimum(truth[:, 2:], guess[2:]) - np.maximum(truth[:, :2], guess[:2])
        shared = sides.clip(0).prod(1)
        areas = (truth[:, 2:] - truth[:, :2]).prod(1) + (guess[2:] - guess[:2]).prod()
        iou = np.where(free, shared / (areas - shared), 0)
        right = bool(len(truth)) and iou.max() >= iou_threshold
        if right:
            free[iou.argmax()] = False
        yield right


def paint(axes, boxes, classes):
    for box, kind in zip(boxes, classes.astype(int), strict=True):
        if kind >= 0:
            left, top, right, bottom = box
            axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color=COLOURS[kind])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=4096, help="to train on")
    parser.add_argument("--output", type=Path, default=Path("detector"))
    arguments = parser.parse_args()
    arguments.output.mkdir()
    keras.utils.set_random_seed(0)

    images, boxes, classes, _ = draw(arguments.pictures, seed=0)
    test_images, test_boxes, test_classes, _ = draw(200, seed=1)
    model, batch_size = build(), 16
    untrained = average_precision(test_boxes, test_classes, model.predict(test_images, verbose=0))

    steps = arguments.epochs * len(images) // batch_size
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=2e-3, warmup_steps=steps // 10)
    compile_detector(model, keras.optimizers.Adam(rate, global_clipnorm=10.0))
    model.fit(
        images,
        {"boxes": boxes, "classes": classes},
        batch_size=batch_size,
        epochs=arguments.epochs,
        verbose=2,
    )
    model.save(arguments.output / "detector.keras")
    found = model.predict(test_images, verbose=0)
    trained = average_precision(test_boxes, test_classes, found)
    print(f"AP50 on 200 held-out pictures: {trained:.3f}; untrained: {untrained:.3f}")

    sure = np.where(found["confidence"] > 0.5, found["classes"], -1)
    save_pictures(
        arguments.output / "detections.png",
        test_images,
        {
            "drawn": lambda axes, n: paint(axes, test_boxes[n], test_classes[n]),
            "found": lambda axes, n: paint(axes, found["boxes"][n], sure[n]),
        },
    )
    print(f"Written to {arguments.output}")


if __name__ == "__main__":
    main()
