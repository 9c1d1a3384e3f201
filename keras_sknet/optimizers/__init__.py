"""What trains: known to Keras as soon as the package is imported, so that compiled models load."""

from keras_sknet.optimizers.schedule import Schedule as Schedule
from keras_sknet.optimizers.sgd import SGD as SGD
