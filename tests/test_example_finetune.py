import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

import keras_sknet
from checks import randomize

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "examples" / "finetune_pretrained.py"


@pytest.fixture
def folder(tmp_path):
    """Weights that stand in for timm's, and twenty pictures of each of two classes."""
    model = keras_sknet.SKNet50(input_shape=(64, 64, 3), stem_padding="torch")
    randomize(model)
    save_file(keras_sknet.to_timm(model), tmp_path / "net.safetensors")
    rng = np.random.default_rng(0)
    for name, shade in (("dark", 60), ("light", 190)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(20):
            image = np.clip(shade + rng.normal(0, 30, (80, 100, 3)), 0, 255)
            keras.utils.save_img(tmp_path / "images" / name / f"{number}.jpg", image, scale=False)
    return tmp_path


@pytest.mark.slow
def test_fine_tunes_frozen_stages_and_exports(folder):
    command = (SCRIPT, folder / "images", "--weights", folder / "net.safetensors", "--output", folder / "out")
    process = subprocess.run(
        [sys.executable, *map(str, command), "--epochs", "1", "--size", "64"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert "is new: the weights' is for 1000 classes" in process.stdout
    assert "Held-out images: " in process.stdout
    written = {path.name for path in (folder / "out").iterdir()}
    assert written == {"model.keras", "model.tflite", "saved_model"}
    tuned = keras.models.load_model(folder / "out" / "model.keras")
    start = keras_sknet.SKNet50(
        input_shape=(64, 64, 3), weights=folder / "net.safetensors", include_top=False
    )
    for name, same in (("stem", True), ("sk_4_6", True), ("sk_5_3", False)):
        pairs = zip(tuned.get_layer(name).get_weights(), start.get_layer(name).get_weights(), strict=True)
        assert all((a == b).all() for a, b in pairs) is same
    assert tuned.get_layer("predictions").class_names == ("dark", "light")


def test_is_under_forty_lines_of_code():
    lines = SCRIPT.read_text(encoding="utf-8").split('"""', 2)[2].splitlines()
    assert len([line for line in lines if line.strip()]) < 40
