import collections
import json
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_sknet
from checks import randomize
from keras_sknet.export import export_saved_model
from nets import tiny

NAMES = ("cat", "blue tit", "Gänseblümchen", "dog", "ox", "yak")


@pytest.fixture(scope="module")
def network():
    """Small enough to be converted often; it knows its preprocessing, as the networks of the package do."""
    keras.utils.set_random_seed(0)
    pixels = keras_sknet.layers.ImageNormalization()
    dense = keras.layers.Dense(5, "softmax", kernel_initializer="glorot_normal")
    return keras.Sequential([keras.Input((32, 32, 3)), pixels, keras.layers.Flatten(), dense])


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A network of six named classes that returns logits, and its SavedModel: version 3 in its folder."""
    model = tiny(depths=(1, 1, 1), classes=6, class_names=NAMES, classifier_activation=None)
    randomize(model)
    path = tmp_path_factory.mktemp("models") / "birds"
    export_saved_model(model, path, version=3)
    return model, path / "3"


# Keras and this package cannot be imported, and XLA is off for good, as in a model server. Each graph runs in
# a session, as servers do it and Grappler rewrites it, and as a function.
SERVER = """
import json, pathlib, sys
sys.modules.update(dict.fromkeys(["keras", "keras_sknet"]))
import ctypes, numpy as np, tensorflow as tf

def save(path, outputs):
    arrays = {name: np.asarray(value) for name, value in outputs.items()}
    np.savez(path, **{name: a.astype("S") if a.dtype == object else a for name, a in arrays.items()})

xla, *folders = json.loads(sys.argv[1])
if not xla:
    library = ctypes.CDLL(str(pathlib.Path(tf.sysconfig.get_lib(), "libtensorflow_cc.so.2")))
    getattr(library, "_ZN10tensorflow21DisableXlaCompilationEv")()
for folder in map(pathlib.Path, folders):
    calls = {path.parent: dict(np.load(path)) for path in folder.glob("*/inputs.npz")}
    served = tf.saved_model.load(str(folder / "saved")).signatures
    for call, inputs in calls.items():
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        save(call / "function.npz", served[call.name](**tensors))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(folder / "saved"))
        for call, inputs in calls.items():
            signature = meta.signature_def[call.name]
            def run(inputs):
                feed = {signature.inputs[name].name: value for name, value in inputs.items()}
                return session.run({name: tensor.name for name, tensor in signature.outputs.items()}, feed)
            save(call / "session.npz", run(inputs))
            save(call / "one.npz", run({name: value[:1] for name, value in inputs.items()}))
"""


@pytest.fixture
def serve(run_python, tmp_path):
    """`serve({path of a SavedModel: {signature: {name: array}}})`: each one's outputs by signature, thrice
    (as a function, in a session, in a session of the first image alone), computed by one process that has
    TensorFlow alone and no XLA.
    """

    def serve(models, xla=False):
        folders = []
        for path, calls in models.items():
            folder = Path(tempfile.mkdtemp(dir=tmp_path))
            (folder / "saved").symlink_to(path)
            for signature, inputs in calls.items():
                (folder / signature).mkdir()
                np.savez(folder / signature / "inputs.npz", **inputs)
            folders.append(folder)
        run_python(SERVER, json.dumps([xla, *map(str, folders)]))
        kinds = ("function", "session", "one")
        return [
            {call: tuple(dict(np.load(folder / call / f"{kind}.npz")) for kind in kinds) for call in calls}
            for folder, calls in zip(folders, models.values(), strict=True)
        ]

    return serve


Delegation = collections.namedtuple("Delegation", "operators partitions whole")


@pytest.fixture
def litert():
    """`litert(path)`: LiteRT's interpreter of a file, and what its default delegate took of it.

    `.operators` counts the file's operators, `.partitions` the delegate's; `.whole` tells whether one
    partition holds every operator that the outputs depend on.
    """
    interpreters = pytest.importorskip("ai_edge_litert.interpreter")

    def litert(path):
        interpreter = interpreters.Interpreter(str(path), num_threads=2)
        interpreter.allocate_tensors()
        # Not public, and the only way to see this; its own test is test_the_check_of_partitions_bites.
        details = interpreter._get_ops_details()
        partitions = [operator for operator in details if operator["op_name"] == "DELEGATE"]
        operators = [operator for operator in details if operator["op_name"] != "DELEGATE"]
        made = {index for operator in operators for index in operator["outputs"]}
        inputs, outputs = (
            [tensor["index"] for tensor in tensors]
            for tensors in (interpreter.get_input_details(), interpreter.get_output_details())
        )
        whole = (
            len(partitions) == 1
            and set(inputs) <= set(partitions[0]["inputs"])
            and not made & set(partitions[0]["inputs"])
            and sorted(partitions[0]["outputs"]) == sorted(outputs)
        )
        counts = collections.Counter(operator["op_name"] for operator in operators)
        return interpreter, Delegation(counts, len(partitions), whole)

    return litert
