import collections
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest

# Keras and this package cannot be imported, and XLA is off for good, as in a model server. Each graph runs in
# a session, as servers do it, and as a function.
SERVER = """
import json, pathlib, sys
sys.modules.update(dict.fromkeys(["keras", "keras_sknet"]))
import ctypes, numpy as np, tensorflow as tf

xla, *folders = json.loads(sys.argv[1])
if not xla:
    library = ctypes.CDLL(str(pathlib.Path(tf.sysconfig.get_lib(), "libtensorflow_cc.so.2")))
    getattr(library, "_ZN10tensorflow21DisableXlaCompilationEv")()
for folder in map(pathlib.Path, folders):
    inputs = dict(np.load(folder / "inputs.npz"))
    served = tf.saved_model.load(str(folder / "saved")).signatures["serving_default"]
    outputs = served(**{name: tf.constant(value) for name, value in inputs.items()})
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(folder / "saved"))
        signature = meta.signature_def["serving_default"]
        def run(inputs):
            feed = {signature.inputs[name].name: value for name, value in inputs.items()}
            return session.run({name: tensor.name for name, tensor in signature.outputs.items()}, feed)
        many, one = run(inputs), run({name: value[:1] for name, value in inputs.items()})
    np.savez(folder / "function.npz", **outputs)
    np.savez(folder / "session.npz", **many)
    np.savez(folder / "one.npz", **one)
"""


@pytest.fixture
def serve(run_python, tmp_path):
    """`serve({path of a SavedModel: {name: array}})`: the outputs of each, thrice (as a function, in a
    session, in a session of the first image alone), computed by one process that has TensorFlow alone and
    no XLA.
    """

    def serve(models, xla=False):
        folders = []
        for path, inputs in models.items():
            folder = Path(tempfile.mkdtemp(dir=tmp_path))
            (folder / "saved").symlink_to(path)
            np.savez(folder / "inputs.npz", **inputs)
            folders.append(folder)
        run_python(SERVER, json.dumps([xla, *map(str, folders)]))
        return [
            tuple(dict(np.load(folder / f"{kind}.npz")) for kind in ("function", "session", "one"))
            for folder in folders
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
