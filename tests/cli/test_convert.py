import json

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import keras_sknet
from checks import randomize
from hub_folder import CONFIG
from keras_sknet.cli import main
from keras_sknet.weights import to_timm

NAMES = ("cat", "blue tit", "Gänseblümchen")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint of timm's smallest SK network, of three classes, and a file of their names."""
    folder = tmp_path_factory.mktemp("convert")
    model = keras_sknet.SKResNet18(input_shape=(64, 64, 3), classes=3)
    randomize(model)
    save_file(to_timm(model), folder / "net.safetensors", {"format": "pt"})
    # As an editor on Windows writes it.
    text = "\ufeff" + "\r\n".join(NAMES) + "\r\n"
    (folder / "names.txt").write_bytes(text.encode())
    return folder


@pytest.fixture(scope="module")
def converted(folder):
    """What the command makes of it."""
    (folder / "config.json").write_text(json.dumps(CONFIG))
    command = f"convert {folder}/net.safetensors --model SKResNet18 --classes 3 -o {folder}/model.keras"
    assert main([*command.split(), "--class-names", f"{folder}/names.txt"]) == 0
    (folder / "config.json").unlink()
    return folder / "model.keras"


def test_there_and_back_every_bit_is_the_same(converted, folder, tmp_path):
    model = keras.models.load_model(converted)
    assert model.get_layer("predictions").class_names == NAMES
    assert model.get_layer("stem").padding == "torch"
    assert model.get_layer("normalization").mean == (0.5, 0.4, 0.3)
    assert main(["convert", str(converted), "-o", str(tmp_path / "back.safetensors")]) == 0
    before, after = load_file(folder / "net.safetensors"), load_file(tmp_path / "back.safetensors")
    assert before.keys() == after.keys()
    for name, array in before.items():
        assert after[name].dtype == array.dtype
        np.testing.assert_array_equal(after[name], array)

    # What the model knows travels along.
    again = ["convert", str(tmp_path / "back.safetensors"), "--model", "SKResNet18"]
    assert main([*again, "-o", str(tmp_path / "again.keras")]) == 0
    twin = keras.models.load_model(tmp_path / "again.keras")
    for layer in ("normalization", "stem", "predictions"):
        assert twin.get_layer(layer).get_config() == model.get_layer(layer).get_config()
    for got, want in zip(twin.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.slow
def test_a_model_that_pads_otherwise_than_timm_is_told_of(tmp_path, capsys):
    written = tmp_path / "x.safetensors"
    keras_sknet.SKResNet18(input_shape=(32, 32, 3), classes=3, stem_padding="same").save(tmp_path / "x.keras")
    assert main(["convert", str(tmp_path / "x.keras"), "-o", str(written)]) == 0
    out, err = capsys.readouterr()
    assert out == f"Written to {written}\n"
    assert "keras-sknet: warning: timm's stems pad by one on both sides" in err and err.count("\n") == 1
    # Back here it is what it was.
    again = keras_sknet.SKResNet18(input_shape=(32, 32, 3), classes=3, stem_padding=None, weights=written)
    assert again.get_layer("stem").padding == "same"


def error_of(capsys, command):
    assert main(["convert", *map(str, command)]) == 2
    out, err = capsys.readouterr()
    (line,) = [line for line in err.splitlines() if line.startswith("keras-sknet: error: ")]
    assert "Traceback" not in err and "Written" not in out
    return line.removeprefix("keras-sknet: error: ")


def test_mistakes_are_one_line_and_write_nothing(converted, folder, tmp_path, capsys):
    checkpoint, output = folder / "net.safetensors", tmp_path / "new.keras"
    (tmp_path / "cut.safetensors").write_bytes(checkpoint.read_bytes()[:-9])
    (tmp_path / "two.txt").write_text("cat\ndog\n")
    keras_sknet.SKNetSmall().save(tmp_path / "small.keras")
    before = sorted(tmp_path.iterdir())
    model = ["--model", "SKResNet18"]
    for command, text in (
        ([checkpoint, "-o", output], "argument --model: needed to read a checkpoint"),
        (
            [checkpoint, *model, "--classes", 4, "-o", output],
            "argument --classes: the checkpoint has 3 classes",
        ),
        ([checkpoint, "--model", "SKNetSmall", "-o", output], "`weights` must be a file that fits the model"),
        ([checkpoint, *model, "-o", converted], "`path` must be new: nothing is overwritten"),
        ([checkpoint, *model, "-o", tmp_path / "no" / "x.keras"], "`path` must be in a folder that exists"),
        (
            [checkpoint, *model, "-o", tmp_path / "x.h5"],
            "a .safetensors file is turned into a .keras file, or",
        ),
        (
            [tmp_path / "x.pth", *model, "-o", output],
            "a .safetensors file is turned into a .keras file, or back",
        ),
        ([tmp_path / "none.safetensors", *model, "-o", output], "argument FILE: "),
        ([tmp_path / "cut.safetensors", *model, "-o", output], "`weights` must be an undamaged .safetensors"),
        (
            [checkpoint, *model, "--class-names", tmp_path / "two.txt", "-o", output],
            "`class_names` must be as many different names as there are classes",
        ),
        (
            [checkpoint, *model, "--class-names", tmp_path / "no.txt", "-o", output],
            "argument --class-names: cannot read",
        ),
        ([tmp_path / "none.keras", "-o", tmp_path / "x.safetensors"], "argument FILE: "),
        ([converted, *model, "-o", tmp_path / "x.safetensors"], "argument --model: not for a .keras file"),
        ([tmp_path / "small.keras", "-o", tmp_path / "x.safetensors"], "`model` must be of stem='imagenet'"),
    ):
        assert error_of(capsys, command).startswith(text)
        assert sorted(tmp_path.iterdir()) == before
