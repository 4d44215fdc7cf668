"""Synthetic people: rendered persons with COCO keypoints, for training without downloads."""

from keras_shufflenet.synthetic_people.dataset import SyntheticPeople, create_dataset

__all__ = ["SyntheticPeople", "create_dataset"]


def __dir__() -> list[str]:
    return __all__
