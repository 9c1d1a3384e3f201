"""Selective Kernel Networks for Keras 3 (https://arxiv.org/abs/1903.06586)."""

import importlib
from typing import TYPE_CHECKING

from keras_sknet import layers as layers
from keras_sknet import models as models
from keras_sknet import ops as ops
from keras_sknet import optimizers as optimizers
from keras_sknet import weights as weights
from keras_sknet.complexity import Complexity as Complexity
from keras_sknet.complexity import complexity as complexity
from keras_sknet.layers import BAM as BAM
from keras_sknet.layers import CBAM as CBAM
from keras_sknet.layers import K3 as K3
from keras_sknet.layers import K5 as K5
from keras_sknet.layers import K7 as K7
from keras_sknet.layers import BAMBottleneck as BAMBottleneck
from keras_sknet.layers import BatchNormalization as BatchNormalization
from keras_sknet.layers import Branch as Branch
from keras_sknet.layers import CBAMBottleneck as CBAMBottleneck
from keras_sknet.layers import Classifier as Classifier
from keras_sknet.layers import ConvNormAct as ConvNormAct
from keras_sknet.layers import GroupedConv2D as GroupedConv2D
from keras_sknet.layers import ImageNormalization as ImageNormalization
from keras_sknet.layers import ResNeXtBottleneck as ResNeXtBottleneck
from keras_sknet.layers import SEBottleneck as SEBottleneck
from keras_sknet.layers import SelectiveKernel as SelectiveKernel
from keras_sknet.layers import SKBasicBlock as SKBasicBlock
from keras_sknet.layers import SKBottleneck as SKBottleneck
from keras_sknet.layers import SqueezeExcite as SqueezeExcite
from keras_sknet.layers import Stem as Stem
from keras_sknet.models import BAMResNeXt50 as BAMResNeXt50
from keras_sknet.models import BAMResNeXt101 as BAMResNeXt101
from keras_sknet.models import CBAMResNeXt50 as CBAMResNeXt50
from keras_sknet.models import CBAMResNeXt101 as CBAMResNeXt101
from keras_sknet.models import ResNeXt29_8x64d as ResNeXt29_8x64d
from keras_sknet.models import ResNeXt29_16x32d as ResNeXt29_16x32d
from keras_sknet.models import ResNeXt29_16x64d as ResNeXt29_16x64d
from keras_sknet.models import ResNeXt50 as ResNeXt50
from keras_sknet.models import ResNeXt101 as ResNeXt101
from keras_sknet.models import SENet29 as SENet29
from keras_sknet.models import SENet50 as SENet50
from keras_sknet.models import SENet101 as SENet101
from keras_sknet.models import SKNet26 as SKNet26
from keras_sknet.models import SKNet29 as SKNet29
from keras_sknet.models import SKNet50 as SKNet50
from keras_sknet.models import SKNet101 as SKNet101
from keras_sknet.models import SKNetSmall as SKNetSmall
from keras_sknet.models import SKNetThin as SKNetThin
from keras_sknet.models import SKResNet18 as SKResNet18
from keras_sknet.models import SKResNet34 as SKResNet34
from keras_sknet.models import decode_predictions as decode_predictions
from keras_sknet.models import feature_pyramid as feature_pyramid
from keras_sknet.models import fold_batch_norm as fold_batch_norm
from keras_sknet.models import freeze_stages as freeze_stages
from keras_sknet.models import in_precision as in_precision
from keras_sknet.models import preprocess_input as preprocess_input
from keras_sknet.models import replace_classifier as replace_classifier
from keras_sknet.models import replace_grouped_convolutions as replace_grouped_convolutions
from keras_sknet.weights import load_timm as load_timm
from keras_sknet.weights import to_timm as to_timm

__version__ = "0.1.0"

if TYPE_CHECKING:
    from keras_sknet.analysis.attention import attention_scores as attention_scores
    from keras_sknet.analysis.scale import scale_response as scale_response
    from keras_sknet.export import export_onnx as export_onnx
    from keras_sknet.export import export_openvino as export_openvino
    from keras_sknet.export import export_saved_model as export_saved_model
    from keras_sknet.export import export_tflite as export_tflite
    from keras_sknet.export import verify_export as verify_export

# Imported when they are first asked for: most programs do without.
_MODULES = ("analysis", "data", "evaluation", "export", "integrations", "training")
_FUNCTIONS = {
    **dict.fromkeys(("attention_scores", "scale_response"), "analysis"),
    **dict.fromkeys(("export_onnx", "export_openvino", "export_saved_model", "export_tflite"), "export"),
    "verify_export": "export",
}


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        return getattr(__getattr__(_FUNCTIONS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_MODULES, *_FUNCTIONS})


__all__ = [name for name in __dir__() if not name.startswith("_")]
