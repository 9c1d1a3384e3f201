"""A trained model in the forms that run without Keras and this package, one file a format."""

from keras_sknet.export.saved_model import export_saved_model as export_saved_model
from keras_sknet.export.tflite import export_tflite as export_tflite
