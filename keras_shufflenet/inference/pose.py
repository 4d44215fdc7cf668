"""Top-down pose estimation: from an image to the keypoints of all persons in it.

A detector finds the persons, every person is cropped, the network predicts one heatmap per
keypoint, and the codec decodes the heatmaps to coordinates. Prediction and evaluation share
`PosePredictor`, so that they cannot differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_shufflenet._checks import check_integer, check_positive
from keras_shufflenet.inference.detection import (
    PREDICTION_IOU_THRESHOLD,
    PREDICTION_SCORE_THRESHOLD,
)
from keras_shufflenet.inference.heatmap_models import find_skeleton, heatmap_shape
from keras_shufflenet.inference.image_io import to_arrays, with_channels
from keras_shufflenet.inference.person_boxes import (
    PERSON,
    PersonBoxes,
    PersonDetector,
    given_boxes,
    whole_image,
)
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.keypoints.boxes import BBOX_PADDING, box_to_center_scale
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import Skeleton, SkeletonLike
from keras_shufflenet.keypoints.warping import warp

if TYPE_CHECKING:
    from keras_shufflenet.data import KeypointDataset
    from keras_shufflenet.inference.movenet import MoveNet


BATCH_SIZE = 32  # persons


class Poses(NamedTuple):
    """The N persons of an image.

    Attributes:
        keypoints: float64 (N, K, 3): x, y in image pixels (0-based) and score of each keypoint.
        bboxes: float64 (N, 4): x, y, width, height in image pixels.
        scores: float64 (N,), 0..1: the detector's of each person, and 1 without a detector.
    """

    keypoints: NDArray[np.float64]
    bboxes: NDArray[np.float64]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class PosePredictor:
    """A pose estimator with its codec and skeleton. Create one with `PosePredictor.load`.

    Attributes:
        predictor: Maps images (N, H, W, 3) RGB 0..255 to heatmaps (N, h, w, K).
        codec: Defines how persons are cropped and heatmaps decoded.
        skeleton: The keypoints.
        flip_test: Whether to average the heatmaps with those of the mirrored image.
        detector: Finds the persons; None if they come from elsewhere.
    """

    predictor: Predictor
    codec: HeatmapCodec
    skeleton: Skeleton
    flip_test: bool = True
    detector: PersonDetector | None = None

    @classmethod
    def load(
        cls,
        model: Any,
        *,
        detector: Any = None,
        category: str = PERSON,
        detector_score_threshold: float = PREDICTION_SCORE_THRESHOLD,
        detector_iou_threshold: float = PREDICTION_IOU_THRESHOLD,
        input_size: tuple[int, int] | None = None,
        codec: HeatmapCodec | None = None,
        skeleton: SkeletonLike | None = None,
        flip_test: bool = True,
    ) -> "PosePredictor":
        """Create a predictor from a model, and from a detector for images of several persons.

        Args:
            model: As for `Predictor.load`: a `keras.Model`, the path of a `.keras` or `.tflite`
                file, the name of a published model, or a function that maps images (N, H, W, 3)
                to heatmaps (N, h, w, K).
            detector: As for `Detector.load`, for example "nanodet_plus_m_416"; or a `Detector` or
                `PersonDetector`, whose own thresholds then apply.
            category: Name of the detector's class that is taken.
            detector_score_threshold: Minimum score of a person, 0..1.
            detector_iou_threshold: Maximum IoU of two persons that are both kept.
            input_size: (height, width) of the crops, for a model with a variable input size.
            codec: Defaults to the one in the `.tflite` file, else to one of the model's input and
                output sizes, and of the encoding that the model was built with or `"msra"`.
            skeleton: Defaults to the one that the model was built with, else COCO's for 17
                heatmaps and MPII's for 16.
            flip_test: Whether to average the heatmaps with those of the mirrored image.

        Raises:
            FileNotFoundError: If a model is missing.
            ValueError: If the input size is unknown, `codec` is not a codec, the model does not
                output heatmaps of the skeleton and the codec, or the detector has no such class.
        """
        if codec is not None and not isinstance(codec, HeatmapCodec):
            raise ValueError(f"`codec` must be a HeatmapCodec. Received: {codec!r}")
        predictor = Predictor.load(model, input_size or (codec.input_size if codec else None))
        height, width, channels = heatmap_shape(predictor)
        codec = codec or predictor.metadata.codec
        codec = codec or HeatmapCodec(
            predictor.input_size, (height, width), encoding=predictor.metadata.encoding
        )
        skeleton = skeleton or predictor.metadata.skeleton
        if codec.heatmap_size != (height, width):
            raise ValueError(
                f"{predictor.name} must output heatmaps of the codec's size {codec.heatmap_size}. "
                f"Received: {(height, width)}"
            )
        keypoints = channels // 3 if codec.encoding == "udp_combined" else channels
        found = find_skeleton(skeleton, keypoints, predictor.name)
        if detector is not None and not isinstance(detector, PersonDetector):
            detector = PersonDetector.load(
                detector,
                category=category,
                score_threshold=detector_score_threshold,
                iou_threshold=detector_iou_threshold,
            )
        return cls(predictor, codec, found, flip_test, detector)

    def predict(
        self, image: Any, bboxes: ArrayLike | None = None, *, bbox_padding: float = BBOX_PADDING
    ) -> Poses:
        """Predict the keypoints of all persons in an image; see `predict_batch`.

        Args:
            image: A path, a `PIL.Image` or an array (H, W, 3), RGB, 0..255.
            bboxes: Boxes (N, 4) of the persons: x, y, width, height in image pixels.
            bbox_padding: Factor on the size of the boxes; published networks are trained with 1.25.
        """
        (poses,) = self.predict_batch(
            [image], None if bboxes is None else [bboxes], bbox_padding=bbox_padding
        )
        return poses

    def predict_batch(
        self,
        images: Sequence[Any],
        bboxes: Sequence[ArrayLike] | None = None,
        *,
        batch_size: int = BATCH_SIZE,
        bbox_padding: float = BBOX_PADDING,
    ) -> list[Poses]:
        """Predict the keypoints of all persons in several images.

        The persons are in `bboxes`, if they are passed; else those that the detector finds.
        Without a detector each image as a whole is one person.

        Args:
            images: Paths, `PIL.Image`s or arrays (H, W, 3), RGB, 0..255. They are one batch of the
                detector.
            bboxes: For each image the boxes (N, 4) of its persons: x, y, width, height in pixels.
            batch_size: Persons per batch of the pose estimator.
            bbox_padding: Factor on the size of the boxes; published networks are trained with 1.25.

        Returns:
            For each image its persons, in the order of the boxes; the detector's, best first.

        Raises:
            FileNotFoundError: If an image is missing.
            ValueError: If an image cannot be decoded, or boxes are invalid.
        """
        check_integer("batch_size", batch_size)
        check_positive("bbox_padding", bbox_padding)
        arrays = to_arrays(images)
        if not arrays:
            return []
        persons = self._find_persons(arrays, bboxes)
        counts = [len(each.bboxes) for each in persons]
        owners = np.repeat(np.arange(len(arrays)), counts)
        centers, scales = box_to_center_scale(
            np.concatenate([np.zeros((0, 4)), *(each.bboxes for each in persons)]),
            self.codec.input_size,
            bbox_padding,
        )
        keypoints = [np.zeros((0, len(self.skeleton), 3))]
        for start in range(0, len(owners), batch_size):
            rows = slice(start, start + batch_size)
            owner, center, scale = owners[rows], centers[rows], scales[rows]
            crops = [
                self.crop(arrays[image], center[owner == image], scale[owner == image])
                for image in np.unique(owner)
            ]
            keypoints.append(self.predict_crops(np.concatenate(crops), center, scale))
        found = np.split(np.concatenate(keypoints), np.cumsum(counts)[:-1])
        return [Poses(points, *boxes) for points, boxes in zip(found, persons, strict=True)]

    def _find_persons(
        self, images: list[np.ndarray], bboxes: Sequence[ArrayLike] | None
    ) -> list[PersonBoxes]:
        if bboxes is not None:
            if len(bboxes) != len(images):
                raise ValueError(
                    f"`bboxes` must have boxes for each of the {len(images)} images. "
                    f"Received: {len(bboxes)}"
                )
            return [given_boxes(boxes, image) for boxes, image in zip(bboxes, images, strict=True)]
        if self.detector is None:
            return [whole_image(image) for image in images]
        return self.detector.detect(images)

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
    """Predict the keypoints of the persons in boxes of an image, in one call.

    `PosePredictor.predict` is for several images, and for persons that a detector finds.

    Args:
        model: As for `PosePredictor.load`, or a `PosePredictor`, whose own options then apply.
        image: A path, a `PIL.Image` or an array (H, W, 3), RGB, 0..255.
        bboxes: Bounding boxes (N, 4) of the persons: x, y, width, height in image pixels. Without
            boxes, and without a predictor's detector, the whole image is taken to be one person.
        skeleton: Defaults to the one that the model was built with, else COCO's for 17 heatmaps and
            MPII's for 16.
        codec: As for `PosePredictor.load`.
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
    boxes = None if bboxes is None else [bboxes]
    (poses,) = predictor.predict_batch(
        [image], boxes, batch_size=batch_size, bbox_padding=bbox_padding
    )
    return poses.keypoints


def predict_dataset(
    predictor: "PosePredictor | MoveNet",
    dataset: "KeypointDataset",
    batch_size: int = 32,
    verbose: bool = True,
) -> np.ndarray:
    """Predict the keypoints of all instances of a dataset, in order.

    Args:
        predictor: The pose estimator, or a MoveNet.
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
