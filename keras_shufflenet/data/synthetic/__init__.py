"""Drawn people with COCO keypoints: training data that needs no download."""

from keras_shufflenet.data.synthetic.dataset import SyntheticPeople, synthetic_people

__all__ = ["SyntheticPeople", "synthetic_people"]
