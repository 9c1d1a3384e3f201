"""A stand-in for TensorFlow Serving, which it is not: no package index carries the real server's binary.

    python tests/serve_standin.py FOLDER NAME

It serves the highest version in FOLDER on loopback, prints the ports of REST and gRPC, and ends on SIGTERM
after the last request is answered. It speaks the same REST paths and JSON (row format) and is a real servicer
of `tensorflow-serving-api`. Like the real one it loads the SavedModel with TensorFlow alone and switches XLA
off, and answers the requests in `assets.extra` first. It does not batch.
"""

import base64
import concurrent.futures
import ctypes
import functools
import http.server
import json
import re
import signal
import sys
import threading
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

PATH = re.compile(r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+))?(?P<rest>/metadata|:predict|)")
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Refused(Exception):
    """A request that fails with a code of gRPC and one of HTTP."""

    def __init__(self, code, status, message):
        super().__init__(message)
        self.code, self.status = code, status


class Servable:
    """One version of a model."""

    def __init__(self, folder, name):
        self.version = max(int(path.name) for path in folder.iterdir() if path.name.isdigit())
        self.name, self.folder = name, folder / str(self.version)
        self._loaded = tf.saved_model.load(str(self.folder))
        warmup = [str(path) for path in self.folder.glob("assets.extra/tf_serving_warmup_requests")]
        for record in tf.data.TFRecordDataset(warmup):
            log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
            request = log.predict_log.request
            inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
            self.predict(name, None, request.model_spec.signature_name, inputs)

    def require(self, name, version):
        if name != self.name or int(version or self.version) != self.version:
            message = f"Servable not found for request: {'Specific' if version else 'Latest'}({name})"
            raise Refused(grpc.StatusCode.NOT_FOUND, 404, message)

    def predict(self, name, version, signature, inputs):
        """{output: array}"""
        self.require(name, version)
        function, specs = self._signature(signature)
        if set(inputs) != set(specs):
            message = f"input tensor alias not found in signature: {sorted(set(inputs) ^ set(specs))}"
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, 400, message)
        try:
            tensors = {key: tf.constant(value, specs[key].dtype) for key, value in inputs.items()}
            outputs = function(**tensors)
        except (tf.errors.InvalidArgumentError, ValueError, TypeError) as error:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, 400, str(error)) from error
        return {key: value.numpy() for key, value in outputs.items()}

    def inputs(self, signature):
        return list(self._signature(signature)[1])

    def _signature(self, name):
        name = name or "serving_default"
        if name not in self._loaded.signatures:
            message = f'Serving signature name: "{name}" not found in signature def'
            raise Refused(grpc.StatusCode.FAILED_PRECONDITION, 400, message)
        function = self._loaded.signatures[name]
        return function, function.structured_input_signature[1]

    @functools.cached_property
    def metadata(self):
        saved = saved_model_pb2.SavedModel.FromString((self.folder / "saved_model.pb").read_bytes())
        found = get_model_metadata_pb2.SignatureDefMap()
        for key, signature in saved.meta_graphs[0].signature_def.items():
            found.signature_def[key].CopyFrom(signature)
        return found


class Rest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10  # of a connection that is kept open without a request
    servable = None

    def do_GET(self):
        self._answer(None)

    def do_POST(self):
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body):
        status = 200
        try:
            content = self._content(body)
        except Refused as refused:
            status, content = refused.status, {"error": str(refused)}
        content = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _content(self, body):
        match = PATH.fullmatch(self.path)
        if not match or (match["rest"] == ":predict") != (body is not None):
            message = f"Malformed request: {self.command} {self.path}"
            raise Refused(grpc.StatusCode.NOT_FOUND, 404, message)
        self.servable.require(match["name"], match["version"])
        if match["rest"] == ":predict":
            return self._predict(match, body)
        if match["rest"] == "/metadata":
            options = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}
            signatures = json_format.MessageToDict(self.servable.metadata, **options)
            spec = {"name": match["name"], "signature_name": "", "version": str(self.servable.version)}
            return {"model_spec": spec, "metadata": {"signature_def": signatures}}
        status = {"error_code": "OK", "error_message": ""}
        version = {"version": str(self.servable.version), "state": "AVAILABLE", "status": status}
        return {"model_version_status": [version]}

    def _predict(self, match, body):
        try:
            request = json.loads(body)
            rows = [from_json(row) for row in request["instances"]]
            signature = request.get("signature_name")
            if not isinstance(rows[0], dict):
                (only,) = self.servable.inputs(signature)
                rows = [{only: row} for row in rows]
            inputs = {key: column([row[key] for row in rows]) for key in rows[0]}
        except (ValueError, KeyError, TypeError, IndexError) as error:
            message = f"JSON Value: {type(error).__name__} {error}"
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, 400, message) from error
        outputs = self.servable.predict(match["name"], match["version"], signature, inputs)
        columns = {key: to_json(value, key) for key, value in outputs.items()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return {"predictions": [list(row.values())[0] if len(row) == 1 else row for row in rows]}

    def log_message(self, format, *arguments):
        pass


def from_json(value):
    if isinstance(value, dict) and set(value) == {"b64"}:
        return base64.b64decode(value["b64"], validate=True)
    if isinstance(value, dict):
        return {key: from_json(item) for key, item in value.items()}
    return value


def column(values):
    # NumPy's own strings of bytes lose zeros at the end.
    return np.array(values, object if isinstance(values[0], bytes) else None)


def to_json(value, name):
    """Arrays as lists; bytes as text, or in base64 where the output's name says that they are none."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()} if name.endswith("_bytes") else value.decode()
    value = value.tolist() if isinstance(value, np.ndarray) else value
    return [to_json(item, name) for item in value] if isinstance(value, list) else value


class Grpc(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, servable):
        self.servable = servable

    def Predict(self, request, context):
        spec, servable = request.model_spec, self.servable
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        try:
            outputs = servable.predict(spec.name, spec.version.value, spec.signature_name, inputs)
        except Refused as refused:
            context.abort(refused.code, str(refused))
        response = predict_pb2.PredictResponse()
        response.model_spec.name, response.model_spec.version.value = spec.name, servable.version
        for key in request.output_filter or outputs:
            response.outputs[key].CopyFrom(tf.make_tensor_proto(outputs[key]))
        return response

    def GetModelMetadata(self, request, context):
        try:
            self.servable.require(request.model_spec.name, request.model_spec.version.value)
        except Refused as refused:
            context.abort(refused.code, str(refused))
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = self.servable.version
        response.metadata["signature_def"].Pack(self.servable.metadata)
        return response


class Server(http.server.ThreadingHTTPServer):
    # Threads that answer are waited for at the end.
    daemon_threads = False
    request_queue_size = 128


def main(folder, name):
    # Not even by accident.
    sys.modules.update(dict.fromkeys(["keras", "keras_sknet"]))
    library = ctypes.CDLL(str(Path(tf.sysconfig.get_lib(), "libtensorflow_cc.so.2")))
    library["_ZN10tensorflow21DisableXlaCompilationEv"]()
    servable = Servable(Path(folder), name)
    rest = Server(("127.0.0.1", 0), type("Handler", (Rest,), {"servable": servable}))
    service = grpc.server(concurrent.futures.ThreadPoolExecutor(8), options=UNLIMITED)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Grpc(servable), service)
    ports = {"rest": rest.server_port, "grpc": service.add_insecure_port("127.0.0.1:0")}
    service.start()

    def stop(number, frame):
        # `shutdown` waits for the loop that this signal interrupts.
        threading.Thread(target=rest.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    print(json.dumps(ports), flush=True)
    rest.serve_forever(poll_interval=0.05)
    rest.server_close()
    service.stop(grace=60).wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
