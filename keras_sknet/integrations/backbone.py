"""What the backbones of other packages have in common: the network that they are made of."""

import keras

from keras_sknet.ops._private import flatten_layers


def freeze_as_made(backbone, trainable):
    """Freezes what is inside a backbone's frozen layers, or all of it.

    A layer made from the config of a frozen one is frozen, but the layers inside it are not.

    Args:
        backbone: Functional `keras.Model`.
        trainable: Boolean. `False` freezes all.
    """
    for layer in backbone.layers:
        if not (trainable and layer.trainable):
            for inner in flatten_layers(layer):
                inner.trainable = False


def network_config(backbone):
    """Returns the config of a backbone's network, of which Keras makes a new one."""
    model = keras.Model(backbone.input, backbone.output, name=backbone.name)
    return keras.saving.serialize_keras_object(model)
