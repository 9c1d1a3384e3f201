import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
README = ROOT / "README.md"

LITERT = ["ai-edge-litert>=2.2"]
ONNX = ["onnx>=1.17", "onnxruntime>=1.20", "tf2onnx>=1.17"]
OPENVINO = ["openvino>=2025.0"]
TRAIN = ["scikit-learn>=1.4", "matplotlib>=3.8", *LITERT, *ONNX, *OPENVINO]
SERVE = ["tensorflow-serving-api>=2.21"]
TEST = [*TRAIN, *SERVE, "jax", "pillow", "pytest>=9.0", "ruff>=0.15", "build>=1.2", "setuptools>=77"]


def version():
    # Read, not imported: the build environment has no Keras.
    source = (ROOT / "keras_sknet" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"$', source, re.MULTILINE).group(1)


setup(
    name="keras_sknet",
    version=version(),
    description="Selective Kernel Networks (SKNet, CVPR 2019) for Keras 3",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["keras_sknet", "keras_sknet.*"]),
    package_data={"keras_sknet": ["py.typed"]},
    zip_safe=False,
    python_requires=">=3.11",
    install_requires=["tensorflow>=2.21", "keras>=3.15", "numpy", "h5py"],
    extras_require={
        "train": TRAIN,
        "litert": LITERT,
        "onnx": ONNX,
        "openvino": OPENVINO,
        "serve": SERVE,
        "test": TEST,
        "cv": ["keras-cv>=0.9"],
        "tfds": ["tensorflow-datasets>=4.9.10"],
        "gpu": ["tensorflow[and-cuda]>=2.21"],
    },
    entry_points={"console_scripts": ["keras-sknet = keras_sknet.cli:main"]},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
