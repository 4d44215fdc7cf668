"""Drawn people with COCO keypoints: training data that needs no download."""

from keras_shufflenet.synthetic_people.dataset import SyntheticPeople, create_dataset

__all__ = ["SyntheticPeople", "create_dataset"]
