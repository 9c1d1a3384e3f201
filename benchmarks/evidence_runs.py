"""The trainings and measurements of evidence.py: which networks, on what, and what is kept of each."""

import dataclasses
import functools
import json
from typing import NamedTuple

import keras
import numpy as np

import keras_sknet
from keras_sknet.analysis import ScaleResponse, attention_batches, enlarge, scale_response
from keras_sknet.analysis.attention import kernel_sizes
from keras_sknet.analysis.scale import SCALES
from keras_sknet.data import Digits, Subset
from keras_sknet.data.digits import CANVAS, NOISE
from keras_sknet.files import appearing_whole
from keras_sknet.models.baselines import resnext_network, se_network
from keras_sknet.training import DIGITS, fit

# SKNetSmall's trunk. Its rivals have wider bottlenecks, which make up for one kernel fewer: parameters and
# multiply-adds are both within 1 % of SKNetSmall's.
TRUNK = {
    "input_shape": (32, 32, 3),
    "classes": 10,
    "depths": (1, 2, 2),
    "filters": (16, 64, 128),
    "stem": "cifar",
    "stem_filters": 8,
    "cardinality": 2,
}
NETWORKS = {
    "SKNet": keras_sknet.SKNetSmall,
    "SKNet, deeper": functools.partial(keras_sknet.SKNetSmall, depths=(2, 3, 3)),
    "SENet": se_network("SENetSmall", "A small SENet.", **TRUNK, widths=(10, 36, 94)),
    "ResNeXt": resnext_network("ResNeXtSmall", "A small ResNeXt.", **TRUNK, widths=(10, 34, 98)),
}


class Setting(NamedTuple):
    """One network and how it is trained; every setting is run with every seed."""

    network: str = "SKNet"
    scales: tuple = SCALES
    # Epochs, as a multiple: one of three scales takes three times as many for as many steps.
    length: float = 1
    # What the initial projections of the SK units are multiplied by.
    projection: float = 1


SETTINGS = {
    "SKNet": Setting(),
    "random": Setting(length=0),
    "random, projection ×10": Setting(length=0, projection=10),
    "one scale": Setting(scales=(1.5,), length=3),  # as many steps
    "ResNeXt": Setting("ResNeXt"),
    "SENet": Setting("SENet"),
    "deeper": Setting("SKNet, deeper"),
    "projection ×10": Setting(projection=10),
    "twice as long": Setting(length=2),
}


class CentredDigits(Digits):
    """The digits in the middle and alone; the three scales of one share colours and noise."""

    def render(self, index, seed=0, epoch=0):
        number, scale = divmod(int(index), len(self.scales))
        random = np.random.default_rng((int(seed), int(epoch), self._first + number))
        digit = self._digits[scale][number]
        margin = (CANVAS - len(digit)) // 2
        canvas = np.zeros((CANVAS, CANVAS, 1), "float32")
        canvas[margin : margin + len(digit), margin : margin + len(digit), 0] = digit
        ground, ink = random.uniform(0, 90, 3), random.uniform(165, 255, 3)
        image = ground + canvas * (ink - ground) + NOISE * random.standard_normal((CANVAS, CANVAS, 1))
        return np.clip(np.rint(image), 0, 255).astype("uint8")


def result_of(name, seed, epochs, digits, output):
    """Trains and measures once; what an earlier call has finished is read."""
    folder = output / "runs" / f"{name}-{seed}"
    path = folder / "result.json"
    asked = {"setting": name, "seed": seed, "epochs": epochs, "digits": digits}
    if path.exists():
        result = json.loads(path.read_text(encoding="utf-8"))
        if asked.items() <= result.items():
            return result
        raise SystemExit(f"{path} is of other options: take another folder for these")
    folder.mkdir(parents=True, exist_ok=True)
    model, history = trained(SETTINGS[name], seed, epochs, digits, folder)
    result = {**asked, **history, **measured(model, digits, folder)}
    with appearing_whole(path) as unfinished:
        unfinished.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def build(setting, seed):
    """The network before training."""
    keras.utils.set_random_seed(seed)
    model = NETWORKS[setting.network](class_names=Digits.class_names)
    for unit in selecting_units(model):
        unit.projection.kernel.assign(unit.projection.kernel * setting.projection)
    return model


def selecting_units(model):
    """The SK units of a network of blocks."""
    blocks = [layer for layer in model.layers if isinstance(layer, keras_sknet.SKBottleneck)]
    return [block.spatial for block in blocks if block.spatial.has_attention]


def trained(setting, seed, epochs, digits, folder):
    model = build(setting, seed)
    if not setting.length:
        return model, {"history": [], "best_epoch": 0}
    recipe = dataclasses.replace(DIGITS, epochs=round(epochs * setting.length))
    sources = [first(Digits(split, setting.scales), digits) for split in ("train", "validation")]
    # The digits of a trial may be fewer than a batch.
    recipe = recipe.with_batch_size(min(recipe.batch_size, len(sources[0])))
    history, best = fit(model, *sources, recipe, folder, seed=seed, verbose=False)
    return keras.models.load_model(folder / "model.keras"), {"history": history, "best_epoch": best}


def first(source, digits):
    """The first digits of a source at all of its scales; all if `digits` is `None`."""
    return source if digits is None else Subset(source, np.arange(len(source.scales) * digits))


def measured(model, digits, folder):
    """Size and accuracy; with SK units also their attention, written to `folder`."""
    complexity = keras_sknet.complexity(model)
    drawn, centred = by_digit(Digits("test"), digits), by_digit(CentredDigits("test"), digits)
    labels = Digits("test", (1.0,)).element_labels[:digits]
    ways = {
        "drawn": drawn,
        "cropped": enlarged(drawn),
        "drawn, centred": centred,
        "cropped, centred": enlarged(centred),
    }
    accuracies = {way: accuracy(model, images, labels) for way, images in ways.items()}
    result = {
        "parameters": complexity.trainable_parameters,
        "multiply_adds": complexity.multiply_adds_with_select,
        "accuracy": accuracies["drawn"],
        "accuracy_by_way": accuracies,
    }
    units = selecting_units(model)
    if units:
        responses = {
            "drawn": drawn_response(model, drawn),
            "cropped": scale_response(model, drawn[:, 0]),
            "drawn, centred": drawn_response(model, centred),
            "cropped, centred": scale_response(model, centred[:, 0]),
        }
        attention = {
            f"{way}/{unit}": response.attention[unit]
            for way, response in responses.items()
            for unit in response.units
        }
        np.savez_compressed(folder / "attention.npz", **attention)
        result["kernels"] = responses["drawn"].kernels
        result["spread"] = spread(model, flat(drawn))
        result["projection"] = {
            unit.name: float(np.std(keras.ops.convert_to_numpy(unit.projection.kernel))) for unit in units
        }
    return result


def by_digit(source, digits):
    """Images `(digits, scales, height, width, channels)`: a row is one digit at every scale."""
    images, _ = source.arrays()
    return images.reshape(-1, len(SCALES), *images.shape[1:])[:digits]


def flat(images):
    return images.reshape(-1, *images.shape[2:])


def enlarged(images):
    """The images of the smallest scale as `scale_response` enlarges them: central crops, resized."""
    crops = [keras.ops.convert_to_numpy(enlarge(images[:, 0], scale)) for scale in SCALES]
    return np.stack(crops, axis=1)


def accuracy(model, images, labels):
    """Over all images, and at each scale."""
    classes = model.predict(flat(images), batch_size=64, verbose=0).argmax(axis=-1)
    right = classes.reshape(images.shape[:2]) == labels[:, None]
    by_scale = zip(map(str, SCALES), map(float, right.mean(axis=0)), strict=True)
    return {"all": float(right.mean()), **dict(by_scale)}


def drawn_response(model, images):
    """`scale_response` for images that exist at each scale: `(digits, scales, height, width, channels)`."""
    batches = [scores for scores, _ in attention_batches(model, flat(images))]
    attention = {
        unit: np.concatenate([scores[unit].mean(axis=-1) for scores in batches]) for unit in batches[0]
    }
    attention = {unit: a.reshape(*images.shape[:2], -1) for unit, a in attention.items()}
    return ScaleResponse(SCALES, kernel_sizes(model, attention), attention)


def spread(model, images):
    """How far the attention of the largest kernel is from 0.5, by unit: where it lies, and what moves it.

    `channels` is the standard deviation over channels of the mean over images, `images` the mean over
    channels of the standard deviation over images, `near_half` the share of all scores from 0.45 to 0.55.
    """
    found = {}
    for unit, a in keras_sknet.attention_scores(model, images).items():
        largest = a[:, -1]
        numbers = {
            "mean": largest.mean(),
            "channels": largest.mean(axis=0).std(),
            "images": largest.std(axis=0).mean(),
            "near_half": (np.abs(largest - 0.5) <= 0.05).mean(),
        }
        found[unit] = {name: float(value) for name, value in numbers.items()}
    return found


def response_of(result, way, output):
    """The `ScaleResponse` that `measured` has kept of a run."""
    path = output / "runs" / f"{result['setting']}-{result['seed']}" / "attention.npz"
    with np.load(path) as file:
        attention = {unit: file[f"{way}/{unit}"] for unit in result["kernels"]}
    return ScaleResponse(SCALES, result["kernels"], attention)
