"""Top-down pose estimation: from bounding boxes of persons in an image to their keypoints.

Every person is cropped, the network predicts one heatmap per keypoint, and the codec decodes the
heatmaps to coordinates. Prediction and evaluation share `PosePredictor`, so that they cannot
differ.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from keras_shufflenet.inference.image_io import to_array, with_channels
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.boxes import BBOX_PADDING, box_to_center_scale
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import Skeleton, SkeletonLike
from keras_shufflenet.keypoints.warping import warp

if TYPE_CHECKING:
    from keras_shufflenet.data import KeypointDataset


@dataclass(frozen=True)
class PosePredictor:
    """A pose estimator with its codec and skeleton. Create one with `PosePredictor.load`.

    Attributes:
        predictor: Maps images (N, H, W, 3) RGB 0..255 to heatmaps (N, h, w, K).
        codec: Defines how persons are cropped and heatmaps decoded.
        skeleton: The keypoints.
        flip_test: Whether to average the heatmaps with those of the mirrored image.
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
        skeleton: SkeletonLike | None = None,
        flip_test: bool = True,
    ) -> "PosePredictor":
        """Create a predictor from a model.

        Args:
            model: As for `Predictor.load`: a `keras.Model`, the path of a `.keras` or `.tflite`
                file, or a function that maps images (N, H, W, 3) to heatmaps (N, h, w, K).
            input_size: (height, width) of the crops, for a model with a variable input size.
            codec: Defaults to the one in the `.tflite` file, else an `"msra"` codec of the model's
                input and output sizes.
            skeleton: Defaults to the one that the model was built with, else COCO's for 17
                heatmaps and MPII's for 16.
            flip_test: Whether to average the heatmaps with those of the mirrored image.

        Raises:
            ValueError: If the input size is unknown, `codec` is not a codec, or the model does not
                output heatmaps of the skeleton and the codec.
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
                f"{predictor.name} must output heatmaps of the codec's size {codec.heatmap_size}. "
                f"Received: {(height, width)}"
            )
        keypoints = channels // 3 if codec.encoding == "udp_combined" else channels
        return cls(predictor, codec, _skeleton(skeleton, keypoints, predictor.name), flip_test)

    def crop(self, image: np.ndarray, centers: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """Crop persons from an image.

        Args:
            image: uint8 (H, W, 3), RGB.
            centers: Centers (N, 2) of the boxes, x and y in image pixels.
            scales: Width and height (N, 2) of the padded boxes in units of 200 pixels.

        Returns:
            float32 (N, *input_size, 3), as `data.person_instances` crops the image's file.
        """
        pixels = image.astype(np.float32)
        matrices = self.codec.crop_matrix(centers, scales)
        return np.stack([warp(pixels, matrix, self.codec.input_size) for matrix in matrices])

    def predict_crops(
        self, crops: np.ndarray, centers: np.ndarray, scales: np.ndarray
    ) -> np.ndarray:
        """Predict the keypoints of cropped persons.

        Args:
            crops: (N, *input_size, 3), RGB, 0..255.
            centers: Centers (N, 2) of the boxes.
            scales: Scales (N, 2) of the boxes.

        Returns:
            float64 (N, K, 3): x, y in image pixels (0-based) and score of each keypoint.
        """
        points, scores = self.codec.decode(self.heatmaps(crops))
        points = self.codec.input_to_image(points, centers, scales)
        return np.concatenate([points, scores[..., None]], axis=-1)

    def heatmaps(self, crops: np.ndarray) -> np.ndarray:
        """Return heatmaps float32 (N, h, w, K) of RGB crops, with the flip test if it is on.

        A network for gray images gets their luma.
        """
        crops = with_channels(crops, self.predictor.channels, self.predictor.name)
        heatmaps = self.predictor.predict(crops)
        if not self.flip_test:
            return heatmaps
        mirrored = self.predictor.predict(crops[:, :, ::-1])
        return (heatmaps + self.codec.flip_back(mirrored, self.skeleton)) / 2


def is_pose_estimator(predictor: Predictor) -> bool:
    """Return whether a model is known, or by its output (h, w, K) assumed, to predict heatmaps."""
    if predictor.metadata.skeleton is not None:
        return True
    shape = predictor.output_shape
    return len(shape) == 3 and skeletons.of_count(shape[-1]) is not None


def _heatmap_shape(predictor: Predictor) -> tuple[int, int, int]:
    """Return (h, w, K) of the network's output."""
    shape = predictor.output_shape
    if len(shape) != 3:
        raise ValueError(
            f"{predictor.name} must output heatmaps of shape (N, h, w, K). Received: (N, "
            f"{', '.join(map(str, shape))})"
        )
    return shape[0], shape[1], shape[2]


def _skeleton(skeleton: SkeletonLike | None, keypoints: int, name: str) -> Skeleton:
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


def predict_pose(
    model: Any,
    image: Any,
    bboxes: ArrayLike | None = None,
    *,
    skeleton: SkeletonLike | None = None,
    codec: HeatmapCodec | None = None,
    input_size: tuple[int, int] | None = None,
    flip_test: bool = True,
    batch_size: int = 32,
    bbox_padding: float = BBOX_PADDING,
) -> np.ndarray:
    """Predict the keypoints of the persons in an image.

    Args:
        model: As for `PosePredictor.load`, or a `PosePredictor`, whose own options then apply.
        image: A path, a `PIL.Image` or an array (H, W, 3), RGB, 0..255.
        bboxes: Bounding boxes (N, 4) of the persons: x, y, width, height in image pixels. Without
            boxes the whole image is taken to be one person.
        skeleton: Defaults to the one that the model was built with, else COCO's for 17 heatmaps and
            MPII's for 16.
        codec: Defaults to the one in the `.tflite` file, else `"msra"` of the model's sizes.
        input_size: (height, width) of the crops, for a model with a variable input size.
        flip_test: Whether to average the heatmaps with those of the mirrored image.
        batch_size: Persons per batch.
        bbox_padding: Factor on the size of the boxes; published networks are trained with 1.25.

    Returns:
        float64 (N, K, 3): x, y in image pixels (0-based) and score of each keypoint.

    Raises:
        FileNotFoundError: If the image or the model is missing.
        ValueError: If the image, the boxes or the model are invalid.
    """
    predictor = (
        model
        if isinstance(model, PosePredictor)
        else PosePredictor.load(
            model, input_size=input_size, codec=codec, skeleton=skeleton, flip_test=flip_test
        )
    )
    pixels = to_array(image)
    centers, scales = box_to_center_scale(
        _checked_bboxes(bboxes, pixels), predictor.codec.input_size, bbox_padding
    )
    keypoints = [np.zeros((0, len(predictor.skeleton), 3))]
    for start in range(0, len(centers), batch_size):
        center, scale = centers[start : start + batch_size], scales[start : start + batch_size]
        crops = predictor.crop(pixels, center, scale)
        keypoints.append(predictor.predict_crops(crops, center, scale))
    return np.concatenate(keypoints)


def predict_dataset(
    predictor: PosePredictor,
    dataset: "KeypointDataset",
    batch_size: int = 32,
    verbose: bool = True,
) -> np.ndarray:
    """Predict the keypoints of all instances of a dataset, in order.

    Args:
        predictor: The pose estimator.
        dataset: N instances with boxes.
        batch_size: Instances per batch.
        verbose: Whether to show a progress bar.

    Returns:
        float64 (N, K, 3): x, y in image pixels (0-based) and score of each keypoint.

    Raises:
        ValueError: If an image cannot be decoded.
    """
    from rich.progress import track

    from keras_shufflenet import data  # TensorFlow, which prediction does not need otherwise
    from keras_shufflenet.data.pipeline import iterate_arrays

    centers, scales = dataset.instances.center_scale(predictor.codec.input_size)
    batches = iterate_arrays(data.person_instances(dataset, predictor.codec, batch_size))
    starts = track(range(0, len(dataset), batch_size), "Instances", disable=not verbose)
    keypoints = []
    for start, crops in zip(starts, batches, strict=True):
        rows = slice(start, start + batch_size)
        keypoints.append(predictor.predict_crops(crops, centers[rows], scales[rows]))
    return np.concatenate(keypoints)


def _checked_bboxes(bboxes: ArrayLike | None, image: np.ndarray) -> np.ndarray:
    if bboxes is None:
        return np.array([[0, 0, image.shape[1], image.shape[0]]], np.float64)
    try:
        array = np.asarray(bboxes, np.float64)
    except (TypeError, ValueError):  # strings, or rows of different lengths
        array = np.zeros(1)
    array = array.reshape(0, 4) if array.size == 0 else array
    valid = array.ndim == 2 and array.shape[1] == 4
    if not valid or not np.isfinite(array).all() or (array[:, 2:] <= 0).any():
        raise ValueError(
            "`bboxes` must have the shape (persons, 4): x, y, width, height in pixels, with widths "
            f"and heights above 0. Received: {bboxes!r}"
        )
    height, width = image.shape[:2]
    ends = array[:, :2] + array[:, 2:]
    outside = (array[:, :2] >= (width, height)).any(axis=1) | (ends <= 0).any(axis=1)
    if outside.any():
        listed = ", ".join(f"{x:g},{y:g},{w:g},{h:g}" for x, y, w, h in array[outside])
        raise ValueError(
            f"`bboxes` must overlap with the image of {width} × {height} pixels. Received: {listed}"
        )
    return array
