"""The Keras layers, one idea a file."""

from keras_sknet.layers.bam import BAM as BAM
from keras_sknet.layers.bam import BAMBottleneck as BAMBottleneck
from keras_sknet.layers.basic_block import SKBasicBlock as SKBasicBlock
from keras_sknet.layers.batch_normalization import BatchNormalization as BatchNormalization
from keras_sknet.layers.bottleneck import Bottleneck as Bottleneck
from keras_sknet.layers.bottleneck import ResNeXtBottleneck as ResNeXtBottleneck
from keras_sknet.layers.bottleneck import SEBottleneck as SEBottleneck
from keras_sknet.layers.bottleneck import SKBottleneck as SKBottleneck
from keras_sknet.layers.cbam import CBAM as CBAM
from keras_sknet.layers.cbam import CBAMBottleneck as CBAMBottleneck
from keras_sknet.layers.classifier import Classifier as Classifier
from keras_sknet.layers.conv_norm_act import ConvNormAct as ConvNormAct
from keras_sknet.layers.gates import SqueezeExcite as SqueezeExcite
from keras_sknet.layers.grouped_conv import GroupedConv2D as GroupedConv2D
from keras_sknet.layers.preprocessing import ImageNormalization as ImageNormalization
from keras_sknet.layers.recorder import record_attention as record_attention
from keras_sknet.layers.selective_kernel import K3 as K3
from keras_sknet.layers.selective_kernel import K5 as K5
from keras_sknet.layers.selective_kernel import K7 as K7
from keras_sknet.layers.selective_kernel import Branch as Branch
from keras_sknet.layers.selective_kernel import SelectiveKernel as SelectiveKernel
from keras_sknet.layers.stem import Stem as Stem
