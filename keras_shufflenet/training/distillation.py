"""Knowledge distillation: targets that a trained pose estimator, the teacher, predicts.

The teacher sees the same augmented crops as the student, so that every epoch brings new targets.
Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015,
https://arxiv.org/abs/1503.02531; for heatmaps Zhang, Zhu and Ye, "Fast Human Pose Estimation",
2019, https://arxiv.org/abs/1811.05419 (a mean of both squared errors, weighted by one factor).
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import tensorflow as tf

from keras_shufflenet._checks import check_bool, check_fraction
from keras_shufflenet.inference.pose import PosePredictor
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.keypoints.codec import GaussianEncoding, HeatmapCodec

MAX_STRETCH = 0.05  # of the crops of a teacher with another aspect ratio, without a warning


@dataclass(frozen=True)
class Teacher:
    """A trained pose estimator and how much its heatmaps count.

    Attributes:
        model: As for `PosePredictor.load`: a `keras.Model`, the path of a `.keras`, `.tflite` or
            `.onnx` file, the name of a published model, or a function. It must predict the
            student's keypoints, as Gaussians; for other sizes, crops and heatmaps are scaled.
        weight: Share of the teacher in the targets, 0..1. Keypoints that are not
            labeled are learned from the teacher alone, with this weight.
        flip_test: Whether the teacher's heatmaps are averaged with those of the mirrored crop.

    Raises:
        ValueError: If the weight is out of range, or `flip_test` is not True or False.
    """

    model: Any
    weight: float = 0.5
    flip_test: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_fraction("weight", self.weight)
        check_bool("flip_test", self.flip_test)

    @property
    def name(self) -> str:
        """The name of the file or of the model."""
        if isinstance(self.model, str | Path):
            return Path(self.model).name
        names = (getattr(self.model, name, None) for name in ("name", "__name__"))
        return str(next((name for name in names if name), type(self.model).__name__))

    def description(self) -> dict[str, Any]:
        """Return what defines the targets, as JSON."""
        return {"model": self.name, "weight": self.weight, "flip_test": self.flip_test}


def open_teacher(
    teacher: Teacher, keypoint_names: tuple[str, ...], input_size: tuple[int, int]
) -> PosePredictor:
    """Open the model of a teacher.

    Args:
        teacher: The teacher.
        keypoint_names: The K keypoints of the student.
        input_size: (height, width) in pixels of the crops, for a teacher of any size.

    Raises:
        FileNotFoundError: If the teacher's file is missing.
        ValueError: If it is no pose estimator, or predicts other keypoints or no Gaussians.
    """
    model = Predictor.load(teacher.model)
    own = None if model.has_input_size else input_size
    predictor = PosePredictor.load(model, input_size=own, flip_test=teacher.flip_test)
    encodings = get_args(GaussianEncoding)
    if predictor.codec.encoding not in encodings:
        raise ValueError(
            f"The encoding of the teacher's heatmaps must be one of {', '.join(encodings)}. "
            f"Received: {predictor.codec.encoding} of {teacher.name}"
        )
    if predictor.skeleton.keypoint_names != keypoint_names:
        raise ValueError(
            f"The teacher must predict the keypoints {', '.join(keypoint_names)}. Received: "
            f"{teacher.name} with {', '.join(predictor.skeleton.keypoint_names)}"
        )
    height, width = predictor.codec.input_size
    if abs(height * input_size[1] / (width * input_size[0]) - 1) > MAX_STRETCH:
        warnings.warn(
            f"{teacher.name} sees persons stretched: its crops have another aspect ratio. "
            f"Received: {height} × {width} for crops of {input_size[0]} × {input_size[1]}",
            stacklevel=2,
        )
    return predictor


def with_teacher(
    dataset: tf.data.Dataset,
    teacher: Teacher,
    keypoint_names: tuple[str, ...],
    codec: HeatmapCodec,
) -> tf.data.Dataset:
    """Mix the heatmaps of a teacher into the targets of a dataset.

    For a teacher of other sizes or another encoding, crops and heatmaps are scaled such that
    keypoints stay where the codecs say, not where an image's corners do.

    Args:
        dataset: Batches of crops (B, H, W, 3) RGB 0..255, heatmaps (B, h, w, K) and weights
            (B, 1, 1, K), as from `data.keypoints`.
        teacher: The teacher.
        keypoint_names: The K keypoints.
        codec: Codec of the dataset.

    Returns:
        The same crops, with the mixed heatmaps and weights.

    Raises:
        FileNotFoundError: If the teacher's file is missing.
        ValueError: If it predicts other keypoints or no Gaussians.
    """
    predictor = open_teacher(teacher, keypoint_names, codec.input_size)
    given, share = predictor.codec, teacher.weight
    to_teacher = given.extent(given.input_size) / codec.extent(codec.input_size)
    from_teacher = codec.extent(codec.heatmap_size) / given.extent(given.heatmap_size)

    def predict(crops: np.ndarray) -> np.ndarray:
        return predictor.heatmaps(crops)

    def mix(crops: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, ...]:
        seen = _scaled(crops, to_teacher, given.input_size)
        maps = tf.ensure_shape(tf.numpy_function(predict, [seen], tf.float32), [None] * 4)
        maps = tf.ensure_shape(_scaled(maps, from_teacher, codec.heatmap_size), targets.shape)
        share_of_teacher = tf.where(weights > 0, share, 1.0)
        mixed = targets + share_of_teacher * (maps - targets)
        return crops, mixed, tf.where(weights > 0, weights, share)

    return dataset.map(mix, num_parallel_calls=1).prefetch(2)


def _scaled(images: tf.Tensor, factors: np.ndarray, size: tuple[int, int]) -> tf.Tensor:
    """Scale images about the center of their first pixel, where the codecs have their origin.

    `tf.image.resize` scales about the corner of that pixel: in heatmaps of half the size, maxima
    would be a quarter of a pixel beside their keypoints.

    Args:
        images: (B, H, W, C).
        factors: Factors on x and y.
        size: (height, width) of the result.
    """
    if np.all(factors == 1):
        return images
    scale = factors[::-1].astype(np.float32)
    return tf.raw_ops.ScaleAndTranslate(
        images=images,
        size=list(size),
        scale=scale,
        translation=0.5 - 0.5 * scale,
        kernel_type="keyscubic",
        antialias=True,
    )
