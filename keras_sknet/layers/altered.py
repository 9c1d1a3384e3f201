"""What Keras has done to the weights of a layer."""


def has_altered_kernel(layer):
    """Whether a layer computes with more than its variable `kernel`: it is quantized, or has LoRA.

    Example:

    ```python
    from keras_sknet.layers.altered import has_altered_kernel

    dense = keras.layers.Dense(4)
    dense.build((1, 4))
    dense.quantize("int8")
    assert has_altered_kernel(dense)
    ```
    """
    return bool(getattr(layer, "quantization_mode", None) or getattr(layer, "lora_enabled", False))
