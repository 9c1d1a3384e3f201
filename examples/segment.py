"""A segmenter of drawn shapes: KerasCV's DeepLabV3Plus on an SKNet backbone.

    python examples/segment.py [--epochs 7] [--output segmenter]

Needs `pip install ".[cv,train]"` in the checkout.
"""

import argparse
from pathlib import Path

import keras
import keras_cv
import numpy as np
from shapes import CLASSES, draw, save_pictures, small_network

from keras_sknet.integrations.keras_cv import SKNetBackbone

LABELS = ("nothing", *CLASSES)


def build():
    return keras_cv.models.DeepLabV3Plus(
        SKNetBackbone(small_network()),
        num_classes=len(LABELS),
        # The default ones, up to 18, are made for maps larger than the 2×2 of P5 here.
        spatial_pyramid_pooling=keras_cv.layers.SpatialPyramidPooling(dilation_rates=[1, 2, 3]),
        segmentation_head=head(len(LABELS)),
    )


def head(filters):
    """Convolves with 3×3 as in the paper, not 1×1, and enlarges the logits only, not 256 maps."""
    return keras.Sequential(
        [
            keras.Input((None, None, 256 + 48)),  # of the spatial pyramid, and of P2
            keras.layers.Conv2D(64, 3, padding="same", use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.Conv2D(filters, 1),
            keras.layers.UpSampling2D(4, interpolation="bilinear"),
            keras.layers.Softmax(dtype="float32"),
        ]
    )


def mean_iou(masks, found):
    """The overlap of drawn and found pixels by their union, of each label over all pictures, on average."""
    both = [((masks == n) & (found == n)).sum() for n in range(len(LABELS))]
    either = [((masks == n) | (found == n)).sum() for n in range(len(LABELS))]
    return np.mean(np.divide(both, either))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--pictures", type=int, default=4096, help="to train on")
    parser.add_argument("--output", type=Path, default=Path("segmenter"))
    arguments = parser.parse_args()
    arguments.output.mkdir()
    keras.utils.set_random_seed(0)

    images, _, _, masks = draw(arguments.pictures, seed=0)
    test_images, _, _, test_masks = draw(200, seed=1)
    model, batch_size = build(), 16
    untrained = mean_iou(test_masks, model.predict(test_images, verbose=0).argmax(-1))

    steps = arguments.epochs * len(images) // batch_size
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=3e-3, warmup_steps=steps // 10)
    # The model ends in a softmax, which is what the loss expects by default.
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(images, masks, batch_size=batch_size, epochs=arguments.epochs, verbose=2)
    model.save(arguments.output / "segmenter.keras")
    found = model.predict(test_images, verbose=0).argmax(-1)
    trained = mean_iou(test_masks, found)
    print(f"mIoU on 200 held-out pictures: {trained:.3f}; untrained: {untrained:.3f}")

    save_pictures(
        arguments.output / "segments.png",
        test_images,
        {
            "picture": lambda axes, n: None,
            "drawn": lambda axes, n: axes.imshow(test_masks[n], "magma", vmin=0, vmax=len(CLASSES)),
            "found": lambda axes, n: axes.imshow(found[n], "magma", vmin=0, vmax=len(CLASSES)),
        },
    )
    print(f"Written to {arguments.output}")


if __name__ == "__main__":
    main()
