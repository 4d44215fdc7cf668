"""Object detection: from an image to boxes.

Prediction and evaluation share `Detector`, so that they cannot differ.
"""

import difflib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet._checks import check_fraction, check_integer
from keras_shufflenet.detection import coco_classes
from keras_shufflenet.detection.decoding import (
    IOU_THRESHOLD,
    MAX_DETECTIONS,
    PREDICTION_IOU_THRESHOLD,
    PREDICTION_SCORE_THRESHOLD,
    SCORE_THRESHOLD,
    Detections,
    decode,
)
from keras_shufflenet.detection.fitting import fit_image, to_image
from keras_shufflenet.detection.priors import Design, find_design, make_priors
from keras_shufflenet.inference.image_io import to_array, to_arrays, with_channels
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.litert import object_detector

__all__ = ["PREDICTION_IOU_THRESHOLD", "PREDICTION_SCORE_THRESHOLD", "Detector", "design_of"]


@dataclass(frozen=True)
class Detector:
    """A detector with the names of its classes. Create one with `Detector.load`.

    Attributes:
        predictor: Maps images (N, H, W, 3) RGB 0..255 to raw outputs (N, priors, columns).
        class_names: Names of the classes.
        design: What the outputs mean, and how images are fitted to the input.
        score_threshold: Minimum score of a detection, 0..1.
        iou_threshold: Maximum IoU of two detections of a class that are both kept.
        max_detections: Maximum number of detections in an image.
        classes: Indices of the only classes that are detected; None for all.
    """

    predictor: Predictor
    class_names: tuple[str, ...]
    design: Design
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
            ValueError: If the input size is unknown, the model is no detector, or a threshold is
                not between 0 and 1.
        """
        check_fraction("score_threshold", score_threshold)
        check_fraction("iou_threshold", iou_threshold)
        check_integer("max_detections", max_detections)
        predictor = Predictor.load(model, input_size)
        design = design_of(predictor)
        classes = design.count_classes(predictor.output_shape[1])
        names = coco_classes.class_names(predictor.metadata.labels, classes)
        return cls(predictor, names, design, score_threshold, iou_threshold, max_detections)

    def of_category(self, *category: str) -> "Detector":
        """Return the detector of some classes only, whose detections are the same otherwise.

        Args:
            *category: Names of classes, of `class_names`.

        Raises:
            ValueError: If there is no class of a name.
        """
        names = self.class_names
        if unknown := [name for name in category if name not in names]:
            near = difflib.get_close_matches(unknown[0].lower(), names, cutoff=0.5)
            shown = list(dict.fromkeys([*near, *names]))[:10]
            listed = ", ".join(shown) + (", ..." if len(names) > 10 else "")
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
            ValueError: If an image cannot be decoded, or `images` is a single one.
        """
        arrays = to_arrays(images)
        if not arrays:
            return []
        fitted = [self.fit(array) for array in arrays]
        outputs = self.predictor.predict(np.stack([pixels for pixels, _ in fitted]))
        return [
            to_image(self._decode(output), matrix, (array.shape[0], array.shape[1]))
            for output, (_, matrix), array in zip(outputs, fitted, arrays, strict=True)
        ]

    def fit(self, image: Any) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Fit an image to the input of the network, as its design says.

        Args:
            image: A path, a `PIL.Image` or an array (H, W, 3), RGB, 0..255.

        Returns:
            The input, uint8 (height, width, channels), and the matrix (2, 3) from image to input.

        Raises:
            FileNotFoundError: If the image is missing.
            ValueError: If it cannot be decoded.
        """
        size, keep_ratio = self.predictor.input_size, self.design.keep_ratio
        pixels, matrix = fit_image(to_array(image), size, keep_ratio)
        return with_channels(pixels, self.predictor.channels, self.predictor.name), matrix

    def _decode(self, output: NDArray[np.float32]) -> Detections:
        return decode(
            output,
            self.predictor.input_size,
            score_threshold=self.score_threshold,
            iou_threshold=self.iou_threshold,
            max_detections=self.max_detections,
            classes=self.classes,
            design=self.design,
        )


def design_of(predictor: Predictor) -> Design:
    """Return the design of a detector: the one that its file states, else that of its rows.

    Raises:
        ValueError: If it is no detector, or its file states another number of rows.
    """
    outputs = list(predictor.output_shapes)
    if len(outputs) > 1:
        decoded = set(object_detector.OUTPUTS) <= set(outputs)
        why = "; boxes that are decoded inside are for MediaPipe alone" if decoded else ""
        raise ValueError(
            f"A detector must have one output, the raw one{why}. "
            f"Received: {predictor.name} with the outputs {', '.join(outputs)}"
        )
    shape = predictor.output_shape
    if len(shape) != 2:
        raise ValueError(
            f"{predictor.name} must output (N, priors, columns), as NanoDet and RetinaNet do. "
            f"Received: (N, {', '.join(map(str, shape))})"
        )
    stated = predictor.metadata.design
    if stated is None:
        return find_design(shape[0], predictor.input_size)
    if (rows := len(make_priors(stated, predictor.input_size))) != shape[0]:
        raise ValueError(
            f"The output must have {rows} rows, as the metadata of the file say. "
            f"Received: {shape[0]} rows in {predictor.name}"
        )
    return stated
