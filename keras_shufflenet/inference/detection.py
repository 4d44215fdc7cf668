"""Object detection: from an image to boxes.

Prediction and evaluation share `Detector`, so that they cannot differ.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet.detection import coco_classes
from keras_shufflenet.detection.decoding import (
    IOU_THRESHOLD,
    MAX_DETECTIONS,
    SCORE_THRESHOLD,
    Detections,
    decode,
)
from keras_shufflenet.detection.fitting import fit_image, to_image
from keras_shufflenet.detection.priors import find_design
from keras_shufflenet.inference.image_io import to_array, with_channels
from keras_shufflenet.inference.predictor import Predictor

# Of those in results/detection_thresholds.csv the ones of the highest F1 of persons. Average
# precision needs the lower ones that are the defaults here.
PREDICTION_SCORE_THRESHOLD = 0.35
PREDICTION_IOU_THRESHOLD = 0.4


@dataclass(frozen=True)
class Detector:
    """A detector with the names of its classes. Create one with `Detector.load`.

    Attributes:
        predictor: Maps images (N, H, W, 3) RGB 0..255 to raw outputs (N, priors, columns).
        class_names: Names of the classes.
        keep_ratio: Whether images keep their aspect ratio, with black bars, or are stretched.
        score_threshold: Minimum score of a detection, 0..1.
        iou_threshold: Maximum IoU of two detections of a class that are both kept.
        max_detections: Maximum number of detections in an image.
        classes: Indices of the only classes that are detected; None for all.
    """

    predictor: Predictor
    class_names: tuple[str, ...]
    keep_ratio: bool
    score_threshold: float = SCORE_THRESHOLD
    iou_threshold: float = IOU_THRESHOLD
    max_detections: int = MAX_DETECTIONS
    classes: tuple[int, ...] | None = None

    @classmethod
    def load(
        cls,
        model: Any,
        *,
        input_size: tuple[int, int] | None = None,
        score_threshold: float = SCORE_THRESHOLD,
        iou_threshold: float = IOU_THRESHOLD,
        max_detections: int = MAX_DETECTIONS,
    ) -> "Detector":
        """Create a detector from a model.

        Args:
            model: As for `Predictor.load`: a `keras.Model`, the path of a `.keras` or `.tflite`
                file, the name of a published model, or a function that maps images (N, H, W, 3) to
                raw outputs of NanoDet or RetinaNet.
            input_size: (height, width) of the input, for a model with a variable input size.
            score_threshold: Minimum score of a detection, 0..1.
            iou_threshold: Maximum IoU of two detections of a class that are both kept.
            max_detections: Maximum number of detections in an image.

        Raises:
            ValueError: If the input size is unknown, or the model is no detector.
        """
        predictor = Predictor.load(model, input_size)
        shape = predictor.output_shape
        if len(shape) != 2:
            raise ValueError(
                f"{predictor.name} must output (N, priors, columns), as NanoDet and RetinaNet do. "
                f"Received: (N, {', '.join(map(str, shape))})"
            )
        design = find_design(shape[0], predictor.input_size)
        classes = design.count_classes(shape[1])
        names = coco_classes.class_names(predictor.metadata.labels, classes)
        return cls(
            predictor, names, design.keep_ratio, score_threshold, iou_threshold, max_detections
        )

    def of_category(self, *category: str) -> "Detector":
        """Return the detector of some classes only, whose detections are the same otherwise.

        Args:
            *category: Names of classes, of `class_names`.

        Raises:
            ValueError: If there is no class of a name.
        """
        names = self.class_names
        if unknown := [name for name in category if name not in names]:
            listed = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
            raise ValueError(
                f"`category` must be one of the {len(names)} classes of {self.predictor.name}: "
                f"{listed}. Received: category={unknown[0]!r}"
            )
        return replace(self, classes=tuple(map(names.index, category)))

    def detect(self, images: list[Any]) -> list[Detections]:
        """Detect the objects in images, which are one batch.

        Args:
            images: Paths, `PIL.Image`s or arrays (H, W, 3), RGB, 0..255.

        Returns:
            For each image its detections, in pixels of the image.

        Raises:
            FileNotFoundError: If an image is missing.
            ValueError: If an image cannot be decoded.
        """
        size = self.predictor.input_size
        arrays = [to_array(image) for image in images]
        fitted = [fit_image(array, size, self.keep_ratio) for array in arrays]
        inputs = np.stack([pixels for pixels, _ in fitted])
        outputs = self.predictor.predict(
            with_channels(inputs, self.predictor.channels, self.predictor.name)
        )
        return [
            to_image(self._decode(output), matrix, (array.shape[0], array.shape[1]))
            for output, (_, matrix), array in zip(outputs, fitted, arrays, strict=True)
        ]

    def _decode(self, output: NDArray[np.float32]) -> Detections:
        return decode(
            output,
            self.predictor.input_size,
            score_threshold=self.score_threshold,
            iou_threshold=self.iou_threshold,
            max_detections=self.max_detections,
            classes=self.classes,
        )
