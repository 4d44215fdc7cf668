"""Builders of tensorflow-datasets (tfds) for keypoints, which tfds itself does not have.

Importing this package registers them: `tfds.load("coco_keypoints")`, `tfds.load("mpii_pose")`, and
`tfds build coco_keypoints --imports keras_shufflenet.datasets` on the command line.
"""

from keras_shufflenet.datasets.coco_keypoints import coco_keypoints_dataset_builder
from keras_shufflenet.datasets.mpii_pose import mpii_pose_dataset_builder

CocoKeypoints = coco_keypoints_dataset_builder.Builder
MpiiPose = mpii_pose_dataset_builder.Builder

__all__ = ["CocoKeypoints", "MpiiPose"]
