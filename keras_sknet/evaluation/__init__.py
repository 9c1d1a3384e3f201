"""How good a classifier is: every image counted once, in numbers, tables and a picture."""

from keras_sknet.evaluation.evaluate import evaluate as evaluate
from keras_sknet.evaluation.evaluate import label_map as label_map
from keras_sknet.evaluation.figures import draw_confusion as draw_confusion
from keras_sknet.evaluation.files import write_evaluation as write_evaluation
from keras_sknet.evaluation.result import ClassResult as ClassResult
from keras_sknet.evaluation.result import Evaluation as Evaluation
