"""The clients of examples/serve against a stand-in for TensorFlow Serving."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

from checks import images, randomize
from keras_sknet.data import decode, evaluation_transform
from keras_sknet.export import export_saved_model
from nets import tiny

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples" / "serve"
NAMES = ("cat", "blue tit", "Gänseblümchen", "dog", "ox", "yak")
CLIENTS = {"rest_client": "rest", "grpc_client": "grpc"}


@pytest.fixture(scope="module", autouse=True)
def serving_api(require):
    require(importlib.util.find_spec("tensorflow_serving"), "tensorflow-serving-api")


@pytest.fixture(scope="module")
def model():
    model = tiny(depths=(1, 1, 1), classes=6, class_names=NAMES, classifier_activation=None)
    randomize(model)
    return model


@pytest.fixture(scope="module")
def start(model, tmp_path_factory):
    """`start()`: a stand-in's process that serves the model as "birds", and its addresses."""
    folder, processes = tmp_path_factory.mktemp("served") / "birds", []
    export_saved_model(model, folder, version=2)

    def start():
        command = [sys.executable, ROOT / "tests" / "serve_standin.py", folder, "birds"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        ports = json.loads(process.stdout.readline())
        return process, {"rest": f"http://127.0.0.1:{ports['rest']}", "grpc": f"127.0.0.1:{ports['grpc']}"}

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def addresses(start):
    return start()[1]


@pytest.fixture(scope="module")
def clients():
    """{name: module} of the clients, imported as scripts in one folder import each other."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        return {name: importlib.import_module(name) for name in ("client", *CLIENTS)}
    finally:
        sys.path.remove(str(EXAMPLES))


def jpegs(count):
    return [tf.io.encode_jpeg(x).numpy() for x in images(count, (60, 45, 3)).astype("uint8")]


def by_keras(model, files):
    """[[(name, score), …], …]"""
    transform = evaluation_transform(model)
    logits = model(tf.stack([transform(decode(file)) for file in files]), training=False)
    return [
        [(NAMES[i], float(row[i])) for i in np.argsort(-row)[:5]] for row in tf.nn.softmax(logits).numpy()
    ]


def assert_same(got, want):
    for answer, expected in zip(got, want, strict=True):
        assert [name for name, _ in answer] == [name for name, _ in expected]
        np.testing.assert_allclose([x for _, x in answer], [x for _, x in expected], rtol=1e-4)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_gets_what_keras_computes(name, model, addresses, clients):
    predict = clients[name].make_predict(addresses[CLIENTS[name]], "birds")
    files = jpegs(9)
    want = by_keras(model, files)
    assert len({answer[0] for answer in want}) > 2
    assert_same(predict(files), want)
    assert_same(predict(files[:1]), want[:1])


@pytest.mark.parametrize("name", CLIENTS)
def test_one_bad_file_costs_no_other_its_answer(name, model, addresses, clients):
    predict = clients[name].make_predict(addresses[CLIENTS[name]], "birds")
    files = jpegs(4)
    sizes = []

    def counted(files):
        sizes.append(len(files))
        return predict(files)

    answers = clients["client"].classify(counted, [files[0], b"no image", files[1], files[2][:-9], files[3]])
    assert_same([answers[i] for i in (0, 2, 4)], by_keras(model, [files[0], files[1], files[3]]))
    assert all(isinstance(answers[i], clients["client"].Refused) for i in (1, 3))
    assert "Others are at these indices of the batch:] [0]" in str(answers[1])
    assert "Invalid JPEG data" in str(answers[3])
    # The batch, each good one, and the bad ones thrice.
    assert sizes == [5, 1, 1, 1, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("name", CLIENTS)
def test_what_is_no_fault_of_the_files_is_raised(name, addresses, clients):
    with pytest.raises(Exception, match="404|NOT_FOUND") as caught:
        clients[name].make_predict(addresses[CLIENTS[name]], "fish")(jpegs(1))
    assert not isinstance(caught.value, clients["client"].Refused)


def test_a_file_alone_is_tried_again(clients):
    """A server that batches may refuse it for a neighbour's sake."""
    answers = iter([None, None, [[("cat", 1.0)]]])

    def predict(files):
        if (answer := next(answers)) is None:
            raise clients["client"].Refused("somebody else's")
        return answer

    assert clients["client"].classify(predict, [b"good"]) == [[("cat", 1.0)]]


@pytest.mark.parametrize("name, flags", [("rest_client", ["-S", "-E"]), ("grpc_client", [])])
def test_a_client_is_a_command(name, flags, addresses, tmp_path):
    # Without site-packages the REST client has Python alone.
    (tmp_path / "a.jpg").write_bytes(jpegs(1)[0])
    (tmp_path / "b.jpg").write_bytes(b"no image")
    command = [sys.executable, *flags, EXAMPLES / f"{name}.py", "--server", addresses[CLIENTS[name]]]
    command += ["--model", "birds", tmp_path / "a.jpg", tmp_path / "b.jpg"]
    process = subprocess.run([*map(str, command)], capture_output=True, text=True, encoding="utf-8")
    assert process.returncode == 0, process.stderr[-2000:]
    first, second = process.stdout.splitlines()
    assert first.startswith(f"{tmp_path / 'a.jpg'}: ") and len(re.findall(r"[\w ]+ 0\.\d{3}", first)) == 5
    assert second.startswith(f"{tmp_path / 'b.jpg'}: refused: ") and "JPEG or PNG" in second


def get(url):
    with urllib.request.urlopen(url) as response:
        return json.load(response)


def test_status_and_metadata(addresses):
    url = f"{addresses['rest']}/v1/models/birds"
    (status,) = get(url)["model_version_status"]
    assert (status["version"], status["state"]) == ("2", "AVAILABLE")
    metadata = get(f"{url}/versions/2/metadata")
    assert metadata["model_spec"] == {"name": "birds", "signature_name": "", "version": "2"}
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "classify_jpeg", "features"} <= set(signatures)
    image_bytes = signatures["classify_jpeg"]["inputs"]["image_bytes"]
    assert image_bytes["dtype"] == "DT_STRING" and image_bytes["tensor_shape"]["dim"][0]["size"] == "-1"


def test_float_images_by_rest(model, addresses):
    x = images(2, (32, 32, 3))
    body = json.dumps({"instances": x.tolist()}).encode()
    request = urllib.request.Request(f"{addresses['rest']}/v1/models/birds:predict", body)
    with urllib.request.urlopen(request) as response:
        got = json.load(response)["predictions"]
    np.testing.assert_allclose(got, model(x, training=False), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "path, body, status, message",
    [
        ("birds:predict", {"instances": []}, 400, "JSON Value"),
        (
            "birds:predict",
            {"instances": [{"b64": "!"}], "signature_name": "classify_jpeg"},
            400,
            "JSON Value",
        ),
        ("birds:predict", {"instances": [{"x": 1}]}, 400, "input tensor alias not found in signature"),
        ("birds:predict", {"instances": [1], "signature_name": "x"}, 400, 'name: "x" not found'),
        ("birds/versions/1:predict", {"instances": [1]}, 404, "Servable not found"),
        ("birds:classify", {}, 404, "Malformed request"),
    ],
)
def test_bad_requests(path, body, status, message, addresses):
    request = urllib.request.Request(f"{addresses['rest']}/v1/models/{path}", json.dumps(body).encode())
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as error:
        assert error.code == status and message in json.load(error)["error"]


def test_the_configuration_has_the_fields_of_tensorflow_serving():
    from tensorflow_serving.config import model_server_config_pb2

    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((EXAMPLES / "models.config").read_text(), config)
    (only,) = config.model_config_list.config
    assert only.base_path == f"/models/{only.name}"
    readme = (EXAMPLES / "README.md").read_text()
    assert only.name in readme
    for file in EXAMPLES.glob("*.*"):
        assert file.name in readme or file.name in ("README.md", "client.py")


def resident(pid):
    """Megabytes of memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def load_for(seconds, predicts, files, want):
    """Every client asks without a pause; returns the numbers of their answers, and their errors."""
    counts, errors, end = [0] * len(predicts), [], time.monotonic() + seconds

    def ask(number, predict):
        try:
            while time.monotonic() < end:
                first = counts[number] % (len(files) - 2)
                assert_same(predict(files[first : first + 2]), want[first : first + 2])
                counts[number] += 1
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, args=item) for item in enumerate(predicts)]
    for thread in threads:
        thread.start()
    return counts, errors, threads


@pytest.mark.slow
def test_eight_clients_for_a_minute(model, start, clients, require):
    require(Path("/proc/self/statm").exists(), "Linux's /proc")
    process, addresses = start()
    predicts = [
        clients[name].make_predict(addresses[kind], "birds")
        for name, kind in CLIENTS.items()
        for _ in range(4)
    ]
    files = jpegs(12)
    want = by_keras(model, files)
    counts, errors, threads = load_for(60, predicts, files, want)
    time.sleep(20)
    before = resident(process.pid)
    for thread in threads:
        thread.join()
    print(
        f"{sum(counts)} requests of two files, {resident(process.pid) - before:+.1f} MB after the 20th second"
    )
    assert errors == [] and min(counts) > 20
    assert resident(process.pid) - before < 20


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIENTS)
def test_it_stops_without_losing_a_request(name, model, start, clients):
    process, addresses = start()
    predict = clients[name].make_predict(addresses[CLIENTS[name]], "birds")
    # Little to send, and seconds to decode.
    pixels = tf.image.resize(images(1, (60, 60, 3)), (4000, 4000), "nearest")[0]
    files = [tf.io.encode_png(tf.cast(pixels, tf.uint8)).numpy()] * 30
    answers = []
    thread = threading.Thread(target=lambda: answers.append(predict(files)))
    thread.start()
    time.sleep(0.5)
    assert thread.is_alive()
    process.send_signal(signal.SIGTERM)
    thread.join()
    assert_same(answers[0], by_keras(model, files[:1]) * 30)
    assert process.wait(timeout=60) == 0
    with pytest.raises(Exception, match="refused|UNAVAILABLE"):
        predict(files[:1])
