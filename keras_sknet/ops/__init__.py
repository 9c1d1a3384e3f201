"""Functions on tensors: the only part of the package that knows the backend or the device."""

from keras_sknet.ops.grouped_conv import grouped_conv as grouped_conv
from keras_sknet.ops.paths import convolution_path as convolution_path
