"""What works off TensorFlow, which cannot even be imported there, and that it means the same."""

import importlib.util
import json

import numpy as np
import pytest

import keras_sknet
from checks import images, randomize, relative_difference
from nets import tiny

# Loads the files that TensorFlow wrote and leaves its own answers beside them.
SCRIPT = """
import sys
sys.modules["tensorflow"] = None  # an import of it fails

import json
from pathlib import Path

import keras
import numpy as np

import keras_sknet
from nets import BRANCHES, tiny

folder, backend = Path(sys.argv[1]), sys.argv[2]
assert keras.backend.backend() == backend
x = np.load(folder / "images.npy")
answers = {}

for path in folder.glob("*.keras"):
    model = keras.saving.load_model(path)
    answers[f"{path.stem} logits"] = model.predict(x, batch_size=2, verbose=0)
    if path.stem.startswith("SK"):
        for unit, a in keras_sknet.attention_scores(model, x, batch_size=2).items():
            answers[f"{path.stem} {unit}"] = a
np.savez(folder / f"{backend}.npz", **answers)

counts = json.loads((folder / "complexity.json").read_text())
for name, expected in counts.items():
    assert list(keras_sknet.complexity(tiny(name))[:5]) == expected, name

features = np.random.default_rng(0).normal(size=(2, 8, 8, 8)).astype("float32")
block = {"branches": BRANCHES, "min_units": 4}
for layer, shape in [
    (keras_sknet.GroupedConv2D(4, 3, strides=2, dilation_rate=2, groups=4), (2, 4, 4, 4)),
    (keras_sknet.GroupedConv2D(8, (2, 3), padding="same", groups=8), (2, 8, 8, 8)),
    (keras_sknet.BatchNormalization(), (2, 8, 8, 8)),
    (keras_sknet.ConvNormAct(4, 3, strides=2, groups=2), (2, 4, 4, 4)),
    (keras_sknet.SelectiveKernel(4, split_input=True, **block), (2, 8, 8, 4)),
    (keras_sknet.SqueezeExcite(2), (2, 8, 8, 8)),
    (keras_sknet.Stem(4, padding="torch"), (2, 2, 2, 4)),
    (keras_sknet.ResNeXtBottleneck(8, 4, cardinality=2), (2, 8, 8, 8)),
    (keras_sknet.SEBottleneck(16, 4, strides=2, cardinality=2), (2, 4, 4, 16)),
    (keras_sknet.SKBottleneck(16, 4, strides=2, **block), (2, 4, 4, 16)),
    (keras_sknet.SKBasicBlock(16, 4, strides=2), (2, 4, 4, 16)),
    (keras_sknet.ImageNormalization((0.5,) * 8, (0.5,) * 8), (2, 8, 8, 8)),
]:
    assert tuple(layer(features, training=True).shape) == layer.compute_output_shape((2, 8, 8, 8)) == shape
    twin = keras.layers.deserialize(keras.layers.serialize(layer))
    twin(features)
    twin.set_weights(layer.get_weights())
    y, z = (keras.ops.convert_to_numpy(each(features, training=False)) for each in (layer, twin))
    assert np.isfinite(y).all() and np.array_equal(y, z), layer.name

model = tiny()
levels = keras_sknet.feature_pyramid(model)(x)
assert {level: tuple(y.shape[1:3]) for level, y in levels.items()} == {
    "P2": (8, 8), "P3": (4, 4), "P4": (2, 2), "P5": (1, 1)
}

keras_sknet.freeze_stages(model, 4)
before = model.get_weights()
model.compile("sgd", "sparse_categorical_crossentropy")
model.fit(x, np.arange(len(x)) % 5, epochs=2, batch_size=len(x), verbose=0)
changed = {True: set(), False: set()}
for old, new, weight in zip(before, model.get_weights(), model.weights, strict=True):
    frozen = weight.path.startswith(("stem", "sk_2", "sk_3", "sk_4"))
    changed[frozen].add(not np.array_equal(old, new))
assert changed == {True: {False}, False: {True}}, changed

mixed = keras_sknet.in_precision(model, "mixed_bfloat16")
mixed.compile("sgd", "sparse_categorical_crossentropy")
mixed.fit(x, np.arange(len(x)) % 5, batch_size=len(x), verbose=0)
assert np.isfinite(model.predict(x, verbose=0)).all()  # whose arrays the other one must not have given away

for file in ("own.keras", "own.weights.h5"):
    model.save(folder / file) if file.endswith(".keras") else model.save_weights(folder / file)
    twin = tiny(weights=folder / file)
    assert all(map(np.array_equal, twin.get_weights(), model.get_weights())), file

try:
    with keras_sknet.ops.convolution_path("native"):
        raise AssertionError("TensorFlow's path was taken without TensorFlow")
except ValueError as error:
    assert "`path` must be 'auto' or 'keras' off the TensorFlow backend" in str(error)
assert sys.modules["tensorflow"] is None and not any(name.startswith("tensorflow.") for name in sys.modules)
print("passed")
"""
# Networks whose files are written, and their depths: JAX needs seconds to compile a block.
FILES = {"SKNet50": (1, 2, 1), "SENet50": (1, 1, 1)}
SEVEN = ("SKNet26", "SKNet50", "SKNet101", "ResNeXt50", "ResNeXt101", "SENet50", "SENet101")


@pytest.mark.slow  # compiles every block
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_all_but_the_exports_works_and_files_of_tensorflow_mean_the_same(
    backend, run_python, require, tmp_path
):
    package = {"jax": "JAX", "torch": "PyTorch"}[backend]
    require(importlib.util.find_spec(backend), package)
    x = images(4, (32, 32, 3))
    np.save(tmp_path / "images.npy", x)
    expected = {}
    for name, depths in FILES.items():
        model = tiny(name, classifier_activation=None, depths=depths)
        randomize(model)
        model.save(tmp_path / f"{name}.keras")
        expected[f"{name} logits"] = model.predict(x, verbose=0)
        if name.startswith("SK"):
            scores = keras_sknet.attention_scores(model, x)
            expected.update({f"{name} {unit}": a for unit, a in scores.items()})
    counts = {name: keras_sknet.complexity(tiny(name))[:5] for name in SEVEN}
    (tmp_path / "complexity.json").write_text(json.dumps(counts))

    # Compiled in half the time, to slower code.
    flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    environment = {"KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "", "XLA_FLAGS": flags}
    printed = run_python(SCRIPT, tmp_path, backend, **environment)
    assert printed.splitlines()[-1] == "passed"
    with np.load(tmp_path / f"{backend}.npz", allow_pickle=False) as answers:
        assert set(answers) == set(expected) and len(expected) == len(FILES) + 4
        for name, y in expected.items():
            assert relative_difference(answers[name], y) < 1e-5, name
