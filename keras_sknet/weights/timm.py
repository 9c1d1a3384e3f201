"""The weights of this package's networks under timm's names and in its layouts: into a model, and back."""

import re
import warnings
from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np

from keras_sknet.layers import (
    Bottleneck,
    Classifier,
    ResNeXtBottleneck,
    SEBottleneck,
    SelectiveKernel,
    SKBasicBlock,
    SKBottleneck,
    Stem,
)
from keras_sknet.layers.altered import has_altered_kernel
from keras_sknet.ops._private import flatten_layers
from keras_sknet.validation import require

BLOCKS = (SKBottleneck, SKBasicBlock, ResNeXtBottleneck, SEBottleneck)
CLASSIFIER = ("fc.weight", "fc.bias")
COUNTER = "num_batches_tracked"  # timm keeps one for each batch normalization; nothing here needs it
SHOWN_PROBLEMS = 3


class Tensor(NamedTuple):
    """A variable of the model and the tensor that it is in timm."""

    name: str
    variable: keras.Variable
    shape: tuple


def load_timm(model, tensors, skip_classifier=False):
    """Loads timm's weights into a network of this package, all of them or none.

    Depths, widths and branches are the model's, whatever they are. Everything is checked before anything is
    assigned.

    | timm | here |
    |---|---|
    | `skresnext50_32x4d` | `SKNet50` |
    | `skresnet18`, `skresnet34` | `SKResNet18`, `SKResNet34` |
    | `resnext50_32x4d`, `resnext101_32x4d` | `ResNeXt50`, `ResNeXt101` |
    | `seresnext50_32x4d`, `seresnext101_32x4d` | `SENet50`, `SENet101` |

    timm's networks pad the stem's max-pooling by one on both sides: build the model with
    `stem_padding="torch"`, or it computes something else (and a warning says so).

    Args:
        model: A network of this package with the ImageNet stem, with or without top.
        tensors: Mapping from timm's names to arrays in timm's layouts, as
            `safetensors.numpy.load_file` returns it. The counters `num_batches_tracked` are passed over,
            and, where the model has no top, the classifier.
        skip_classifier: Boolean. `True` leaves the model's classifier as it is, for other classes.
            Defaults to `False`.

    Raises:
        ValueError: if a tensor is missing, unexpected, of another shape or not finite, or timm has no network
            like the model. The model is unchanged.

    Example:

    ```python
    model = keras_sknet.SKResNet18(input_shape=(64, 64, 3), classes=10)
    tensors = keras_sknet.to_timm(model)
    other = keras_sknet.SKResNet18(input_shape=(64, 64, 3), classes=3)
    keras_sknet.load_timm(other, tensors, skip_classifier=True)
    ```
    """
    expected = _tensors(model)
    require(
        isinstance(tensors, Mapping),
        "tensors",
        "a mapping from names to arrays",
        tensors=type(tensors).__name__,
    )
    given = {name: tensors[name] for name in tensors if not str(name).endswith(f".{COUNTER}")}
    has_top = any(tensor.name in CLASSIFIER for tensor in expected)
    if skip_classifier or not has_top:
        expected = [tensor for tensor in expected if tensor.name not in CLASSIFIER]
        given = {name: array for name, array in given.items() if name not in CLASSIFIER}

    arrays, problems = {}, []
    for tensor in expected:
        if tensor.name in given:
            arrays[tensor.name] = np.asarray(given[tensor.name])
            problems += _problems(tensor, arrays[tensor.name])
        else:
            problems.append(f"{tensor.name} is missing, expected of shape {tensor.shape}")
    known = {tensor.name for tensor in expected}
    for name, array in given.items():
        if name not in known:
            problems.append(f"{name} of shape {np.shape(array)} is unexpected")
    _require_none(problems, model)

    for tensor in expected:
        tensor.variable.assign(_from_timm(arrays[tensor.name], tensor.variable))


def to_timm(model):
    """Returns the weights of a network under timm's names, in timm's layouts.

    timm's network of the same depths and widths loads them with `load_state_dict(…, strict=True)`;
    `load_timm` has the table of names. What the model knows of preprocessing and class names is not among
    them.

    Args:
        model: A network of this package with the ImageNet stem, with or without top. With
            `stem_padding="torch"` timm's network computes the same; otherwise a warning says that it does
            not.

    Returns:
        Dictionary from names to NumPy arrays, as `safetensors.numpy.save_file` takes it.

    Raises:
        ValueError: if timm has no network like the model.

    Example:

    ```python
    model = keras_sknet.SKResNet18(input_shape=(64, 64, 3), classes=10)
    tensors = keras_sknet.to_timm(model)
    tensors["layer2.0.conv1.attn.fc_reduce.weight"].shape  # (16, 128, 1, 1)
    ```
    """
    arrays = {}
    for tensor in _tensors(model):
        arrays[tensor.name] = _to_timm(tensor)
        module, _, part = tensor.name.rpartition(".")
        if part == "running_var":
            arrays[f"{module}.{COUNTER}"] = np.zeros((), "int64")
    return arrays


def _tensors(model):
    """Lists all that the model has of weights, by timm's names."""
    layers = getattr(model, "layers", ()) if isinstance(model, keras.Model) else ()
    stems = [layer for layer in layers if isinstance(layer, Stem)]
    blocks = [layer for layer in layers if isinstance(layer, Bottleneck)]
    names = [re.fullmatch(r".+_(\d+)_(\d+)", block.name) for block in blocks]
    require(
        len(stems) == 1 and blocks and all(names),
        "model",
        "a network of this package",
        model=getattr(model, "name", type(model).__name__),
    )
    (stem,) = stems
    require(stem.kind == "imagenet", "model", "of stem='imagenet', as timm's are", stem=stem.kind)
    for block in blocks:
        _require_known_to_timm(block)
    if stem.padding != "torch":
        warnings.warn(
            f"timm pads the stem's max-pooling by one on both sides, model {model.name!r} has "
            f"stem_padding={stem.padding!r}: with the same weights the two compute different outputs.",
            stacklevel=3,
        )

    found = list(_conv_norm(stem.conv, "conv1", "bn1"))
    for block, name in zip(blocks, names, strict=True):
        # timm counts its stages from 1, without the stem, and its blocks from 0.
        found += _block(block, f"layer{int(name[1]) - 1}.{int(name[2]) - 1}")
    for layer in layers:
        if isinstance(layer, Classifier):
            weight, bias = CLASSIFIER
            found += [Tensor(weight, layer.kernel, layer.kernel.shape[::-1]), _vector(bias, layer.bias)]
    return found


def _require_known_to_timm(block):
    names = [known.__name__ for known in BLOCKS]
    require(type(block) in BLOCKS, "model", f"of blocks that timm has, {names}", block=type(block).__name__)
    require(not block.folded, "model", "of blocks with batch normalization", folded=block.folded)
    changed = [layer.path for layer in flatten_layers(block) if has_altered_kernel(layer)]
    require(not changed, "model", "of layers that are not quantized and have no LoRA", layers=changed)
    unit = block.spatial
    require(
        not isinstance(unit, SelectiveKernel) or unit.has_attention,
        "model",
        "of SK units of two branches or more and use_attention=True",
        unit=unit.name,
    )


def _block(block, name):
    if block.shortcut is not None:
        yield from _conv_norm(block.shortcut, f"{name}.downsample.0", f"{name}.downsample.1")
    layers = [layer for layer in (block.reduce, block.spatial, block.expand) if layer is not None]
    for number, layer in enumerate(layers, 1):
        if isinstance(layer, SelectiveKernel):
            yield from _unit(layer, f"{name}.conv{number}")
        elif isinstance(block, SKBottleneck):
            yield from _conv_norm(layer, f"{name}.conv{number}.conv", f"{name}.conv{number}.bn")
        else:
            yield from _conv_norm(layer, f"{name}.conv{number}", f"{name}.bn{number}")
    if block.gate is not None:
        for number, dense in enumerate((block.gate.squeeze, block.gate.excite), 1):
            yield _kernel(f"{name}.se.fc{number}.weight", dense.kernel)
            yield _vector(f"{name}.se.fc{number}.bias", dense.bias)


def _unit(unit, name):
    for number, branch in enumerate(unit.convolutions):
        yield from _conv_norm(branch, f"{name}.paths.{number}.conv", f"{name}.paths.{number}.bn")
    yield _kernel(f"{name}.attn.fc_reduce.weight", unit.squeeze.kernel)
    yield from _norm(unit.norm, f"{name}.attn.bn")
    yield _kernel(f"{name}.attn.fc_select.weight", unit.projection.kernel)


def _conv_norm(layer, conv, norm):
    yield _kernel(f"{conv}.weight", layer.conv.kernel)
    yield from _norm(layer.norm, norm)


def _norm(norm, name):
    yield _vector(f"{name}.weight", norm.gamma)
    yield _vector(f"{name}.bias", norm.beta)
    yield _vector(f"{name}.running_mean", norm.moving_mean)
    yield _vector(f"{name}.running_var", norm.moving_variance)


def _kernel(name, kernel):
    """The kernel of a convolution, or of a dense layer, which is a 1×1 convolution in timm."""
    *spatial, inputs, outputs = kernel.shape
    return Tensor(name, kernel, (outputs, inputs, *(spatial or (1, 1))))


def _vector(name, variable):
    return Tensor(name, variable, tuple(variable.shape))


def _problems(tensor, array):
    if array.shape != tensor.shape:
        yield f"{tensor.name} is of shape {array.shape}, expected {tensor.shape}"
    # bfloat16 is no type of NumPy's own.
    elif array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        yield f"{tensor.name} of shape {array.shape} is of dtype {array.dtype}, expected floating-point"
    elif not np.isfinite(_as_float(array, tensor.variable)).all():
        yield f"{tensor.name} of shape {array.shape} has values that are not finite"
    elif tensor.name.endswith(".running_var") and (array < 0).any():
        yield f"{tensor.name} of shape {array.shape} has values below 0"


def _require_none(problems, model):
    shown = problems[:SHOWN_PROBLEMS]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    require(
        not problems,
        "tensors",
        f"the weights of the model {model.name!r} under timm's names, all finite",
        problems=shown,
    )


def _as_float(array, variable):
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        return array.astype("float64" if variable.dtype == "float64" else "float32")


def _from_timm(array, variable):
    array = _as_float(array, variable)
    if array.ndim == 1:
        return array
    *spatial, inputs, outputs = variable.shape
    array = array.reshape(outputs, inputs, *spatial)
    return array.transpose(*range(2, array.ndim), 1, 0)


def _to_timm(tensor):
    array = keras.ops.convert_to_numpy(tensor.variable)
    if array.ndim > 1:
        array = array.transpose(-1, -2, *range(array.ndim - 2))
    # A copy: TensorFlow's and JAX's arrays are views of the variable.
    return np.array(array.reshape(tensor.shape), order="C")
