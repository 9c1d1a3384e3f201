import numpy as np


def accuracy_by_scale(model, digits, drawn=None):
    """Measures the accuracy of a model on `Digits`, over all and at each scale.

    Args:
        model: `keras.Model` with a score for each class.
        digits: `keras_sknet.data.Digits`.
        drawn: What `digits.arrays` returned. Defaults to `None`: they are drawn here.

    Returns:
        Accuracy, and `{scale: accuracy}`.

    Example:

    ```python
    from keras_sknet.data import Digits
    from keras_sknet.training import accuracy_by_scale

    accuracy, by_scale = accuracy_by_scale(keras_sknet.SKNetSmall(), Digits("test"))
    by_scale[2.0]  # about 0.1, untrained
    ```
    """
    images, labels = digits.arrays() if drawn is None else drawn
    right = np.argmax(model.predict(images, batch_size=64, verbose=0), axis=-1) == labels
    by_scale = {scale: float(right[digits.element_scales == scale].mean()) for scale in digits.scales}
    return float(right.mean()), by_scale
