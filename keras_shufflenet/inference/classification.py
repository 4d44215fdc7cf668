"""Image classification: from an image to class names."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from keras_shufflenet._checks import check_integer
from keras_shufflenet.data.resizing import eval_transform
from keras_shufflenet.inference.image_io import to_pillow, with_channels
from keras_shufflenet.inference.predictor import Predictor

CROP = (224, 224)


@dataclass(frozen=True)
class ImageClassifier:
    """A classifier with its class names and image transform.

    Create one with `ImageClassifier.load`.

    Attributes:
        predictor: Maps images (N, H, W, 3) RGB 0..255 to scores (N, classes).
        labels: Class names; empty if unknown.
        prepare: Maps a `PIL.Image` to the input of the network, uint8 (H, W, 3).
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
        """Create a classifier from a model.

        Args:
            model: As for `Predictor.load`: a `keras.Model`, the path of a `.keras` or `.tflite`
                file, or a function that maps images (N, H, W, 3) to scores (N, classes).
            labels: Class names. Defaults to those that the model carries, or ImageNet's for a
                Keras model with 1000 classes.
            resize_size: Length of the shorter side in pixels before the center crop. Defaults to
                256 for a model of 224, and in proportion for others.
            resize_method: "torchvision" (Pillow, antialiased) or "megvii" (OpenCV).
            num_threads: Threads of the interpreter of a `.tflite` file.

        Raises:
            ValueError: If the model does not output one score for each class, or the number of
                labels is another one.
        """
        predictor = Predictor.load(model, num_threads=num_threads)
        if not predictor.has_input_size:
            predictor = Predictor.load(predictor, CROP)
        shape = predictor.output_shape
        if len(shape) != 1:
            raise ValueError(
                "`model` must be a classifier that outputs one score for each class. "
                f"Received: {predictor.name} with outputs of shape {shape}"
            )
        names = tuple(predictor.metadata.labels if labels is None else labels)
        if names and len(names) != shape[0]:
            raise ValueError(
                f"`labels` must have {shape[0]} names, one for each class of {predictor.name}. "
                f"Received: {len(names)} names"
            )
        return cls(
            predictor, names, eval_transform(resize_size, predictor.input_size, resize_method)
        )

    def predict(self, image: Any, top: int = 5) -> list[tuple[str, float]]:
        """Return the most probable classes of an image.

        Args:
            image: A path, a `PIL.Image` or an array (H, W, 3), RGB, 0..255.
            top: Number of classes, at least 1.

        Returns:
            (name, score), best first; the class index as text if the name is unknown.

        Raises:
            FileNotFoundError: If the image is missing.
            ValueError: If the file is not an image, or `top` is below 1.
        """
        check_integer("top", top)
        prepared = self.prepare(to_pillow(image))
        pixels = with_channels(prepared, self.predictor.channels, self.predictor.name)
        (scores,) = self.predictor.predict(pixels[np.newaxis])
        best = np.argsort(-scores, kind="stable")[:top].tolist()
        return [
            (self.labels[index] if self.labels else str(index), float(scores[index]))
            for index in best
        ]
