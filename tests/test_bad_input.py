"""Every mistake gets one clear error of this package that names argument and value."""

import inspect
import re

import keras
import pytest

import keras_sknet
from keras_sknet import data, export, layers, ops
from mistakes_data import DATA_MISTAKES
from mistakes_export import EXPORT_MISTAKES
from mistakes_layers import LAYER_MISTAKES
from mistakes_models import MODEL_MISTAKES
from nets import tiny

NETWORKS = [name for name in vars(keras_sknet.models) if name[0].isupper()]
LAYERS = [name for name, value in vars(layers).items() if isinstance(value, type) and name != "Branch"]
MISTAKES = {**LAYER_MISTAKES, **MODEL_MISTAKES, **EXPORT_MISTAKES, **DATA_MISTAKES}
NO_WEIGHTS = (
    "None, 'imagenet', 'cifar10' (SKNetThin), 'timm/NAME.TAG' or the path of an existing .safetensors, "
)
# What takes no argument of the user's, or is made by the package alone.
NO_MISTAKES = {"record_attention", "Complexity"}


@pytest.mark.parametrize(
    "mistake, text",
    [
        pytest.param(mistake, text, id=f"{name}-{number}")
        for name, rows in MISTAKES.items()
        for number, (mistake, text) in enumerate(rows)
    ],
)
def test_mistake_is_named(mistake, text):
    with pytest.raises((ValueError, TypeError, NotImplementedError)) as caught:
        mistake()
    pattern = ".*".join(re.escape(part.strip()) for part in text.split("…"))
    assert re.search(pattern, str(caught.value), re.DOTALL), caught.value
    if caught.type is ValueError:
        assert re.search(r"`\w+` must be .+ Received: \w+=", str(caught.value), re.DOTALL), caught.value


def test_every_public_constructor_and_function_is_in_the_table():
    public = {
        name
        for module in (keras_sknet, layers, ops, export, data)
        for name in dir(module)
        if callable(getattr(module, name)) and not name.startswith("_")
    }
    assert public - NO_MISTAKES - set(NETWORKS) == set(MISTAKES) - {"networks"}
    texts = [text for rows in MISTAKES.values() for _, text in rows]
    assert len(set(texts)) > 100


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_makes_these_checks(name):
    with pytest.raises(ValueError, match=r"`pooling` must be one of .* Received: pooling='mean'"):
        tiny(name, pooling="mean")
    with pytest.raises(
        ValueError, match=r"`data_format` must be 'channels_last'\. Received: .*'channels_first'"
    ):
        keras.config.set_image_data_format("channels_first")
        try:
            tiny(name)
        finally:
            keras.config.set_image_data_format("channels_last")
    with pytest.raises(TypeError, match=rf"{name}\(\): got an unexpected keyword argument 'data_format'"):
        tiny(name, data_format="channels_last")
    with pytest.raises(TypeError, match=rf"{name}\(\): too many positional arguments"):
        getattr(keras_sknet, name)(*range(20))


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_names_itself_and_a_keyword_that_it_does_not_know(name):
    layer = getattr(layers, name)
    needed = [
        3 if parameter.name == "kernel_size" else 32
        for parameter in inspect.signature(layer).parameters.values()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    with pytest.raises((TypeError, ValueError), match=rf"{name}.*kernel_sise"):
        layer(*needed, kernel_sise=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights files of one network in both formats, and others that nobody can load."""
    folder = tmp_path_factory.mktemp("weights")
    model = tiny(depths=(1, 1, 2))
    model.compile("adam", "mse")  # a file may hold an optimizer, too
    model.save(folder / "net.keras")
    model.save_weights(folder / "net.weights.h5")
    for suffix in (".keras", ".weights.h5"):
        whole = (folder / f"net{suffix}").read_bytes()
        flipped = bytearray(whole)
        flipped[9438:9502] = b"\xff" * 64
        damaged = {
            "empty": b"",
            "random": bytes(range(256)) * 20,
            "flipped": bytes(flipped),
            **{f"cut{n}": whole[: len(whole) * n // 100] for n in (1, 50, 99)},
            "short": whole[:-1],
            "head": whole[:8],
        }
        for name, content in damaged.items():
            (folder / f"{name}{suffix}").write_bytes(content)
    for file in ("net.h5", "net.keras.txt", "net.weights.npz"):
        (folder / file).write_bytes(whole)
    return folder


DAMAGES = ("empty", "head", "random", "flipped", "cut1", "cut50", "cut99", "short")


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_damaged_weights_file_is_refused(suffix, folder):
    for damage in DAMAGES:
        path = folder / f"{damage}{suffix}"
        with pytest.raises(ValueError) as caught:
            tiny(depths=(1, 1, 2), weights=path)
        assert "`weights` must be an undamaged file " in str(caught.value), damage
        assert f"weights={path!r}" in str(caught.value) and len(str(caught.value)) < 900


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
@pytest.mark.parametrize(
    "options, text",
    [
        ({"depths": (1, 2, 1)}, "must be an undamaged file that fits"),
        ({"depths": (1, 1, 3)}, "must be an undamaged file that fits"),
        ({"depths": (1, 1, 1)}, "must be a file with no more weights than the model 'sknet50' has"),
        ({"use_attention": False}, "must be a file with no more weights than the model 'sknet50' has"),
        ({"widths": (8, 8, 8)}, "must be an undamaged file that fits"),
        ({"name": "SENet50"}, "must be an undamaged file that fits the model 'senet50'"),
    ],
    ids=str,
)
def test_a_weights_file_of_another_network_is_refused(suffix, options, text, folder):
    path = folder / f"net{suffix}"
    with pytest.raises(ValueError) as caught:
        tiny(**{"depths": (1, 1, 2), "weights": path, **options})
    assert f"`weights` {text}" in str(caught.value) and f"weights={path!r}" in str(caught.value)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_weights_file_may_have_the_top_that_is_not_wanted(suffix, folder):
    whole = tiny(depths=(1, 1, 2), weights=folder / f"net{suffix}")
    trunk = tiny(depths=(1, 1, 2), weights=folder / f"net{suffix}", include_top=False)
    expected = whole.get_weights()[:-2]
    assert all((a == b).all() for a, b in zip(trunk.get_weights(), expected, strict=True))


@pytest.mark.parametrize(
    "file, requirement",
    [
        ("missing.keras", NO_WEIGHTS),
        ("", NO_WEIGHTS),
        ("net.h5", "a file whose name ends in .safetensors, .weights.h5 or .keras"),
        ("net.keras.txt", "a file whose name ends in .safetensors, .weights.h5 or .keras"),
        ("net.weights.npz", "a file whose name ends in .safetensors, .weights.h5 or .keras"),
    ],
)
def test_a_path_that_is_no_weights_file_is_refused(file, requirement, folder):
    with pytest.raises(ValueError) as caught:
        tiny(weights=folder / file)
    assert f"`weights` must be {requirement}" in str(caught.value)
    assert f"Received: weights={folder / file!r}" in str(caught.value)
