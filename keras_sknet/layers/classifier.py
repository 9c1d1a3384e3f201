import keras
import numpy as np

from keras_sknet.validation import activation_function, positive_integer, require


@keras.saving.register_keras_serializable("keras_sknet")
class Classifier(keras.layers.Dense):
    """The dense head of a network, which knows the names of its classes.

    It computes in the dtype of its weights whatever the policy: float32 under `mixed_float16` and
    `mixed_bfloat16`.

    Args:
        units: Integer, number of classes.
        activation: Activation function or name, `None` (default) for logits.
        class_names: Sequence of `units` strings, or `None` (default).
        **kwargs: Any other argument of `keras.layers.Dense`. `kernel_initializer` defaults to a normal
            distribution of standard deviation 0.01.

    Input shape:
        `(batch, features)`.

    Output shape:
        `(batch, units)`.

    Raises:
        ValueError: if `class_names` are not `units` different names.

    Example:

    ```python
    layer = keras_sknet.layers.Classifier(2, "softmax", class_names=("cat", "dog"))
    p = layer(keras.random.normal((4, 16)))  # (4, 2)
    ```
    """

    def __init__(self, units, activation=None, class_names=None, **kwargs):
        kwargs.setdefault("kernel_initializer", keras.initializers.RandomNormal(stddev=0.01))
        policy = kwargs.pop("dtype", None) or keras.config.dtype_policy()
        if isinstance(policy, dict):
            policy = keras.dtype_policies.deserialize(policy)
        units = positive_integer("units", units)
        activation = activation_function("activation", activation)
        super().__init__(units, activation, dtype=keras.dtype_policies.get(policy).variable_dtype, **kwargs)
        self.class_names = standardize_class_names(class_names, units)

    def build(self, input_shape):
        require(
            input_shape[-1] is not None,
            "inputs",
            f"of a known number of features for layer {self.name!r}",
            input_shape=tuple(input_shape),
        )
        super().build(input_shape)

    def get_config(self):
        return {**super().get_config(), "class_names": self.class_names}


def standardize_class_names(class_names, classes):
    """Returns `class_names` as a tuple of strings, or `None`, checked for so many `classes`."""
    if class_names is None:
        return None
    # A string is a sequence of letters.
    names = () if isinstance(class_names, str) or not np.iterable(class_names) else class_names
    names = tuple(str(name) for name in names)
    require(
        len(set(names)) == len(names) == classes,
        "class_names",
        "as many different names as there are classes",
        class_names=class_names,
        classes=classes,
    )
    return names
