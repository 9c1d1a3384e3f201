"""A trained model in the forms that run without Keras and this package, one file a format."""

from keras_sknet.export.onnx import export_onnx as export_onnx
from keras_sknet.export.openvino import export_openvino as export_openvino
from keras_sknet.export.saved_model import export_saved_model as export_saved_model
from keras_sknet.export.tflite import export_tflite as export_tflite
from keras_sknet.export.verify import verify_export as verify_export
