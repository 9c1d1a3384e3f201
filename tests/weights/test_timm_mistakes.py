"""A checkpoint that is not the model's: what is wrong with it is said, and the model stays as it was."""

import re

import keras
import numpy as np
import pytest

import keras_sknet
from checks import randomize
from nets import tiny

NAMES = ("SKNet50", "SKResNet18", "ResNeXt50", "SENet50")
MUTATIONS = 60  # of each network's tensors


@pytest.fixture(scope="module", params=NAMES)
def checkpoint(request):
    """A network, and another one's tensors that fit it."""
    model = tiny(request.param, stem_padding="torch")
    other = tiny(request.param, stem_padding="torch")
    randomize(other)
    return model, keras_sknet.to_timm(other)


def refusal(model, tensors, **options):
    """The message with which `tensors` are refused, checked that nothing of them was loaded."""
    before = model.get_weights()
    with pytest.raises(ValueError) as caught:
        keras_sknet.load_timm(model, tensors, **options)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    message = str(caught.value)
    assert re.search(r"^`tensors` must be .+ Received: \w+=", message)
    assert len(message) < 1000
    return message


def mutated(rng, tensors):
    """Tensors with one thing wrong, the name of what is wrong, and what must be said of it."""
    tensors = dict(tensors)
    names = [name for name in tensors if not name.endswith("num_batches_tracked")]
    name = names[rng.integers(len(names))]
    array = tensors[name]
    kind = rng.choice(
        ["missing", "renamed", "longer", "shorter", "transposed", "flat", "scalar", "nan", "inf"]
    )
    if kind == "missing":
        del tensors[name]
        return tensors, name, "is missing, expected of shape"
    if kind == "renamed":
        tensors[f"module.{name}"] = tensors.pop(name)
        return tensors, f"module.{name}", "is unexpected"
    if kind in ("nan", "inf"):
        broken = array.copy()
        broken.flat[rng.integers(broken.size)] = float(kind)
        tensors[name] = broken
        return tensors, name, "has values that are not finite"
    shapes = {
        "longer": np.concatenate([array, array[:1]]),
        "shorter": array[:-1],
        "transposed": array.T if array.T.shape != array.shape else array[None],
        "flat": array.reshape(1, -1),
        "scalar": np.float32(0),
    }
    tensors[name] = shapes[kind]
    return tensors, name, f"is of shape {np.shape(shapes[kind])}, expected {array.shape}"


def test_whatever_is_wrong_is_named_and_nothing_is_loaded(checkpoint):
    model, tensors = checkpoint
    rng = np.random.default_rng(0)
    said = set()
    for _ in range(MUTATIONS):
        wrong, name, text = mutated(rng, tensors)
        message = refusal(model, wrong)
        assert name in message and text in message, (name, text, message)
        said.add(text.split(",")[0].split(" (")[0])
    assert len(said) == 4


def test_a_part_of_a_checkpoint_is_refused(checkpoint):
    model, tensors = checkpoint
    names = [name for name in tensors if not name.endswith("num_batches_tracked")]
    for count in (0, 1, len(names) // 2, len(names) - 1):
        message = refusal(model, {name: tensors[name] for name in names[:count]})
        assert f"{names[count]} is missing, expected of shape {tensors[names[count]].shape}" in message
        left = len(names) - count
        assert (f"and {left - 3} more" in message) == (left > 3)


def test_values_that_cannot_be_are_refused(checkpoint):
    model, tensors = checkpoint
    ones = {
        "bn1.running_var": (-np.ones(8, "float32"), "has values below 0"),
        "bn1.weight": (np.ones(8, "int32"), "is of dtype int32, expected floating-point"),
        "bn1.bias": (np.full(8, 1e300), "has values that are not finite"),  # in float32
        "fc.bias": (np.array(["a"] * 5), "expected floating-point"),
    }
    for name, (array, text) in ones.items():
        message = refusal(model, {**tensors, name: array})
        assert f"{name} of shape {array.shape} {text}" in message or (name in message and text in message)


def test_a_checkpoint_of_other_classes_is_refused_unless_its_classifier_is_skipped(checkpoint):
    model, tensors = checkpoint
    wide = {**tensors, "fc.weight": np.zeros((7, 32), "float32"), "fc.bias": np.zeros(7, "float32")}
    message = refusal(model, wide)
    assert "fc.weight is of shape (7, 32), expected (5, 32)" in message
    assert "fc.bias is of shape (7,), expected (5,)" in message
    bare = {name: array for name, array in tensors.items() if not name.startswith("fc.")}
    assert "fc.weight is missing, expected of shape (5, 32)" in refusal(model, bare)
    broken = {**wide, "conv1.weight": np.zeros((8, 1, 7, 7), "float32")}
    message = refusal(model, broken, skip_classifier=True)
    assert "conv1.weight is of shape (8, 1, 7, 7), expected (8, 3, 7, 7)" in message
    assert "fc" not in message


def test_every_other_networks_checkpoint_is_refused():
    models = {name: tiny(name, stem_padding="torch") for name in NAMES}
    tensors = {name: keras_sknet.to_timm(model) for name, model in models.items()}
    for name, model in models.items():
        for other in NAMES:
            if other != name:
                refusal(model, tensors[other])
    deeper = tiny(depths=(1, 1, 2, 1), stem_padding="torch")
    assert "layer3.1.conv1.conv.weight is missing" in refusal(deeper, tensors["SKNet50"])
    message = refusal(models["SKNet50"], keras_sknet.to_timm(deeper))
    assert "layer3.1.conv1.conv.weight of shape (16, 16, 1, 1) is unexpected" in message


def test_a_network_that_pads_otherwise_is_told_so():
    model = tiny(stem_padding="same")
    # Warnings are errors in these tests.
    for convert in (keras_sknet.to_timm, lambda model: keras_sknet.load_timm(model, {})):
        with pytest.raises(
            UserWarning, match="model 'sknet50' has stem_padding='same': .* different outputs"
        ):
            convert(model)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"stem": "cifar"}, "`model` must be of stem='imagenet', as timm's are. Received: stem='cifar'"),
        (
            {"use_attention": False},
            "`model` must be of SK units of two branches or more and use_attention=True. … unit='sk_2_1'",
        ),
    ],
    ids=str,
)
def test_a_network_that_timm_has_not_is_refused(options, said):
    model = tiny(stem_padding="torch", **options)
    for convert in (keras_sknet.to_timm, lambda model: keras_sknet.load_timm(model, {})):
        with pytest.raises(ValueError) as caught:
            convert(model)
        assert all(part in str(caught.value) for part in said.split("… "))


def test_a_block_with_more_in_it_than_timms_is_refused():
    blocks = {"CBAMResNeXt50": "CBAMBottleneck", "BAMResNeXt50": "BAMBottleneck"}
    for name, block in blocks.items():
        with pytest.raises(ValueError, match=f"`model` must be of blocks that timm has.* block='{block}'"):
            keras_sknet.to_timm(tiny(name, stem_padding="torch"))


def test_a_folded_network_is_refused():
    folded = keras_sknet.fold_batch_norm(tiny("ResNeXt50", stem_padding="torch"))
    with pytest.raises(ValueError, match="`model` must be of blocks with batch normalization. .*folded=True"):
        keras_sknet.to_timm(folded)


def test_a_loaded_model_and_one_trained_in_mixed_precision_convert(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = tiny("SKResNet34", stem_padding="torch")
    model.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    ours, theirs = keras_sknet.to_timm(model), keras_sknet.to_timm(loaded)
    assert list(ours) == list(theirs)
    for name, array in ours.items():
        assert array.dtype == ("int64" if name.endswith("tracked") else "float32")
        np.testing.assert_array_equal(array, theirs[name])


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method:UserWarning")
def test_a_quantized_network_is_refused():
    """Its kernels are integers, whose scale would be lost."""
    model = tiny("SKResNet18", stem_padding="torch")
    model.quantize("int8")
    with pytest.raises(ValueError, match="`model` must be of layers that are not quantized and have no LoRA"):
        keras_sknet.to_timm(model)
