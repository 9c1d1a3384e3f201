"""What an export must know besides numbers: the names of the classes, and how images are prepared."""

import json

from keras_sknet.export.labels import final_classifier
from keras_sknet.layers import ImageNormalization
from keras_sknet.ops._private import flatten_layers


def metadata(model):
    """Describes a model in strings, which every format can carry.

    Args:
        model: `keras.Model`.

    Returns:
        Dictionary of strings: `class_names`, a JSON list, if the model's `Classifier` has names; and
        `crop_fraction` and `interpolation` of evaluation if the model includes its preprocessing.

    Example:

    ```python
    from keras_sknet.export.metadata import metadata

    found = metadata(keras_sknet.SKNetSmall(class_names=list("0123456789")))
    assert found["class_names"] == '["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]'
    ```
    """
    found = {}
    classifier = final_classifier(model)
    if classifier is not None and classifier.class_names:
        found["class_names"] = json.dumps(list(classifier.class_names), ensure_ascii=False)
    for layer in flatten_layers(model):
        if isinstance(layer, ImageNormalization):
            found |= {"crop_fraction": str(layer.crop_fraction), "interpolation": layer.interpolation}
            break
    return found
