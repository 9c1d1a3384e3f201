"""The networks as backbones of KerasCV's detectors and segmenters; needs `pip install "keras_sknet[cv]"`."""

import keras

from keras_sknet.extras import import_extra
from keras_sknet.integrations.backbone import freeze_as_made, network_config
from keras_sknet.models import feature_pyramid
from keras_sknet.models.graph import makers

# Not where it is used, as elsewhere: a class needs its base class at once.
keras_cv = import_extra("keras_cv")


@keras.saving.register_keras_serializable("keras_sknet")
class SKNetBackbone(keras_cv.models.Backbone):
    """A network of this package as a KerasCV backbone, for `RetinaNet`, `DeepLabV3Plus` and the like.

    It is the network itself without its top: the same layers, weights and preprocessing, with the names of
    the layers that end its stages in `pyramid_level_inputs`. `RetinaNet` needs P3–P5, `DeepLabV3Plus` P2 and
    P5: networks of four stages behind the ImageNet stem have them. Both take images whose height and width
    are multiples of 32.

    A saved backbone, detector or segmenter loads where this module is imported.

    Args:
        model: Functional `keras.Model`, one of this package's networks, with or without top. The backbone
            shares its layers.
        name: Name of the backbone. Defaults to the model's with `_backbone`.
        trainable: Boolean. `False` freezes all of it, `True` (default) leaves it as frozen as `model` is.

    Input shape:
        The model's: with `include_preprocessing` raw RGB images, 0–255.

    Output shape:
        The last stage's, `(batch, height / 32, width / 32, filters[-1])`.

    Raises:
        ValueError: if the model has no stem and blocks of this package.
        ImportError: if KerasCV is not installed, when this module is imported.

    Example:

    ```python
    import keras_cv
    from keras_sknet.integrations.keras_cv import SKNetBackbone

    network = keras_sknet.SKNet26(include_top=False, input_shape=(64, 64, 3))
    backbone = SKNetBackbone(network)
    segmenter = keras_cv.models.DeepLabV3Plus(backbone, num_classes=4)
    segmenter.output_shape  # (None, 64, 64, 4)
    ```
    """

    def __init__(self, model, name=None, trainable=True):
        pyramid = feature_pyramid(model)
        levels = pyramid.output
        super().__init__(
            inputs=model.input,
            outputs=levels[max(levels)],
            name=name or f"{model.name}_backbone",
            trainable=trainable,
        )
        made_by = makers(pyramid)
        self.pyramid_level_inputs = {level: made_by[id(x)].operation.name for level, x in levels.items()}
        freeze_as_made(self, trainable)

    def get_config(self):
        return {**super().get_config(), "model": network_config(self)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "model": keras.saving.deserialize_keras_object(config["model"])})
