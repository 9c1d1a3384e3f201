"""A pretrained SKNet-50 learns the classes of a folder of images: FOLDER/CLASS/*.jpg (or .png).

    python examples/finetune_pretrained.py FOLDER [--epochs 5] [--weights imagenet] [--output finetuned]

Stages up to the fourth stay as they are; a fifth of the images is held out. Needs
`pip install ".[pretrained,litert]"` in the checkout, and network the first time or a file for `--weights`.
"""

import argparse
from pathlib import Path

import keras

import keras_sknet

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder", type=Path)
parser.add_argument("--weights", default="imagenet")
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--size", type=int, default=224)
parser.add_argument("--output", type=Path, default=Path("finetuned"))
arguments = parser.parse_args()
arguments.output.mkdir()
keras.utils.set_random_seed(0)

size = (arguments.size, arguments.size)
options = {"validation_split": 0.2, "subset": "both", "seed": 0, "crop_to_aspect_ratio": True}
train, held_out = keras.utils.image_dataset_from_directory(arguments.folder, image_size=size, **options)
names = train.class_names
model = keras_sknet.SKNet50(
    weights=arguments.weights, input_shape=(*size, 3), classes=len(names), class_names=names
)
keras_sknet.freeze_stages(model, through=4)
model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
flip = keras.layers.RandomFlip("horizontal")
model.fit(train.map(lambda x, y: (flip(x), y)), validation_data=held_out, epochs=arguments.epochs, verbose=2)
print(f"Held-out images: {model.evaluate(held_out, verbose=0)[1]:.1%} right")
model = keras.Model(model.inputs, model.outputs, name=model.name)  # what predicts needs no optimizer
model.save(arguments.output / "model.keras")
keras_sknet.export_tflite(model, arguments.output / "model.tflite")
keras_sknet.export_saved_model(model, arguments.output / "saved_model", version=1)
