"""Input pipelines: photographs and annotations in, batches for `fit` out. They need TensorFlow."""

from keras_shufflenet.data.augmentation import (
    COCO_AUGMENTATION,
    MPII_AUGMENTATION,
    Augmentation,
)
from keras_shufflenet.data.classification import imagenet
from keras_shufflenet.data.people import keypoints, person_crops
from keras_shufflenet.data.samples import KeypointSamples, keypoint_samples
from keras_shufflenet.data.synthetic import SyntheticPeople, synthetic_people

__all__ = [
    "COCO_AUGMENTATION",
    "MPII_AUGMENTATION",
    "Augmentation",
    "KeypointSamples",
    "SyntheticPeople",
    "imagenet",
    "keypoint_samples",
    "keypoints",
    "person_crops",
    "synthetic_people",
]
