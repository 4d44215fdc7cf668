"""Input pipelines: tf.data datasets from image files and annotations.

They need TensorFlow, which is imported at the first use. No module has the name of a function
exported here: importing the module would replace the function.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_shufflenet.data.augmentation import (
        COCO_AUGMENTATION,
        MPII_AUGMENTATION,
        Augmentation,
    )
    from keras_shufflenet.data.classification_augmentation import ClassificationAugmentation
    from keras_shufflenet.data.classification_dataset import (
        ClassificationDataset,
        load_classification_dataset,
    )
    from keras_shufflenet.data.classification_pipeline import classification
    from keras_shufflenet.data.detection_augmentation import (
        NANODET_AUGMENTATION,
        NANODET_PLUS_AUGMENTATION,
        DetectionAugmentation,
    )
    from keras_shufflenet.data.detection_dataset import DetectionDataset, load_detection_dataset
    from keras_shufflenet.data.detection_pipeline import detection
    from keras_shufflenet.data.keypoint_dataset import (
        KeypointDataset,
        load_keypoint_dataset,
        resolve_image_paths,
    )
    from keras_shufflenet.data.keypoint_pipeline import keypoints, person_instances
    from keras_shufflenet.data.tfds_source import TFDSSource, tfds

__all__ = [
    "COCO_AUGMENTATION",
    "MPII_AUGMENTATION",
    "NANODET_AUGMENTATION",
    "NANODET_PLUS_AUGMENTATION",
    "Augmentation",
    "ClassificationAugmentation",
    "ClassificationDataset",
    "DetectionAugmentation",
    "DetectionDataset",
    "KeypointDataset",
    "TFDSSource",
    "classification",
    "detection",
    "keypoints",
    "load_classification_dataset",
    "load_detection_dataset",
    "load_keypoint_dataset",
    "person_instances",
    "resolve_image_paths",
    "tfds",
]

_MODULES = {
    "COCO_AUGMENTATION": "augmentation",
    "MPII_AUGMENTATION": "augmentation",
    "NANODET_AUGMENTATION": "detection_augmentation",
    "NANODET_PLUS_AUGMENTATION": "detection_augmentation",
    "Augmentation": "augmentation",
    "ClassificationAugmentation": "classification_augmentation",
    "ClassificationDataset": "classification_dataset",
    "DetectionAugmentation": "detection_augmentation",
    "DetectionDataset": "detection_dataset",
    "KeypointDataset": "keypoint_dataset",
    "TFDSSource": "tfds_source",
    "classification": "classification_pipeline",
    "detection": "detection_pipeline",
    "load_classification_dataset": "classification_dataset",
    "load_detection_dataset": "detection_dataset",
    "load_keypoint_dataset": "keypoint_dataset",
    "keypoints": "keypoint_pipeline",
    "resolve_image_paths": "keypoint_dataset",
    "person_instances": "keypoint_pipeline",
    "tfds": "tfds_source",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
