import keras
import numpy as np

from checks import images, randomize, relative_difference
from keras_sknet.layers import BatchNormalization, record_attention
from keras_sknet.ops._private import flatten_layers
from nets import tiny


def test_a_randomized_network_depends_on_everything():
    # How far attention spreads depends on the kernels, too: 19 of 24 networks reach both bounds below.
    keras.utils.set_random_seed(1)
    model = tiny(classifier_activation=None)
    randomize(model, seed=1)
    x = images(8, (32, 32, 3), seed=2)
    with record_attention() as scores:
        logits = model(x, training=False)
    assert relative_difference(logits[:4], logits[4:]) > 0.1
    for attention in map(np.asarray, scores.values()):
        assert attention.min() < 0.1 and attention.max() > 0.9
        assert attention.std(axis=0).mean() > 0.03  # it differs between images
    for norm in flatten_layers(model):
        if isinstance(norm, BatchNormalization):
            assert norm.momentum == 0.9
            for weight in norm.weights:
                assert np.asarray(weight).std() > 0.01
