"""The networks, as plain functional models."""

from keras_sknet.models.baselines import ResNeXt50 as ResNeXt50
from keras_sknet.models.baselines import ResNeXt101 as ResNeXt101
from keras_sknet.models.baselines import SENet50 as SENet50
from keras_sknet.models.baselines import SENet101 as SENet101
from keras_sknet.models.features import feature_pyramid as feature_pyramid
from keras_sknet.models.features import freeze_stages as freeze_stages
from keras_sknet.models.rewrite import fold_batch_norm as fold_batch_norm
from keras_sknet.models.rewrite import replace_grouped_convolutions as replace_grouped_convolutions
from keras_sknet.models.sknet import SKNet26 as SKNet26
from keras_sknet.models.sknet import SKNet50 as SKNet50
from keras_sknet.models.sknet import SKNet101 as SKNet101
from keras_sknet.models.sknet import SKNetSmall as SKNetSmall
