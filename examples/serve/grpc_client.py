"""Classifies image files by TensorFlow Serving's gRPC interface, which sends them as they are.

pip install tensorflow-serving-api
python examples/serve/grpc_client.py --model sknet photo.jpg another.jpg
"""

import grpc
import tensorflow as tf
from client import SIGNATURE, Refused, main
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

TIMEOUT = 60
# A request may hold more images than the 4 MB that gRPC expects.
OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def make_predict(server, model):
    """Returns the function that sends files to `server`, e.g. `localhost:8500`."""
    service = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(server, OPTIONS))

    def predict(files):
        request = predict_pb2.PredictRequest(output_filter=["classes", "scores"])
        request.model_spec.name, request.model_spec.signature_name = model, SIGNATURE
        request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(files))
        try:
            outputs = service.Predict(request, timeout=TIMEOUT).outputs
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
                raise
            raise Refused(error.details()) from error
        classes, scores = (tf.make_ndarray(outputs[name]).tolist() for name in ("classes", "scores"))
        return [
            [(name.decode(), score) for name, score in zip(*answer, strict=True)]
            for answer in zip(classes, scores, strict=True)
        ]

    return predict


if __name__ == "__main__":
    main(__doc__.splitlines()[0], "localhost:8500", make_predict)
