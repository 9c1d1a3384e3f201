"""A server that people run serves the exported model: BentoML, as a process on loopback."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from checks import images, randomize
from keras_sknet.data import decode, evaluation_transform
from keras_sknet.export import export_saved_model
from nets import tiny

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "serve"


@pytest.fixture
def serve(tmp_path):
    """`serve(SavedModel)`: the address of a server that is ready."""
    processes = []

    def serve(saved):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        environment = {"MODEL": str(saved), "BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"}
        command = [sys.executable, "-m", "bentoml", "serve", "bento_service:Sknet", "--port", port]
        command += ["--host", "127.0.0.1", "--working-dir", str(EXAMPLES)]
        process = subprocess.Popen(command, env={**os.environ, **environment}, cwd=tmp_path)
        processes.append(process)
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + 120
        while not answers(f"{url}/readyz"):
            assert process.poll() is None and time.monotonic() < end, "BentoML does not start"
            time.sleep(0.5)
        return url

    yield serve
    for process in processes:
        process.terminate()
        assert process.wait(timeout=60) == 0


def answers(url):
    try:
        with urllib.request.urlopen(url) as response:
            return response.status == 200
    except OSError:
        return False


def post(url, file):
    """Sends a file as a web form does."""
    head = b'--X\r\nContent-Disposition: form-data; name="image"; filename="x.jpg"\r\n\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=X"}
    request = urllib.request.Request(url, head + file + b"\r\n--X--\r\n", kind)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


@pytest.mark.slow
def test_bentoml_serves_it(serve, require, tmp_path):
    require(importlib.util.find_spec("bentoml"), "BentoML")
    model = tiny(class_names=list("abcde"))
    randomize(model)
    export_saved_model(model, tmp_path / "saved")
    url = f"{serve(tmp_path / 'saved')}/classify"
    transform = evaluation_transform(model)
    for image in images(3, (60, 45, 3)).astype("uint8"):
        file = tf.io.encode_jpeg(image).numpy()
        want = model(transform(decode(file))[None], training=False)[0].numpy()
        got = post(url, file)
        assert list(got) == ["abcde"[i] for i in np.argsort(-want)]
        np.testing.assert_allclose([got[name] for name in "abcde"], want, rtol=1e-4)
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(url, b"no image")
    with caught.value as error:
        assert error.code == 400 and "must be JPEG or PNG files" in json.load(error)[0]["error"]
