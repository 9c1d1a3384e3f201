"""Training: recipes say how, `fit` does it."""

from keras_sknet.training.checkpoint import BestCheckpoint as BestCheckpoint
from keras_sknet.training.evaluation import accuracy_by_scale as accuracy_by_scale
from keras_sknet.training.fit import fit as fit
from keras_sknet.training.interrupt import GentleInterrupt as GentleInterrupt
from keras_sknet.training.recipe import DIGITS as DIGITS
from keras_sknet.training.recipe import Recipe as Recipe
from keras_sknet.training.sgd import SGD as SGD
