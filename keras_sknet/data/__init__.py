"""Images: sources know what an element is, the pipeline the order, transforms how files become input."""

from keras_sknet.data.digits import Digits as Digits
from keras_sknet.data.pipeline import batches as batches
from keras_sknet.data.transforms import decode as decode
from keras_sknet.data.transforms import evaluation_transform as evaluation_transform
