"""What tells that a model predicts heatmaps, and of which keypoints."""

from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.skeletons import Skeleton, SkeletonLike


def is_pose_estimator(predictor: Predictor) -> bool:
    """Return whether a model is known, or by its output (h, w, K) assumed, to predict heatmaps."""
    if predictor.metadata.skeleton is not None:
        return True
    shape = predictor.output_shape
    return len(shape) == 3 and skeletons.of_count(shape[-1]) is not None


def heatmap_shape(predictor: Predictor) -> tuple[int, int, int]:
    """Return (h, w, K) of the network's output.

    Raises:
        ValueError: If it has another number of axes.
    """
    shape = predictor.output_shape
    if len(shape) != 3:
        raise ValueError(
            f"{predictor.name} must output heatmaps of shape (N, h, w, K). Received: (N, "
            f"{', '.join(map(str, shape))})"
        )
    return shape[0], shape[1], shape[2]


def find_skeleton(skeleton: SkeletonLike | None, keypoints: int, name: str) -> Skeleton:
    """Return the skeleton of a model, by default that of its number of keypoints.

    Args:
        skeleton: What the user or the model says; None for the default.
        keypoints: Number of keypoints that the model predicts.
        name: Name of the model, for messages.

    Raises:
        ValueError: If the number is another than the skeleton's, or has no default.
    """
    skeleton = skeleton or skeletons.of_count(keypoints)
    if skeleton is None:
        raise ValueError(
            f"`skeleton` must be passed for networks without COCO's 17 or MPII's 16 keypoints. "
            f"Received: {name} with {keypoints} heatmaps"
        )
    found = skeletons.get(skeleton)
    if len(found) != keypoints:
        raise ValueError(
            f"The skeleton '{found.name}' requires a network with {len(found)} heatmaps. "
            f"Received: {name} with {keypoints}"
        )
    return found
