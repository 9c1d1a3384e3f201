"""What `weights` of a network takes, and what follows them."""

import json

import keras
import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save_file

import keras_sknet
from checks import images, randomize
from hub_folder import COMMIT, CONFIG, add_repository
from keras_sknet.weights import to_timm
from keras_sknet.weights.hub import file_checksum
from keras_sknet.weights.published import PUBLISHED
from nets import BRANCHES, tiny

SETTINGS = {
    "mean": (0.5, 0.4, 0.3),
    "std": (0.3, 0.2, 0.1),
    "crop_fraction": 0.95,
    "interpolation": "bilinear",
}
LICENCE = f"Weights: {PUBLISHED['SKNet50']}, licence: apache-2.0\n"


@pytest.fixture(scope="module")
def trained():
    """A network as timm's are, with weights by which it can be known."""
    model = tiny(stem_padding="torch")
    randomize(model)
    return model


@pytest.fixture
def machine(tmp_path, monkeypatch, trained):
    """A machine without network, with weights in the hub's cache; returns the folder of what is kept."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    add_repository(tmp_path / "hub", PUBLISHED["SKNet50"], to_timm(trained))
    return tmp_path / "keras" / "keras_sknet"


def assert_loaded(model, trained, without_top=False):
    expected = trained.get_weights()[: -2 if without_top else None]
    for got, want in zip(model.get_weights()[: len(expected)], expected, strict=True):
        np.testing.assert_array_equal(got, want)


def settings(model):
    config = model.get_layer("normalization").get_config()
    return {name: config[name] for name in SETTINGS}


def test_imagenet_is_fetched_converted_kept_and_followed(machine, trained, capsys):
    model = tiny(weights="imagenet")
    assert capsys.readouterr().out == LICENCE
    assert_loaded(model, trained)
    assert model.get_layer("stem").padding == "torch" and settings(model) == SETTINGS
    (kept,) = machine.iterdir()
    assert kept.name.startswith("skresnext50_32x4d.ra_in1k-")
    before = (kept / "model.weights.h5").stat()
    again = tiny(weights="imagenet")
    assert (kept / "model.weights.h5").stat() == before  # not converted again
    assert_loaded(again, trained)
    x = images(2, (32, 32, 3))
    np.testing.assert_array_equal(again(x), model(x))


@pytest.mark.slow
def test_a_second_process_finds_what_the_first_kept(machine, run_python, tmp_path):
    code = "from nets import tiny\nmodel = tiny(weights='imagenet'); print(model.get_layer('stem').padding)"
    tiny(weights="imagenet")
    (kept,) = machine.rglob("*.weights.h5")
    written = kept.stat().st_mtime_ns
    hub, home = str(tmp_path / "hub"), str(tmp_path / "keras")
    printed = run_python(code, HF_HUB_CACHE=hub, HF_HUB_OFFLINE="1", KERAS_HOME=home)
    assert printed == LICENCE + "torch\n"
    assert kept.stat().st_mtime_ns == written


def test_damaged_kept_weights_are_made_anew(machine, trained, capsys):
    tiny(weights="imagenet")
    (kept,) = machine.rglob("*.weights.h5")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-7])
    capsys.readouterr()
    assert_loaded(tiny(weights="imagenet"), trained)
    assert f"{str(kept)!r} is damaged" in capsys.readouterr().out
    assert kept.stat().st_size == len(whole)


def test_kept_weights_of_another_version_are_made_anew(machine, trained):
    tiny(weights="imagenet")
    (kept,) = machine.rglob("*.weights.h5")
    tiny("ResNeXt50").save_weights(kept)
    kept.with_name(f"{kept.name}.sha256").write_text(file_checksum(kept))
    assert_loaded(tiny(weights="imagenet"), trained)


def test_a_damaged_download_is_named_and_nothing_is_kept(machine, tmp_path):
    (blob,) = {path.resolve() for path in (tmp_path / "hub").rglob("model.safetensors")}
    content = bytearray(blob.read_bytes())
    content[-5] ^= 1
    blob.write_bytes(content)
    with pytest.raises(ValueError, match=f"`weights` must be the file that the hub has.*{blob}"):
        tiny(weights="imagenet")
    assert not machine.exists()


def test_a_download_that_does_not_fit_is_named_by_its_tensor(machine, tmp_path, trained):
    with pytest.raises(
        ValueError, match=r"`weights` must be a file that fits.*model\.safetensors.*layer1\.0\.conv1"
    ):
        tiny(weights="imagenet", widths=(16, 8, 16, 16))
    assert list(machine.iterdir()) == []


@pytest.mark.parametrize("name", [f"timm/other.x_in1k@{COMMIT}", "timm/other.x_in1k@v1", "timm/other.x_in1k"])
def test_any_tag_and_revision_can_be_named(name, machine, trained, tmp_path, capsys):
    config = {"num_classes": 5, "pretrained_cfg": {"tag": "x_in1k"}}
    for branch in ("main", "v1"):
        add_repository(tmp_path / "hub", "timm/other.x_in1k", to_timm(trained), config, branch=branch)
    model = tiny("SKNet26", weights=name)
    assert_loaded(model, trained)
    assert "timm/other.x_in1k, licence: not stated in their config.json" in capsys.readouterr().out
    assert settings(model)["mean"] == (0.485, 0.456, 0.406)


def test_offline_without_the_file_is_one_clear_error(machine):
    with pytest.raises(
        FileNotFoundError, match="Cannot get model.safetensors of 'timm/none.x', revision 'main'"
    ):
        tiny(weights="timm/none.x")


def test_other_classes_and_no_top_keep_the_rest(machine, trained, tmp_path, capsys):
    trained.save(tmp_path / "net.keras")
    trained.save_weights(tmp_path / "net.weights.h5")
    save_file(to_timm(trained), tmp_path / "net.safetensors")
    for weights in (
        "imagenet",
        *(tmp_path / f"net{end}" for end in (".safetensors", ".keras", ".weights.h5")),
    ):
        capsys.readouterr()
        model = tiny(weights=weights, classes=7, class_names=list("abcdefg"))
        assert_loaded(model, trained, without_top=True)
        assert model.output_shape == (None, 7)
        assert (
            "The classifier of model 'sknet50' is new: the weights' is for 5 classes."
            in capsys.readouterr().out
        )
        trunk = tiny(weights=weights, include_top=False, pooling="max")
        assert_loaded(trunk, trained, without_top=True)
        assert "is new" not in capsys.readouterr().out


def test_a_bare_checkpoint_is_taken_for_timms(trained, tmp_path, capsys):
    save_file(to_timm(trained), tmp_path / "net.safetensors")
    model = tiny(weights=tmp_path / "net.safetensors")
    assert_loaded(model, trained)
    assert model.get_layer("stem").padding == "torch"
    assert settings(model) == settings(tiny())
    assert capsys.readouterr().out == ""


def test_a_keras_file_is_followed_and_a_file_of_weights_says_nothing(trained, tmp_path):
    names = tuple("abcde")
    model = tiny(stem_padding="torch", class_names=names)
    model.set_weights(trained.get_weights())
    model.save(tmp_path / "net.keras")
    model.save_weights(tmp_path / "net.weights.h5")
    copy = tiny(weights=tmp_path / "net.keras")
    assert copy.get_layer("stem").padding == "torch" and copy.get_layer("predictions").class_names == names
    assert tiny(weights=tmp_path / "net.keras", classes=3).get_layer("predictions").class_names is None
    plain = tiny(weights=tmp_path / "net.weights.h5")
    assert plain.get_layer("stem").padding == "same" and plain.get_layer("predictions").class_names is None


def test_what_the_user_says_goes_before_what_the_weights_say(machine, trained):
    model = tiny(weights="imagenet", stem_padding="same", class_names=list("vwxyz"))
    assert model.get_layer("stem").padding == "same"
    assert model.get_layer("predictions").class_names == tuple("vwxyz")
    assert_loaded(model, trained)


def test_thousand_classes_get_the_names_of_imagenet(machine, tmp_path):
    full = tiny(stem_padding="torch", classes=1000)
    add_repository(tmp_path / "hub", PUBLISHED["SKNet50"], to_timm(full), {**CONFIG, "num_classes": 1000})
    names = tiny(weights="imagenet", classes=1000).get_layer("predictions").class_names
    assert names[386] == "African elephant" and len(set(names)) == 1000
    assert tiny(weights="imagenet", classes=5).get_layer("predictions").class_names is None
    # A checkpoint of nobody knows what has none.
    save_file(to_timm(full), tmp_path / "net.safetensors")
    assert (
        tiny(weights=tmp_path / "net.safetensors", classes=1000).get_layer("predictions").class_names is None
    )


def test_without_preprocessing_and_behind_other_layers(machine, trained):
    bare = tiny(weights="imagenet", include_preprocessing=False)
    assert_loaded(bare, trained)
    x = images(2, (32, 32, 3))
    prepared = keras_sknet.preprocess_input(x, mean=SETTINGS["mean"], std=SETTINGS["std"])
    np.testing.assert_allclose(bare(prepared), tiny(weights="imagenet")(x), atol=1e-5)

    inputs = keras.Input((64, 64, 1))
    grown = keras.layers.Conv2D(3, 3, strides=2, padding="same")(inputs)
    model = tiny(weights="imagenet", input_tensor=grown, input_shape=None)
    assert model.inputs[0] is inputs and model.count_params() == trained.count_params() + 30
    np.testing.assert_array_equal(
        model.get_layer("predictions").kernel, trained.get_layer("predictions").kernel
    )


@pytest.mark.parametrize("policy", ["bfloat16", pytest.param("float64", marks=pytest.mark.slow)])
def test_what_is_kept_loses_nothing_whatever_the_policy(policy, machine, trained):
    keras.config.set_dtype_policy(policy)
    model = tiny(weights="imagenet")
    assert keras.config.dtype_policy().name == policy
    assert model.get_layer("predictions").kernel.dtype == keras.config.dtype_policy().variable_dtype
    keras.config.set_dtype_policy("float32")
    assert_loaded(tiny(weights="imagenet"), trained)


def test_a_checkpoint_without_its_classifier_is_for_a_network_without_top(trained, tmp_path):
    tensors = {name: array for name, array in to_timm(trained).items() if not name.startswith("fc.")}
    save_file(tensors, tmp_path / "net.safetensors")
    assert_loaded(tiny(weights=tmp_path / "net.safetensors", include_top=False), trained, without_top=True)
    with pytest.raises(ValueError, match=r"`weights` must be a file that fits.*fc\.weight is missing"):
        tiny(weights=tmp_path / "net.safetensors")


def test_a_broken_checkpoint_gives_no_network(trained, tmp_path):
    path = tmp_path / "net.safetensors"
    save_file(to_timm(trained), path)
    whole = path.read_bytes()
    for content in (b"", whole[:-3], whole[:100], b"\xff" * 200):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"`weights` must be an undamaged .safetensors file.*{path}"):
            tiny(weights=path)
    path.write_bytes(whole)
    path.with_name("config.json").write_text(json.dumps({"pretrained_cfg": {"mean": "?"}}))
    with pytest.raises(ValueError, match="whose description is timm's.*config.json.*mean"):
        tiny(weights=path)


@pytest.mark.parametrize("name", ["net.bin", "net.pth", "pytorch_model.bin", "timm/x.pt"])
def test_pickles_are_refused_unread(name, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\x80\x04.")
    for weights in (path, str(path)):
        with pytest.raises(
            ValueError, match="`weights` must be a .safetensors file, not one of PyTorch's pickles"
        ):
            tiny(weights=weights)


def test_networks_without_published_weights_name_those_that_have(machine):
    with pytest.raises(
        ValueError, match="for SKNet26, of which no weights are published.*: SKNet50, SKResNet18"
    ):
        tiny("SKNet26", weights="imagenet")
    assert set(PUBLISHED) <= set(vars(keras_sknet.models))


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_network_loads_what_timm_has_of_it(name, machine, tmp_path):
    trained = tiny(name, stem_padding="torch")
    add_repository(tmp_path / "hub", PUBLISHED[name], to_timm(trained))
    assert_loaded(tiny(name, weights="imagenet"), trained)


def test_branches_of_ones_own_do_not_fit_published_weights(machine):
    with pytest.raises(ValueError, match=r"fits.*paths\.2\.conv\.weight is missing"):
        tiny(weights="imagenet", branches=(*BRANCHES, BRANCHES[0]))
