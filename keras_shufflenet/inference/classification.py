"""From an image to the names of what it shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from keras_shufflenet.data.resizing import eval_transform
from keras_shufflenet.inference.images import to_pillow
from keras_shufflenet.inference.predictor import Predictor

CROP = (224, 224)


@dataclass(frozen=True)
class ImageClassifier:
    """A classifier together with what it needs of an image and the names of its classes.

    Make one with `ImageClassifier.load`.

    Attributes:
        predictor: the network: images (N, H, W, 3) RGB 0..255 to scores (N, classes).
        labels: names of the classes; empty if they are not known.
        prepare: takes a `PIL.Image` to what the network sees, uint8 (H, W, 3).
    """

    predictor: Predictor
    labels: tuple[str, ...]
    prepare: Callable[[Image.Image], np.ndarray]

    @classmethod
    def load(
        cls,
        model: Any,
        *,
        labels: Sequence[str] | None = None,
        resize_size: int | None = None,
        resize_method: Literal["torchvision", "megvii"] = "torchvision",
        num_threads: int | None = None,
    ) -> "ImageClassifier":
        """Complete a model to a classifier.

        Args:
            model: what `Predictor.load` takes: a `keras.Model`, the path of a `.keras` or
                `.tflite` file, or a function from images (N, H, W, 3) to scores (N, classes).
            labels: names of the classes; by default those in the file, or ImageNet's for a Keras
                model of 1000 classes.
            resize_size: length of the image's short side in pixels, before the central crop; by default
                256 for a model of 224, and others in proportion.
            resize_method: whose resizing: "torchvision" (Pillow's, antialiased) or "megvii" (OpenCV's).
            num_threads: of the interpreter of a `.tflite` file.

        Returns:
            The classifier.

        Raises:
            ValueError: the model does not give one score for each class, or there are more or
                fewer labels than classes.
        """
        predictor = Predictor.load(model, num_threads=num_threads)
        if not predictor.has_input_size:
            predictor = Predictor.load(predictor, CROP)
        shape = predictor.output_shape
        if len(shape) != 1:
            raise ValueError(
                "the model must be a classifier, with one score for each class. "
                f"Received: {predictor.name} with outputs of shape {shape}"
            )
        names = tuple(predictor.metadata.labels if labels is None else labels)
        if names and len(names) != shape[0]:
            raise ValueError(
                f"{predictor.name} needs {shape[0]} labels, one for each class. "
                f"Received: {len(names)}"
            )
        return cls(
            predictor, names, eval_transform(resize_size, predictor.input_size, resize_method)
        )

    def predict(self, image: Any, top: int = 5) -> list[tuple[str, float]]:
        """Name the most probable classes of an image.

        Args:
            image: a path, a `PIL.Image` or an array (H, W, 3), RGB, 0..255.
            top: how many classes, at least 1.

        Returns:
            (name, score), best first; the number of the class stands for a name that is not known.

        Raises:
            FileNotFoundError: the image is missing.
            ValueError: the file is no image, or `top` is below 1.
        """
        if top < 1:
            raise ValueError(f"`top` must be at least 1. Received: {top}")
        (scores,) = self.predictor.predict(self.prepare(to_pillow(image))[np.newaxis])
        best = np.argsort(-scores, kind="stable")[:top].tolist()
        return [
            (self.labels[index] if self.labels else str(index), float(scores[index]))
            for index in best
        ]
