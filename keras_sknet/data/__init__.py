"""Images: sources know what an element is, the pipeline the order, transforms how files become input."""

from keras_sknet.data.augmentation import Augmentation as Augmentation
from keras_sknet.data.digits import Digits as Digits
from keras_sknet.data.faults import check_sizes as check_sizes
from keras_sknet.data.faults import find_corrupt as find_corrupt
from keras_sknet.data.faults import naming_corrupt_files as naming_corrupt_files
from keras_sknet.data.faults import skip_corrupt as skip_corrupt
from keras_sknet.data.open import open_source as open_source
from keras_sknet.data.pipeline import batches as batches
from keras_sknet.data.pipeline import evaluation_batches as evaluation_batches
from keras_sknet.data.subset import Subset as Subset
from keras_sknet.data.subset import split_source as split_source
from keras_sknet.data.training_transforms import pad_crop_transform as pad_crop_transform
from keras_sknet.data.training_transforms import training_transform as training_transform
from keras_sknet.data.transforms import center_crop_transform as center_crop_transform
from keras_sknet.data.transforms import decode as decode
from keras_sknet.data.transforms import evaluation_transform as evaluation_transform
