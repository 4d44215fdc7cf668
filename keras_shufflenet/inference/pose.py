"""Top-down pose estimation: from people's boxes in an image to their joints.

Every person is cut out, the network makes one heatmap per joint, and the codec reads the joints'
places from the heatmaps. Prediction and evaluation share `PosePredictor`, so that they cannot differ.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_shufflenet.inference.images import to_array
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.boxes import BBOX_PADDING, box_to_center_scale
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import Skeleton
from keras_shufflenet.keypoints.warping import warp

_SKELETON_BY_JOINTS = {len(skeleton): skeleton for skeleton in (skeletons.COCO, skeletons.MPII)}


@dataclass(frozen=True)
class PosePredictor:
    """A heatmap network together with what turns its output into joints.

    Make one with `PosePredictor.load`.

    Attributes:
        predictor: the network: images (N, H, W, 3) RGB 0..255 to heatmaps (N, h, w, K).
        codec: how people are cut out and their joints read.
        skeleton: the joints.
        flip_test: average the heatmaps with those of the mirrored image.
    """

    predictor: Predictor
    codec: HeatmapCodec
    skeleton: Skeleton
    flip_test: bool = True

    @classmethod
    def load(
        cls,
        model: Any,
        *,
        input_size: tuple[int, int] | None = None,
        codec: HeatmapCodec | None = None,
        skeleton: str | Skeleton | None = None,
        flip_test: bool = True,
    ) -> "PosePredictor":
        """Complete a model to an estimator.

        Args:
            model: what `Predictor.load` takes: a `keras.Model`, the path of a `.keras` or
                `.tflite` file, or a function from images (N, H, W, 3) to heatmaps (N, h, w, K).
            input_size: (height, width) of the crops, for a model that does not fix it.
            codec: by default the one in the `.tflite` file, else an `"msra"` codec of the model's
                input and output sizes.
            skeleton: by default the one in the file, else COCO's for 17 heatmaps and MPII's for 16.
            flip_test: average the heatmaps with those of the mirrored image.

        Returns:
            The estimator.

        Raises:
            ValueError: the input size is not known, the codec is none, or the model does not give
                heatmaps of the skeleton and the codec.
        """
        if codec is not None and not isinstance(codec, HeatmapCodec):
            raise ValueError(f"`codec` must be a HeatmapCodec. Received: {codec!r}")
        predictor = Predictor.load(model, input_size or (codec.input_size if codec else None))
        height, width, channels = _heatmap_shape(predictor)
        codec = codec or predictor.metadata.codec
        codec = codec or HeatmapCodec(predictor.input_size, (height, width))
        skeleton = skeleton or predictor.metadata.skeleton
        if codec.heatmap_size != (height, width):
            raise ValueError(
                f"{predictor.name} must give heatmaps of the codec's size {codec.heatmap_size}. "
                f"Received: {(height, width)}"
            )
        joints = channels // 3 if codec.encoding == "udp_combined" else channels
        return cls(predictor, codec, _skeleton(skeleton, joints, predictor.name), flip_test)

    def crop(self, image: np.ndarray, centers: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """Cut people out of an image.

        Args:
            image: uint8 (H, W, 3), RGB.
            centers: (N, 2), x and y of the boxes' centers in image pixels.
            scales: (N, 2), width and height of the padded boxes in units of 200 pixels.

        Returns:
            float32 (N, *input_size, 3): what `data.person_instances` makes of the image's file.
        """
        pixels = image.astype(np.float32)
        matrices = self.codec.crop_matrix(centers, scales)
        return np.stack([warp(pixels, matrix, self.codec.input_size) for matrix in matrices])

    def predict_crops(
        self, crops: np.ndarray, centers: np.ndarray, scales: np.ndarray
    ) -> np.ndarray:
        """Find the joints of people that were cut out.

        Args:
            crops: (N, *input_size, 3), RGB, 0..255.
            centers: (N, 2) of the crops.
            scales: (N, 2) of the crops.

        Returns:
            float64 (N, K, 3): x, y in image pixels (0-based) and score of every joint.
        """
        points, scores = self.codec.decode(self.heatmaps(crops))
        places = self.codec.input_to_image(points, centers, scales)
        return np.concatenate([places, scores[..., None]], axis=-1)

    def heatmaps(self, crops: np.ndarray) -> np.ndarray:
        """Run the network, with the flip test if it is on: crops to float32 (N, h, w, K)."""
        heatmaps = self.predictor.predict(crops)
        if not self.flip_test:
            return heatmaps
        mirrored = self.predictor.predict(crops[:, :, ::-1])
        return (heatmaps + self.codec.flip_back(mirrored, self.skeleton)) / 2


def is_pose_output(output_shape: tuple[int, ...]) -> bool:
    """Whether an output (h, w, K) is taken for heatmaps without anybody saying so."""
    return len(output_shape) == 3 and output_shape[-1] in _SKELETON_BY_JOINTS


def _heatmap_shape(predictor: Predictor) -> tuple[int, int, int]:
    """(h, w, K) of the network's output."""
    shape = predictor.output_shape
    if len(shape) != 3:
        raise ValueError(
            f"{predictor.name} must give heatmaps of shape (N, h, w, K). Received: (N, "
            f"{', '.join(map(str, shape))})"
        )
    return shape[0], shape[1], shape[2]


def _skeleton(skeleton: str | Skeleton | None, joints: int, name: str) -> Skeleton:
    if skeleton is None and joints in _SKELETON_BY_JOINTS:
        return _SKELETON_BY_JOINTS[joints]
    if skeleton is None:
        raise ValueError(
            f"`skeleton` must be given for a network whose joints are not COCO's 17 or MPII's 16. "
            f"Received: {name} with {joints} joints"
        )
    found = skeletons.get(skeleton)
    if len(found) != joints:
        raise ValueError(
            f"The skeleton '{found.name}' needs a network with {len(found)} heatmaps. "
            f"Received: {name} with {joints}"
        )
    return found


def predict_pose(
    model: Any,
    image: Any,
    boxes: ArrayLike | None = None,
    *,
    skeleton: str | Skeleton | None = None,
    codec: HeatmapCodec | None = None,
    input_size: tuple[int, int] | None = None,
    flip_test: bool = True,
    batch_size: int = 32,
    padding: float = BBOX_PADDING,
) -> np.ndarray:
    """Find the joints of the people in an image.

    Args:
        model: what `PosePredictor.load` takes, or a `PosePredictor` (the options of the model are then its
            own).
        image: a path, a `PIL.Image` or an array (H, W, 3), RGB, 0..255.
        boxes: (N, 4) people's boxes (x, y, width, height) in pixels of the image; by default the
            whole image is one person.
        skeleton: by default the one in the file, else COCO's for 17 heatmaps and MPII's for 16.
        codec: by default the one in the `.tflite` file, else `"msra"` of the model's sizes.
        input_size: (height, width) of the crops, for a model that does not fix it.
        flip_test: average the heatmaps with those of the mirrored image.
        batch_size: people at a time.
        padding: enlargement of the boxes; 1.25 is what the published networks saw in training.

    Returns:
        float64 (N, K, 3): x, y in image pixels (0-based) and score of every joint.

    Raises:
        FileNotFoundError: the image or the model is missing.
        ValueError: the image, the boxes or the model are of another kind.
    """
    estimator = (
        model
        if isinstance(model, PosePredictor)
        else PosePredictor.load(
            model, input_size=input_size, codec=codec, skeleton=skeleton, flip_test=flip_test
        )
    )
    picture = to_array(image)
    centers, scales = box_to_center_scale(
        _check_boxes(boxes, picture), estimator.codec.input_size, padding
    )
    people = [np.zeros((0, len(estimator.skeleton), 3))]
    for start in range(0, len(centers), batch_size):
        center, scale = centers[start : start + batch_size], scales[start : start + batch_size]
        people.append(
            estimator.predict_crops(estimator.crop(picture, center, scale), center, scale)
        )
    return np.concatenate(people)


def _check_boxes(boxes: ArrayLike | None, image: np.ndarray) -> np.ndarray:
    if boxes is None:
        return np.array([[0, 0, image.shape[1], image.shape[0]]], np.float64)
    try:
        array = np.asarray(boxes, np.float64)
    except (TypeError, ValueError):  # words, or rows of different lengths
        array = np.zeros(1)
    array = array.reshape(0, 4) if array.size == 0 else array
    valid = array.ndim == 2 and array.shape[1] == 4
    if not valid or not np.isfinite(array).all() or (array[:, 2:] <= 0).any():
        raise ValueError(
            "`boxes` must have the shape (people, 4): x, y, width, height in pixels, with widths "
            f"and heights above 0. Received: {boxes!r}"
        )
    height, width = image.shape[:2]
    ends = array[:, :2] + array[:, 2:]
    if (array[:, :2] >= (width, height)).any() or (ends <= 0).any():
        raise ValueError(
            f"`boxes` must overlap with the picture of {width} × {height} pixels. "
            f"Received: {boxes!r}"
        )
    return array
