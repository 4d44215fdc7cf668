"""Input pipelines: photographs and annotations in, batches for `fit` out.

All but `synthetic_people` need TensorFlow. Everything is imported at its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_shufflenet.data.augmentation import (
        COCO_AUGMENTATION,
        MPII_AUGMENTATION,
        Augmentation,
    )
    from keras_shufflenet.data.classification import imagenet
    from keras_shufflenet.data.people import keypoints, person_crops
    from keras_shufflenet.data.samples import KeypointSamples, keypoint_samples, locate_images
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
    "locate_images",
    "person_crops",
    "synthetic_people",
]

_MODULES = {
    "COCO_AUGMENTATION": "augmentation",
    "MPII_AUGMENTATION": "augmentation",
    "Augmentation": "augmentation",
    "KeypointSamples": "samples",
    "SyntheticPeople": "synthetic",
    "imagenet": "classification",
    "keypoint_samples": "samples",
    "keypoints": "people",
    "locate_images": "samples",
    "person_crops": "people",
    "synthetic_people": "synthetic",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
