"""The recipes, each with the command that follows it and what that should give."""

import dataclasses

from keras_sknet.training.recipe import Recipe

DIGITS = Recipe(epochs=14, batch_size=64, learning_rate=0.2, crop_fraction=1.0)
"""For `SKNetSmall` on the digits at three scales.

    keras-sknet train

About four minutes on two cores, 97.4 % of the held-out digits right (96.4 % at scale 1.0, 98.3 % at 1.5,
97.5 % at 2.0) with seed 0. Other processors round differently and land a little beside that.
"""

CIFAR = Recipe(
    epochs=300,
    batch_size=128,
    learning_rate=0.1,
    warmup=0.0,
    milestones=(150, 225),
    label_smoothing=0.0,
    weight_decay=5e-4,
    crop="padded",
    crop_fraction=1.0,
)
"""For networks with a CIFAR stem on images of 32×32, as ResNeXt-29 and SKNet-29 were trained.

    keras-sknet train --data tfds:cifar10 --recipe cifar --model SKNet29

The paper's error with it is 3.47 % on CIFAR-10 and 17.33 % on CIFAR-100 (`--data tfds:cifar100`). That takes
a GPU and was not repeated here.
"""

CIFAR_COSINE = dataclasses.replace(
    CIFAR, epochs=45, learning_rate=0.2, warmup=0.15, milestones=(), weight_decay=2e-4
)
"""For `SKNetThin` on small photographs: one cosine cycle.

    keras-sknet train --data folder:cifar10 --size 32 --recipe cifar-cosine --cache

76 minutes on two busy cores; 87.4 % of 5,000 held-out photographs of CIFAR-10 right (docs/results.md).
"""

IMAGENET = Recipe(
    epochs=100,
    batch_size=256,
    learning_rate=0.1,
    warmup=0.0,
    milestones=(30, 60, 90),
    weight_decay=1e-4,
    crop="resized",
)
"""For ImageNet at 224×224, as the paper's networks were trained (Section 4.1).

    keras-sknet train --data tfds:imagenet2012 --recipe imagenet --model SKNet50 --strategy mirrored

The paper's top-1 error with it is 20.79 % for SKNet-50 (`keras-sknet evaluate sknet-run/model.keras --data
tfds:imagenet2012 --resize 256 --crop 224`). That needs days on several GPUs and was not repeated here.
"""

IMAGENET_COSINE = dataclasses.replace(IMAGENET, warmup=0.05, milestones=())
"""The first author's later recipe: five epochs of warm-up and one cosine cycle, the rest as `IMAGENET`.

    keras-sknet train --data tfds:imagenet2012 --recipe imagenet-cosine --model SKNet50 --strategy mirrored
"""

FINETUNE_HEAD = Recipe(epochs=5, batch_size=32, learning_rate=0.05, crop="resized", crop_scale=(0.35, 1.0))
"""The first part of fine-tuning: a new classifier, and the stages behind the frozen ones.

    keras-sknet finetune --from MODEL.keras --data folder:PATH --freeze-through 4
"""

FINETUNE = dataclasses.replace(FINETUNE_HEAD, epochs=10, learning_rate=0.005)
"""The second part of fine-tuning: every weight, at a tenth of the rate."""

RECIPES = {
    "digits": DIGITS,
    "cifar": CIFAR,
    "cifar-cosine": CIFAR_COSINE,
    "imagenet": IMAGENET,
    "imagenet-cosine": IMAGENET_COSINE,
}
