"""The precision that a model computes in."""

from keras_sknet.models.graph import is_graph
from keras_sknet.models.rebuild import rebuild_layer, rebuild_model
from keras_sknet.validation import one_of

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def in_precision(model, policy):
    """Makes a model compute as if it had been built under another dtype policy.

    A model that was trained in mixed precision is exported in float32, and one that was saved in float32
    trained further in mixed precision. The weights are float32 all the while.

    Args:
        model: Functional or built sequential `keras.Model`.
        policy: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`. Layers of other dtypes stay as they are,
            and so do those of float32 in a model that has layers of mixed precision.

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
    if is_graph(model):
        names = policies_inside(model)
        if policy == "float32" and names <= {"float32"}:
            return model
        # What is float32 in a model of mixed precision is so on purpose.
        replaced = names - {"float32"} or {"float32"}
    else:
        replaced = set()  # and refused
    return rebuild_model(
        model, lambda layer: rebuild_layer(layer, _with_policy(layer.get_config(), replaced, policy))
    )


def policies_inside(model):
    """Names those of the policies `"float32"`, `"mixed_bfloat16"` and `"mixed_float16"` that layers have.

    Args:
        model: Functional or built sequential `keras.Model`.

    Returns:
        Set of strings.

    Example:

    ```python
    from keras_sknet.models.precision import policies_inside

    policies_inside(keras_sknet.SKNetSmall())  # {"float32"}
    ```
    """
    return _policy_names([layer.get_config() for layer in model.layers])


def _policy_names(config):
    """Those of `POLICIES` that are in a config, at whatever depth."""
    if _is_policy(config):
        return {config["config"]["name"]}
    parts = config.values() if isinstance(config, dict) else config
    return set().union(*map(_policy_names, parts)) if isinstance(config, (dict, list, tuple)) else set()


def _with_policy(config, replaced, policy):
    """A config in which `policy` stands, at whatever depth, in place of policies of the names `replaced`."""
    if _is_policy(config) and config["config"]["name"] in replaced:
        return {**config, "config": {"name": policy}}
    if isinstance(config, dict):
        return {key: _with_policy(value, replaced, policy) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_with_policy(value, replaced, policy) for value in config)
    return config


def _is_policy(config):
    is_one = isinstance(config, dict) and config.get("class_name") == "DTypePolicy"
    return is_one and config["config"]["name"] in POLICIES
