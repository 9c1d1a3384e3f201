"""Optional packages: imported where they are used, with an error that says how to install them."""

import importlib

# Import name: (name as one says it, extra of this package that installs it).
PACKAGES = {
    "sklearn": ("scikit-learn", "train"),
    "matplotlib": ("matplotlib", "train"),
    "scipy": ("SciPy", "train"),
    "jinja2": ("Jinja2", "train"),
    "tqdm": ("tqdm", "train"),
    "ai_edge_litert": ("ai-edge-litert", "litert"),
    "onnx": ("onnx", "onnx"),
    "tf2onnx": ("tf2onnx", "onnx"),
    "onnxruntime": ("onnxruntime", "onnx"),
    "openvino": ("openvino", "openvino"),
    "huggingface_hub": ("huggingface_hub", "pretrained"),
    "safetensors": ("safetensors", "pretrained"),
    "keras_cv": ("keras-cv", "cv"),
    "keras_hub": ("keras-hub", "hub"),
    "zeromodels": ("zeromodels", "tables"),
    "tensorflow_datasets": ("tensorflow-datasets", "tfds"),
}


def import_extra(module):
    """Imports a module of an optional package.

    Args:
        module: Dotted name of the module; its package is one of `PACKAGES`.

    Returns:
        The module.

    Raises:
        ImportError: if the package is not installed; it names the extra to install.
    """
    package, extra = PACKAGES[module.partition(".")[0]]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(f'{package} is not installed: pip install "keras_sknet[{extra}]"') from error
