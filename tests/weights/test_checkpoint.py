import json
import struct

import numpy as np
import pytest
from ml_dtypes import bfloat16
from safetensors.numpy import save_file

from hub_folder import CONFIG
from keras_sknet.weights.checkpoint import Settings, read_settings, read_tensors, write_tensors

TENSORS = {
    "conv1.weight": np.random.default_rng(0).normal(size=(4, 3, 7, 7)).astype("float32"),
    "fc.bias": np.arange(5, dtype="float32"),
}


@pytest.fixture
def path(tmp_path):
    save_file(TENSORS, tmp_path / "net.safetensors", {"format": "pt"})
    return tmp_path / "net.safetensors"


def test_tensors_come_as_they_are(path):
    found = read_tensors(path)
    assert found.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(found[name], array)


def test_bfloat16_can_be_read(path):
    header = json.dumps({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    data = np.array([1, 2.5], bfloat16).tobytes()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    np.testing.assert_array_equal(read_tensors(path)["a"].astype("float32"), [1, 2.5])


def test_without_a_description_settings_are_as_timm_does_it(path):
    assert read_settings(path) == Settings(stem_padding="torch")


def test_settings_follow_the_description_beside_the_file(path):
    described = {**CONFIG, "label_names": list("abcde")}
    path.with_name("config.json").write_text(json.dumps(described))
    expected = Settings(
        stem_padding="torch",
        normalization={
            "mean": [0.5, 0.4, 0.3],
            "std": [0.3, 0.2, 0.1],
            "crop_fraction": 0.95,
            "interpolation": "bilinear",
        },
        class_names=tuple("abcde"),
        tag="ra_in1k",
        license="apache-2.0",
    )
    assert read_settings(path) == expected
    # As timm wrote it once.
    path.with_name("config.json").write_text(
        json.dumps({**CONFIG["pretrained_cfg"], "label_names": list("abcde"), "interpolation": "lanczos"})
    )
    flat = read_settings(path)
    assert flat == expected._replace(normalization={**expected.normalization, "interpolation": "lanczos3"})


def test_settings_travel_inside_a_file_of_ours(path, tmp_path):
    settings = Settings(
        "same", {"mean": [0.1, 0.2, 0.3], "crop_fraction": 0.5}, ("cat", "Gänseblümchen"), "x", "mit"
    )
    written = tmp_path / "ours.safetensors"
    path.with_name("config.json").write_text(json.dumps(CONFIG))
    write_tensors(written, TENSORS, settings)
    assert read_settings(written) == settings
    np.testing.assert_array_equal(read_tensors(written)["fc.bias"], TENSORS["fc.bias"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '{"pretrained_cfg": 3}',
        '{"pretrained_cfg": {"mean": "no"}}',
        '{"pretrained_cfg": {"mean": [0.5], "std": [0]}}',
        '{"pretrained_cfg": {"crop_pct": 2}}',
        '{"pretrained_cfg": {"interpolation": ["bicubic"]}}',
        '{"pretrained_cfg": {"interpolation": "hamming"}}',
        '{"stem_padding": 3}',
        "[" * 100_000,
        '{"pretrained_cfg": {"mean": [NaN, 1, 1]}}',
    ],
    ids=lambda text: text[:40],
)
def test_a_damaged_description_is_named(text, path):
    config = path.with_name("config.json")
    config.write_text(text)
    with pytest.raises(ValueError, match="`weights` must be weights whose description") as caught:
        read_settings(path)
    assert f"Received: weights={str(path)!r}; {str(config)!r} says otherwise" in str(caught.value)


def damaged(whole):
    """{name: contents} of files that are no longer whole."""
    (length,) = struct.unpack("<Q", whole[:8])
    found = {
        "empty": b"",
        "random": bytes(range(256)) * 20,
        "pickle": b"\x80\x04\x95" + whole,
        "head": whole[:8],
        "short": whole[:-1],
        "long": whole + b"x",
        "huge header": struct.pack("<Q", 2**62) + whole[8:],
        "header of the whole file": struct.pack("<Q", len(whole)) + whole[8:],
        "no header": struct.pack("<Q", 0) + whole[8:],
        "unknown dtype": whole.replace(b'"F32"', b'"F33"'),
        "not of NumPy": whole.replace(b'"F32"', b'"U32"').replace(b'"U32"', b'"X32"', 1),
        "other shape": whole.replace(b"[5]", b"[6]"),
    }
    found |= {f"cut at {n}": whole[:n] for n in (1, length // 2, length + 8, len(whole) // 2)}
    for position in range(8, length + 8, 7):
        content = bytearray(whole)
        content[position] ^= 0x80
        found[f"flipped at {position}"] = bytes(content)
    return found


def test_a_damaged_file_is_named(path):
    for name, content in damaged(path.read_bytes()).items():
        path.write_bytes(content)
        for read in (read_tensors, read_settings):
            with pytest.raises(ValueError) as caught:
                read(path)
            text = str(caught.value)
            assert text.startswith("`weights` must be an undamaged .safetensors file. Received: "), name
            assert f"weights={str(path)!r}" in text and len(text) < 600, name
