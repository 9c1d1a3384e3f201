"""Classifies image files by TensorFlow Serving's REST interface. Needs nothing but Python.

python examples/serve/rest_client.py --model sknet photo.jpg another.jpg
"""

import base64
import json
import urllib.error
import urllib.request

from client import SIGNATURE, Refused, main

TIMEOUT = 60


def make_predict(server, model):
    """Returns the function that sends files to `server`, e.g. `http://localhost:8501`."""
    url = f"{server}/v1/models/{model}:predict"

    def predict(files):
        instances = [{"image_bytes": {"b64": base64.b64encode(file).decode()}} for file in files]
        body = json.dumps({"signature_name": SIGNATURE, "instances": instances}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                predictions = json.load(response)["predictions"]
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 400:
                    raise
                raise Refused(json.load(error)["error"]) from error
        return [list(zip(answer["classes"], answer["scores"], strict=True)) for answer in predictions]

    return predict


if __name__ == "__main__":
    main(__doc__.splitlines()[0], "http://localhost:8501", make_predict)
