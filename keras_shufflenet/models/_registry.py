"""Models by name: networks, and pose estimators on top of them."""

import fnmatch
from typing import Any, Literal

import keras

from keras_shufflenet.models import pose
from keras_shufflenet.models._builder import check_choice
from keras_shufflenet.models.families import build_network, network_names

TASKS = {"classification": network_names, "pose": pose.preset_names}


def list_models(
    pattern: str = "*", task: Literal["classification", "pose"] = "classification"
) -> list[str]:
    """Names for `create_model`, sorted.

    Args:
        pattern: with the wildcards of a shell, for example "shufflenet_v2*".
        task: "classification" for the networks, which are the backbones, too; "pose" for the
            configurations that mmpose published.

    Raises:
        ValueError: for another task.
    """
    check_choice("task", task, TASKS)
    return fnmatch.filter(TASKS[task](), pattern)


def create_model(name: str, **arguments: Any) -> keras.Model:
    """Build a model by name.

    Args:
        name: one of `list_models()`, or of a pose estimator:
            "pose_<backbone>_<keypoints>_<height>x<width>" with mmpose's head, followed by
            "_light" or "_fpn" for the others.
        arguments: further ones of the builder, for example `weights="imagenet"`.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: if there is no such model.
    """
    if isinstance(name, str) and name.startswith(pose.PREFIX):
        return pose.PoseEstimator(**{**pose.parse_name(name), **arguments})
    return build_network(name, **arguments)
