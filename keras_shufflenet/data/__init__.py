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
    from keras_shufflenet.data.classification import classification
    from keras_shufflenet.data.people import keypoints, person_instances
    from keras_shufflenet.data.samples import (
        KeypointDataset,
        load_keypoint_dataset,
        resolve_image_paths,
    )
    from keras_shufflenet.data.synthetic import SyntheticPeople, synthetic_people

__all__ = [
    "COCO_AUGMENTATION",
    "MPII_AUGMENTATION",
    "Augmentation",
    "KeypointDataset",
    "SyntheticPeople",
    "classification",
    "keypoints",
    "load_keypoint_dataset",
    "person_instances",
    "resolve_image_paths",
    "synthetic_people",
]

_MODULES = {
    "COCO_AUGMENTATION": "augmentation",
    "MPII_AUGMENTATION": "augmentation",
    "Augmentation": "augmentation",
    "KeypointDataset": "samples",
    "SyntheticPeople": "synthetic",
    "classification": "classification",
    "load_keypoint_dataset": "samples",
    "keypoints": "people",
    "resolve_image_paths": "samples",
    "person_instances": "people",
    "synthetic_people": "synthetic",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
