"""How networks are trained, as data."""

import dataclasses
import itertools

import keras

from keras_sknet.data import Augmentation, pad_crop_transform, training_transform
from keras_sknet.models.classifier import ends_in_softmax
from keras_sknet.models.precision import policies_inside
from keras_sknet.optimizers import SGD, Schedule
from keras_sknet.validation import one_of, positive_integer, require

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
CROPS = {
    None: lambda size, scale: None,
    "resized": training_transform,
    "padded": lambda size, scale: pad_crop_transform(size),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """SGD with momentum, a schedule of its learning rate, label smoothing, and what else makes a training.

    Args:
        epochs: Integer.
        batch_size: Integer, images of one update of the weights, over all devices.
        learning_rate: Float, the highest of the schedule.
        momentum: Float. Defaults to `0.9`.
        warmup: Float, the share of all steps in which the learning rate rises from 0. Defaults to `0.1`.
        milestones: Epochs, also parts of them, after which the learning rate falls to a tenth. Without any,
            the default, it falls to 0 in one cosine cycle.
        label_smoothing: Float. Defaults to `0.1`.
        weight_decay: Float, `l2` of `SGD`. Defaults to `0.0`.
        average: Float below 1, momentum of a moving average of the weights, which is then what is validated
            and kept. Defaults to `None`, no average.
        precision: Dtype policy to build the model under: `"float32"` (default), `"mixed_bfloat16"` or
            `"mixed_float16"`, with loss scaling. The kept model is float32.
        accumulation: Integer. A batch is computed in so many parts, each with batch statistics of its own.
            Defaults to `1`.
        jit_compile: Boolean, whether TensorFlow compiles a step with XLA. Pays on GPUs only. Defaults to
            `False`. JAX always does.
        crop: What is cut out of training images: `None` (default): they are taken as they are, `"resized"`:
            `training_transform`, or `"padded"`: `pad_crop_transform`, both of `keras_sknet.data`.
        crop_scale: Pair of floats, for `"resized"`. Defaults to `(0.08, 1.0)`.
        crop_fraction: Float, what the model is to remember as `crop_fraction` of evaluation, in its
            `ImageNormalization`. Defaults to `None`: what it remembers already.
        augmentation: `keras_sknet.data.Augmentation`. Defaults to none.

    Raises:
        ValueError: for a value outside of its range.

    Example:

    ```python
    from keras_sknet.training import Recipe

    model = keras_sknet.SKNetSmall()
    Recipe(epochs=3, batch_size=64, learning_rate=0.1).compile(model, images=3900)
    ```

    Reference:
        Section 4.1 of [Selective Kernel Networks](https://arxiv.org/abs/1903.06586);
        [Bag of Tricks](https://arxiv.org/abs/1812.01187), Sections 3.1, 5.1 and 5.2.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float = 0.9
    warmup: float = 0.1
    milestones: tuple = ()
    label_smoothing: float = 0.1
    weight_decay: float = 0.0
    average: float | None = None
    precision: str = "float32"
    accumulation: int = 1
    jit_compile: bool = False
    crop: str | None = None
    crop_scale: tuple = (0.08, 1.0)
    crop_fraction: float | None = None
    augmentation: Augmentation = Augmentation()

    def __post_init__(self):
        for name in ("epochs", "batch_size", "accumulation"):
            positive_integer(name, getattr(self, name))
        require(self.learning_rate > 0, "learning_rate", "above 0", learning_rate=self.learning_rate)
        for name in ("momentum", "warmup", "label_smoothing", "average"):
            value = getattr(self, name)
            require(value is None or 0 <= value < 1, name, "from 0 to below 1", **{name: value})
        require(self.weight_decay >= 0, "weight_decay", "0 or more", weight_decay=self.weight_decay)
        one_of("precision", self.precision, PRECISIONS)
        one_of("crop", self.crop, tuple(CROPS))
        ends = (0, *self.milestones, self.epochs)
        require(
            all(early < late for early, late in itertools.pairwise(ends)),
            "milestones",
            "rising epochs below `epochs`",
            milestones=self.milestones,
            epochs=self.epochs,
        )
        require(
            self.batch_size % self.accumulation == 0,
            "accumulation",
            "a divisor of `batch_size`",
            accumulation=self.accumulation,
            batch_size=self.batch_size,
        )

    def with_batch_size(self, batch_size):
        """Returns the recipe for another batch size, its learning rate in proportion (the linear rule)."""
        return dataclasses.replace(
            self,
            batch_size=positive_integer("batch_size", batch_size),
            learning_rate=self.learning_rate * batch_size / self.batch_size,
        )

    def with_epochs(self, epochs):
        """Returns the recipe for another length, its milestones in proportion."""
        positive_integer("epochs", epochs)
        milestones = tuple(milestone * epochs / self.epochs for milestone in self.milestones)
        return dataclasses.replace(self, epochs=epochs, milestones=milestones)

    @property
    def step_size(self):
        """Images of one step of `fit`; `accumulation` steps make an update of the weights."""
        return self.batch_size // self.accumulation

    def steps(self, images):
        """Returns the steps of an epoch over so many images; the few left over are left out."""
        require(
            images >= self.batch_size,
            "batch_size",
            "no more than the images to train on",
            batch_size=self.batch_size,
            images=images,
        )
        return images // self.step_size

    def schedule(self, images):
        """Returns the learning rate as a schedule over steps."""
        steps = self.steps(images)
        warmup = round(self.warmup * self.epochs * steps)
        milestones = [round(epoch * steps) for epoch in self.milestones]
        return Schedule(self.learning_rate, self.epochs * steps, warmup, milestones)

    def transform(self, size):
        """Returns the transform of training images, for a height and width; `None` without a crop."""
        return CROPS[self.crop](size, self.crop_scale)

    def smallest(self, size):
        """Returns the height and width that training images must have at least; `None` if any will do.

        Args:
            size: Integer or pair of them, the height and width of the network's images.
        """
        return None if self.crop == "resized" else size

    def compile(self, model, images):
        """Compiles a model for one-hot labels, to be trained on so many images an epoch.

        Args:
            model: Functional or built sequential `keras.Model` that ends in a softmax or in logits.
            images: Integer.

        Raises:
            ValueError: for a model that does not compute in `precision`, where that is a mixed one.
        """
        policies = policies_inside(model)
        require(
            self.precision in policies or self.precision == "float32",
            "model",
            "built under the dtype policy of the recipe's `precision`, or made by `in_precision`",
            precision=self.precision,
            policies=sorted(policies),
        )
        optimizer = SGD(
            self.schedule(images),
            momentum=self.momentum,
            l2=self.weight_decay,
            use_ema=self.average is not None,
            # Keras averages after each part of a batch.
            ema_momentum=(self.average or 0.0) ** (1 / self.accumulation),
            gradient_accumulation_steps=self.accumulation if self.accumulation > 1 else None,
        )
        if "mixed_float16" in policies:
            # Keras looks at the policy of the model itself, which is that under which it was put together.
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        loss = keras.losses.CategoricalCrossentropy(
            from_logits=not ends_in_softmax(model), label_smoothing=self.label_smoothing
        )
        # JAX without XLA would run every operation by itself.
        jit_compile = self.jit_compile or keras.backend.backend() == "jax"
        # Weighted, so that what only fills up a batch does not count.
        model.compile(optimizer, loss, weighted_metrics=["accuracy"], jit_compile=jit_compile)
