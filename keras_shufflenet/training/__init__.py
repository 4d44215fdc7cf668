"""Training pose estimators: loss, schedule, recipes, and a training that survives being killed."""

from keras_shufflenet.training import recipes
from keras_shufflenet.training.losses import HeatmapPCK, KeypointMSELoss
from keras_shufflenet.training.recipes import Recipe
from keras_shufflenet.training.schedules import WarmupMultiStepDecay
from keras_shufflenet.training.trainer import compile_pose_model, train_pose

__all__ = [
    "HeatmapPCK",
    "KeypointMSELoss",
    "Recipe",
    "WarmupMultiStepDecay",
    "compile_pose_model",
    "recipes",
    "train_pose",
]
