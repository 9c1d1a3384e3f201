import importlib.util
import os
import shutil
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest

from checks import images, relative_difference
from keras_sknet.export import export_saved_model
from nets import tiny

tf = pytest.importorskip("tensorflow")

PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <tensorflow/c/c_api.h>

static void check(TF_Status* status) {
  if (TF_GetCode(status) == TF_OK) return;
  fprintf(stderr, "%s\n", TF_Message(status));
  exit(1);
}

/* MODEL INPUT OUTPUT BATCH SIDE: float images from stdin, outputs of six classes to stdout. */
int main(int argc, char** argv) {
  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  const char* tags[] = {"serve"};
  TF_Session* session = TF_LoadSessionFromSavedModel(TF_NewSessionOptions(), NULL, argv[1], tags, 1, graph,
                                                     NULL, status);
  check(status);
  int64_t batch = atoi(argv[4]), side = atoi(argv[5]), shape[] = {batch, side, side, 3};
  size_t bytes = batch * side * side * 3 * sizeof(float);
  TF_Tensor* images = TF_AllocateTensor(TF_FLOAT, shape, 4, bytes);
  if (fread(TF_TensorData(images), 1, bytes, stdin) != bytes) return 2;
  TF_Output input = {TF_GraphOperationByName(graph, argv[2]), 0};
  TF_Output output = {TF_GraphOperationByName(graph, argv[3]), 0};
  TF_Tensor* result = NULL;
  TF_SessionRun(session, NULL, &input, &images, 1, &output, &result, 1, NULL, 0, NULL, status);
  check(status);
  fwrite(TF_TensorData(result), 1, TF_TensorByteSize(result), stdout);
  return 0;
}
"""


def test_it_runs_from_c(exported, require, tmp_path):
    model, folder = exported
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    require(compiler, "a C compiler")
    library = tf.sysconfig.get_lib()
    libraries = [f"{library}/libtensorflow_cc.so.2", f"{library}/libtensorflow_framework.so.2"]
    require(all(map(os.path.exists, libraries)), "TensorFlow's libraries for Linux")
    (tmp_path / "run.c").write_text(PROGRAM)
    command = [compiler, "run.c", "-o", "run", f"-I{tf.sysconfig.get_include()}", *libraries]
    subprocess.run([*command, f"-Wl,-rpath,{library}"], cwd=tmp_path, check=True)

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
    signature = meta.signature_def["serving_default"]
    tensors = [signature.inputs["images"], signature.outputs["output_0"]]
    names = [tensor.name.removesuffix(":0") for tensor in tensors]
    for batch in (1, 8):
        x = images(batch, (32, 32, 3))
        command = [tmp_path / "run", folder, *names, str(batch), "32"]
        output = subprocess.run(command, input=x.tobytes(), capture_output=True, check=True).stdout
        got = np.frombuffer(output, "float32").reshape(batch, 6)
        assert relative_difference(got, model(x, training=False)) < 1e-5


@pytest.fixture
def warmup_requests(require):
    """`warmup_requests(folder of a SavedModel)`: the requests in it, as TensorFlow Serving's own messages."""
    require(importlib.util.find_spec("tensorflow_serving"), "tensorflow-serving-api")
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    def warmup_requests(folder):
        path = folder / "assets.extra" / "tf_serving_warmup_requests"
        records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
        messages = [PredictionLog.FromString(record) for record in records]
        # Nothing but fields that these messages have, in their canonical form.
        assert [message.SerializeToString(deterministic=True) for message in messages] == records
        return [message.predict_log.request for message in messages]

    return warmup_requests


def test_warmup_requests_are_those_of_tensorflow_serving(exported, warmup_requests):
    _, folder = exported
    requests = warmup_requests(folder)
    served = tf.saved_model.load(str(folder)).signatures
    assert [request.model_spec.signature_name for request in requests] == [
        "serving_default",
        "classify_jpeg",
        "features",
    ]
    assert {request.model_spec.name for request in requests} == {"default"}
    for request in requests:
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        outputs = served[request.model_spec.signature_name](**inputs)
        assert {len(output) for output in outputs.values()} == {1}


def test_warmup_requests_have_a_size_where_the_model_has_none(warmup_requests, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        # Their package is not needed to write them.
        patch.setitem(sys.modules, "tensorflow_serving", None)
        export_saved_model(tiny(input_shape=(None, 48, 3), depths=(1, 1, 1)), tmp_path / "x", size=300)
    floats, file, _ = (list(request.inputs.values())[0] for request in warmup_requests(tmp_path / "x"))
    assert tf.make_ndarray(floats).shape == (1, 300, 48, 3)
    assert tf.io.decode_jpeg(file.string_val[0]).shape == (300, 48, 3)


def test_a_fixed_batch_size_stays(warmup_requests, tmp_path):
    inputs = keras.Input(batch_shape=(3, 32, 32, 3))
    model = keras.Model(inputs, tiny(depths=(1, 1, 1))(inputs))
    export_saved_model(model, tmp_path / "x")
    served = tf.saved_model.load(str(tmp_path / "x")).signatures
    requests = {request.model_spec.signature_name: request for request in warmup_requests(tmp_path / "x")}
    assert set(requests) == {"serving_default", "classify_jpeg"}
    for name, request in requests.items():
        ((key, value),) = request.inputs.items()
        outputs = served[name](**{key: tf.constant(tf.make_ndarray(value))})
        assert {len(output) for output in outputs.values()} == {3}


def test_a_model_without_images_has_no_warmup(tmp_path):
    export_saved_model(keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]), tmp_path / "x")
    assert os.listdir(tmp_path / "x" / "assets.extra") == ["metadata.json"]


def dense():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])


def test_versions_stand_side_by_side(exported, tmp_path):
    _, folder = exported
    assert folder.name == "3" and os.listdir(folder.parent) == ["3"]
    base = tmp_path / "models"
    export_saved_model(dense(), str(base), version=1)
    export_saved_model(dense(), base, version=np.int64(12))
    assert sorted(os.listdir(base)) == ["1", "12"]
    assert tf.saved_model.contains_saved_model(str(base / "12"))
    with pytest.raises(ValueError, match="`path` must be new: nothing is overwritten. Received: path='.*/1'"):
        export_saved_model(dense(), base, version=1)


def test_a_server_that_watches_sees_a_version_whole(tmp_path):
    """TensorFlow Serving looks at a model's folder again and again: what has a number is a version."""
    base, seen, done = tmp_path / "models", [], threading.Event()
    base.mkdir()

    def files():
        return frozenset(path.name for path in base.glob("[0-9]*/**/*"))

    def watch():
        while not done.is_set():
            seen.append(files())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        export_saved_model(dense(), base, version=2)
    finally:
        done.set()
        watcher.join()
    assert len(seen) > 20 and set(seen) <= {frozenset(), files()} and len(files()) > 3


def test_a_failure_leaves_neither_version_nor_folder(tmp_path):
    bad = keras.Sequential([keras.Input((8, 8, 8)), keras.layers.Conv2D(8, 3, groups=4)])
    with pytest.raises(ValueError, match="XLA"):
        export_saved_model(bad, tmp_path / "models", version=1)
    assert os.listdir(tmp_path) == []
    (tmp_path / "models").mkdir()
    with pytest.raises(ValueError, match="XLA"):
        export_saved_model(bad, tmp_path / "models", version=1)
    assert os.listdir(tmp_path) == ["models"] and os.listdir(tmp_path / "models") == []


def test_the_folder_of_versions_must_be_one(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="`path` must be a folder, or new, with a `version`.*file'"):
        export_saved_model(dense(), tmp_path / "file", version=1)
    with pytest.raises(ValueError, match="`path` must be in a folder that exists.*missing/models'"):
        export_saved_model(dense(), tmp_path / "missing" / "models", version=1)
