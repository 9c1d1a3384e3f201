"""Training: recipes say how, `fit` does it."""

from keras_sknet.optimizers import SGD as SGD
from keras_sknet.optimizers import Schedule as Schedule
from keras_sknet.training.averages import averaged_weights as averaged_weights
from keras_sknet.training.best import keep_model as keep_model
from keras_sknet.training.curves import draw_curves as draw_curves
from keras_sknet.training.curves import write_history as write_history
from keras_sknet.training.evaluation import accuracy_by_scale as accuracy_by_scale
from keras_sknet.training.fit import fit as fit
from keras_sknet.training.interrupt import GentleInterrupt as GentleInterrupt
from keras_sknet.training.progress import ProgressBar as ProgressBar
from keras_sknet.training.recipe import Recipe as Recipe
from keras_sknet.training.recipes import CIFAR as CIFAR
from keras_sknet.training.recipes import CIFAR_COSINE as CIFAR_COSINE
from keras_sknet.training.recipes import DIGITS as DIGITS
from keras_sknet.training.recipes import FINETUNE as FINETUNE
from keras_sknet.training.recipes import FINETUNE_HEAD as FINETUNE_HEAD
from keras_sknet.training.recipes import IMAGENET as IMAGENET
from keras_sknet.training.recipes import IMAGENET_COSINE as IMAGENET_COSINE
from keras_sknet.training.recipes import RECIPES as RECIPES
from keras_sknet.training.strategy import mirrored_strategy as mirrored_strategy
from keras_sknet.training.transfer import finetune as finetune
