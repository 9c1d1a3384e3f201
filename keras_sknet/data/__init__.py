"""Images to train on: sources know what an element is, the pipeline in which order they come."""

from keras_sknet.data.digits import Digits as Digits
from keras_sknet.data.pipeline import batches as batches
