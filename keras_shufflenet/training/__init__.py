"""Training pose estimators: loss, schedule, recipes, and a training that survives being killed."""

from keras_shufflenet.training import recipes
from keras_shufflenet.training.losses import HeatmapPCK, JointsMSE
from keras_shufflenet.training.pose import compile_pose, train_pose
from keras_shufflenet.training.recipes import Recipe
from keras_shufflenet.training.schedules import WarmupMultiStep

__all__ = [
    "HeatmapPCK",
    "JointsMSE",
    "Recipe",
    "WarmupMultiStep",
    "compile_pose",
    "recipes",
    "train_pose",
]
