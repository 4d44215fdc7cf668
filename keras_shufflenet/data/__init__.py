"""Input pipelines: photographs and annotations in, batches for `fit` out.

They need TensorFlow. Everything is imported at its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_shufflenet.data.augmentation import (
        COCO_AUGMENTATION,
        MPII_AUGMENTATION,
        Augmentation,
    )
    from keras_shufflenet.data.classification_pipeline import classification
    from keras_shufflenet.data.keypoint_pipeline import keypoints, person_instances
    from keras_shufflenet.data.samples import (
        KeypointDataset,
        load_keypoint_dataset,
        resolve_image_paths,
    )

__all__ = [
    "COCO_AUGMENTATION",
    "MPII_AUGMENTATION",
    "Augmentation",
    "KeypointDataset",
    "classification",
    "keypoints",
    "load_keypoint_dataset",
    "person_instances",
    "resolve_image_paths",
]

_MODULES = {
    "COCO_AUGMENTATION": "augmentation",
    "MPII_AUGMENTATION": "augmentation",
    "Augmentation": "augmentation",
    "KeypointDataset": "samples",
    "classification": "classification_pipeline",
    "load_keypoint_dataset": "samples",
    "keypoints": "keypoint_pipeline",
    "resolve_image_paths": "samples",
    "person_instances": "keypoint_pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
