"""Weights of other packages, read into a built model and back."""

from keras_sknet.weights.timm import load_timm as load_timm
from keras_sknet.weights.timm import to_timm as to_timm
