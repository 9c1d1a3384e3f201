import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
README = ROOT / "README.md"

LITERT = ["ai-edge-litert>=2.2"]
ONNX = ["onnx>=1.17", "onnxruntime>=1.20", "tf2onnx>=1.17"]
OPENVINO = ["openvino>=2025.0"]
TRAIN = [
    *(
        "scikit-learn>=1.4",
        "scipy>=1.11",
        "matplotlib>=3.8",
        "jinja2>=3.1",
        "tqdm>=4.66",
        "tensorboard>=2.20",
    ),
    *(*LITERT, *ONNX, *OPENVINO),
]
PRETRAINED = ["huggingface_hub>=1.0", "safetensors>=0.5"]
CV = ["keras-cv>=0.9"]
HUB = ["keras-hub>=0.32"]
TFDS = ["tensorflow-datasets>=4.9.10", "importlib_resources", "array_record"]
SERVE = ["tensorflow-serving-api>=2.21"]
TEST = [
    *(*TRAIN, *PRETRAINED, *TFDS, *CV, *HUB, *SERVE),
    *(
        "jax",
        "pillow",
        "pycocotools",
        "pytest>=9.0",
        "pytest-xdist>=3.6",
        "ruff>=0.15",
        "build>=1.2",
        "setuptools>=77",
    ),
]


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
    package_data={
        "keras_sknet": [
            *("py.typed", "models/imagenet_classes.txt", "analysis/report.html.jinja"),
            "weights/shipped/*.keras",
        ]
    },
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
        "pretrained": PRETRAINED,
        "tfds": TFDS,
        "tables": ["zeromodels>=1.3", *HUB],
        "cv": CV,
        "hub": HUB,
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
