"""The same SavedModel behind BentoML, for those who do not run TensorFlow Serving.

pip install bentoml
MODEL="$PWD/models/sknet/1" bentoml serve bento_service:Sknet --working-dir examples/serve
curl -F "image=@photo.jpg" localhost:3000/classify
"""

import os
from pathlib import Path

import bentoml
import tensorflow as tf


@bentoml.service(traffic={"timeout": 60})
class Sknet:
    def __init__(self):
        self.model = tf.saved_model.load(os.environ["MODEL"])
        self.classify_jpeg = self.model.signatures["classify_jpeg"]

    @bentoml.api
    def classify(self, image: Path) -> dict[str, float]:
        """Names and scores of the five likeliest classes, best first."""
        try:
            outputs = self.classify_jpeg(image_bytes=tf.constant([image.read_bytes()]))
        except tf.errors.InvalidArgumentError as error:
            raise bentoml.exceptions.InvalidArgument(error.message) from error
        classes, scores = (outputs[name][0].numpy().tolist() for name in ("classes", "scores"))
        return {name.decode(): score for name, score in zip(classes, scores, strict=True)}
