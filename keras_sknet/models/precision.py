"""The precision that a model computes in."""

from keras_sknet.models.rebuild import is_graph, rebuild_layer, rebuild_model
from keras_sknet.validation import one_of

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def in_precision(model, policy):
    """Makes a model compute as if it had been built under another dtype policy.

    A model that was trained in mixed precision is exported in float32, and one that was saved in float32
    trained further in mixed precision. The weights are float32 all the while.

    Args:
        model: Functional or built sequential `keras.Model`.
        policy: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`. Layers of other dtypes stay as they are.

    Returns:
        A new `keras.Model` with weights of its own, or `model` itself where all is float32 and is to be.

    Raises:
        ValueError: for another policy, or a model that cannot be rebuilt.

    Example:

    ```python
    model = keras_sknet.in_precision(keras_sknet.SKNetSmall(), "mixed_bfloat16")
    model.layers[-1].dtype_policy.name  # "float32": a classifier always is
    ```
    """
    one_of("policy", policy, POLICIES)
    if policy == "float32" and is_graph(model):
        configs = [layer.get_config() for layer in model.layers]
        if configs == [_with_policy(config, policy) for config in configs]:
            return model
    return rebuild_model(model, lambda layer: rebuild_layer(layer, _with_policy(layer.get_config(), policy)))


def _with_policy(config, policy):
    """The config of a layer with every policy in it, at whatever depth, replaced."""
    if isinstance(config, (list, tuple)):
        return type(config)(_with_policy(value, policy) for value in config)
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy" and config["config"]["name"] in POLICIES:
        return {**config, "config": {"name": policy}}
    return {key: _with_policy(value, policy) for key, value in config.items()}
