"""MoveNet's single-pose networks in LiteRT files, as teachers: keypoints instead of heatmaps.

They take a square crop of a person and return 17 COCO keypoints as (y, x, score) in fractions of
it. Source: https://www.kaggle.com/models/google/movenet (Apache-2.0).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import Skeleton
from keras_shufflenet.litert import interpreter as runtime

OUTPUT = (1, 1, 17, 3)


@dataclass(frozen=True)
class MoveNet:
    """A MoveNet with what `predict_dataset` asks of a pose estimator.

    Attributes:
        interpreter: Runs the file.
        codec: Defines how persons are cropped: squares of 1.25 times the longer side of the box.
        skeleton: COCO's 17 keypoints.
        flip_test: Whether to average the keypoints with those of the mirrored crop.
    """

    interpreter: Any
    codec: HeatmapCodec
    skeleton: Skeleton
    flip_test: bool = True

    @classmethod
    def load(cls, path: Path, flip_test: bool = True) -> "MoveNet":
        """Open a file.

        Raises:
            ImportError: If ai-edge-litert is missing.
            FileNotFoundError: If the file is missing.
            ValueError: If it is not a MoveNet of a single pose.
        """
        interpreter = runtime.open_interpreter(path)
        if not is_movenet(interpreter):
            raise ValueError(f"The file must be a single-pose MoveNet. Received: {path}")
        height, width = (int(n) for n in interpreter.get_input_details()[0]["shape"][1:3])
        return cls(interpreter, HeatmapCodec((height, width)), skeletons.get("coco"), flip_test)

    def predict_crops(
        self, crops: np.ndarray, centers: np.ndarray, scales: np.ndarray
    ) -> np.ndarray:
        """Predict the keypoints of cropped persons.

        Args:
            crops: (N, *input_size, 3), RGB, 0..255.
            centers: Centers (N, 2) of the boxes.
            scales: Scales (N, 2) of the boxes.

        Returns:
            float64 (N, 17, 3): x, y in image pixels (0-based) and score of each keypoint.
        """
        found = np.stack([self._predict(crop) for crop in crops])
        if self.flip_test:
            mirrored = np.stack([self._predict(crop[:, ::-1]) for crop in crops])
            mirrored = mirrored[:, list(self.skeleton.flip_permutation)]
            mirrored[..., 0] = 1 - mirrored[..., 0]
            found = _average(found, mirrored)
        height, width = self.codec.input_size
        points = found[..., :2] * [width, height] - 0.5  # pixels, whose centers are integers
        points = self.codec.input_to_image(points, centers, scales)
        return np.concatenate([points, found[..., 2:]], axis=-1)

    def _predict(self, crop: np.ndarray) -> np.ndarray:
        """Return (17, 3): x, y in fractions of the crop and score."""
        (given,), (output,) = (
            self.interpreter.get_input_details(),
            self.interpreter.get_output_details(),
        )
        pixels = np.clip(np.round(crop), 0, 255).astype(given["dtype"])
        self.interpreter.set_tensor(given["index"], pixels[None])
        self.interpreter.invoke()
        y, x, score = self.interpreter.get_tensor(output["index"])[0, 0].T
        return np.stack([x, y, score], axis=-1).astype(np.float64)


def is_movenet(interpreter: Any) -> bool:
    """Return whether a LiteRT model has the input and output of a single-pose MoveNet."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    return (
        len(inputs) == len(outputs) == 1
        and tuple(outputs[0]["shape"]) == OUTPUT
        and len(inputs[0]["shape"]) == 4
        and tuple(inputs[0]["shape"])[::3] == (1, 3)
    )


def _average(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Average keypoints (N, K, 3) by their scores."""
    scores = np.stack([one[..., 2], two[..., 2]])
    shares = scores / np.maximum(scores.sum(axis=0), 1e-9)
    points = shares[0][..., None] * one[..., :2] + shares[1][..., None] * two[..., :2]
    return np.concatenate([points, scores.mean(axis=0)[..., None]], axis=-1)
