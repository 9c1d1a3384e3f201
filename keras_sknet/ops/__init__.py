"""Functions on tensors: the only part of the package that knows the backend or the device."""

from keras_sknet.ops.grouped_conv import convolution_path as convolution_path
from keras_sknet.ops.grouped_conv import grouped_conv as grouped_conv
