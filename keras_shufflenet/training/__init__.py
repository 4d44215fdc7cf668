"""Training: tasks, recipes, losses, optimizers, and a trainer that can be resumed."""

from keras_shufflenet.training import classification_recipes, detection_recipes, recipes
from keras_shufflenet.training.classification_recipe import ClassificationRecipe
from keras_shufflenet.training.classification_task import (
    ClassificationTask,
    train_classification,
)
from keras_shufflenet.training.detection_recipes import DetectionRecipe
from keras_shufflenet.training.detection_task import DetectionTask, train_detection
from keras_shufflenet.training.distillation import Teacher
from keras_shufflenet.training.distribution import open_strategy
from keras_shufflenet.training.losses import HeatmapPCK, KeypointMSELoss
from keras_shufflenet.training.optimizers import (
    BackboneAdam,
    CoupledSGD,
    WarmupMultiStepDecay,
)
from keras_shufflenet.training.pose_task import PoseTask, compile_pose_model, train_pose
from keras_shufflenet.training.recipes import Recipe
from keras_shufflenet.training.schedules import WarmupDecay
from keras_shufflenet.training.trainer import Task, train

__all__ = [
    "BackboneAdam",
    "ClassificationRecipe",
    "ClassificationTask",
    "CoupledSGD",
    "DetectionRecipe",
    "DetectionTask",
    "HeatmapPCK",
    "KeypointMSELoss",
    "PoseTask",
    "Recipe",
    "Task",
    "Teacher",
    "WarmupDecay",
    "WarmupMultiStepDecay",
    "classification_recipes",
    "compile_pose_model",
    "detection_recipes",
    "open_strategy",
    "recipes",
    "train",
    "train_classification",
    "train_detection",
    "train_pose",
]


def __dir__() -> list[str]:
    return __all__
