"""The networks as backbones of KerasHub's tasks; needs `pip install "keras_sknet[hub]"`."""

import keras

from keras_sknet.extras import import_extra
from keras_sknet.integrations.backbone import freeze_as_made, network_config
from keras_sknet.layers import Stem
from keras_sknet.models import feature_pyramid, in_precision
from keras_sknet.ops._private import flatten_layers
from keras_sknet.validation import require

# Not where it is used, as elsewhere: a class needs its base class at once.
keras_hub = import_extra("keras_hub")


# KerasCV's has the same name.
@keras.saving.register_keras_serializable("keras_sknet.keras_hub")
class SKNetBackbone(keras_hub.models.FeaturePyramidBackbone):
    """A network of this package as a KerasHub backbone, for classifiers, detectors and segmenters.

    It is the network itself without its top: the same layers, weights and preprocessing, with the outputs of
    its stages in `pyramid_outputs`. `ImageClassifier` takes any network, `RetinaNetBackbone` one with P3–P5,
    `DeepLabV3Backbone` one with P2 and P5: networks of four stages behind the ImageNet stem have them.

    A saved backbone, task or preset loads where this module is imported; a preset of a classifier, if that is
    an `SKNetImageClassifier`.

    Args:
        model: Functional `keras.Model`, one of this package's networks, with or without top. The backbone
            shares its layers.
        name: Name of the backbone. Defaults to the model's with `_backbone`.
        trainable: Boolean. `False` freezes all of it, `True` (default) leaves it as frozen as `model` is.
        dtype: Dtype policy, `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`, which heads take over.
            Another one than the model's makes a copy with weights of its own. Defaults to `None`, the
            model's.

    Input shape:
        The model's: with `include_preprocessing` raw RGB images, 0–255.

    Output shape:
        The last stage's, `(batch, height / 32, width / 32, filters[-1])`.

    Raises:
        ValueError: if the model has no stem and blocks of this package, for another dtype, and in saving one
            that `quantize` has changed.
        ImportError: if KerasHub is not installed, when this module is imported.

    Example:

    ```python
    import keras_hub
    from keras_sknet.integrations.keras_hub import SKNetBackbone

    network = keras_sknet.SKNet26(include_top=False, input_shape=(64, 64, 3))
    backbone = SKNetBackbone(network)
    pyramid = keras_hub.models.RetinaNetBackbone(backbone, min_level=3, max_level=5, use_p5=False)
    detector = keras_hub.models.RetinaNetObjectDetector(pyramid, num_classes=4, bounding_box_format="xyxy")
    ```
    """

    def __init__(self, model, name=None, trainable=True, dtype=None):
        levels = feature_pyramid(model).output
        # That of the model itself is the one under which it was put together, whatever its layers have.
        own = next(layer.dtype_policy for layer in model.layers if isinstance(layer, Stem))
        policy = own if dtype is None else keras.dtype_policies.get(dtype)
        if policy.name != own.name:
            model = in_precision(model, policy.name)
            levels = feature_pyramid(model).output
        super().__init__(
            inputs=model.input,
            outputs=levels[max(levels)],
            name=name or f"{model.name}_backbone",
            trainable=trainable,
            dtype=policy,
        )
        self.image_shape = model.input_shape[1:]
        self.pyramid_outputs = levels
        freeze_as_made(self, trainable)

    def get_config(self):
        quantized = [layer.path for layer in flatten_layers(self) if layer.quantization_mode]
        require(not quantized, "backbone", "one that is not quantized, to be saved", layers=quantized)
        return {**super().get_config(), "model": network_config(self)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "model": keras.saving.deserialize_keras_object(config["model"])})


@keras.saving.register_keras_serializable("keras_sknet.keras_hub")
class SKNetImageClassifier(keras_hub.models.ImageClassifier):
    """KerasHub's `ImageClassifier` of an `SKNetBackbone`, by which `from_preset` finds what has become of it.

    Args:
        backbone: `SKNetBackbone`.
        num_classes: Integer.
        **kwargs: `pooling`, `activation`, `preprocessor` and others of `keras_hub.models.ImageClassifier`.

    Input shape:
        The backbone's.

    Output shape:
        `(batch, num_classes)`, logits where `activation` is not given.

    Raises:
        ValueError: for an argument that cannot work.
        ImportError: if KerasHub is not installed, when this module is imported.

    Example:

    ```python
    import keras_hub
    from keras_sknet.integrations.keras_hub import SKNetBackbone, SKNetImageClassifier

    network = keras_sknet.SKNetSmall()
    classifier = SKNetImageClassifier(SKNetBackbone(network), num_classes=4)
    classifier.save_to_preset("preset")
    same = keras_hub.models.ImageClassifier.from_preset("preset")
    ```
    """

    backbone_cls = SKNetBackbone
