"""What the training process is fed: images, what the network is to say about them, weights."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import keras
import numpy as np

from keras_shufflenet.inference.predictor import Predictor

Loss = Literal["distillation", "labels"]


class Targets:
    """What the network is to say about a batch.

    Args:
        model: the float network.
        loss: see `quantization_aware_training`.
    """

    def __init__(self, model: keras.Model, loss: Loss) -> None:
        self._teacher = Predictor.load(model) if loss == "distillation" else None
        self._softmax = _ends_in_softmax(model)
        self._shape = tuple(model.output_shape[1:])

    def __call__(self, images: np.ndarray, labels: list[Any]) -> dict[str, np.ndarray]:
        """The targets (N, ...) and weights of images (N, H, W, 3) with what came with them."""
        if self._teacher is not None:
            return {"targets": self._teacher.predict(images), "weights": np.ones(1, np.float32)}
        if not labels:
            raise ValueError(
                "loss='targets' needs batches of images and targets. Received: images alone"
            )
        targets, weights = np.asarray(labels[0]), np.ones(1, np.float32)
        if len(labels) > 1:
            weights = np.asarray(labels[1], np.float32)
        if self._softmax and targets.ndim == 1:
            targets = self._one_hot(targets)
        if not self._fits(targets, len(images)):
            raise ValueError(
                f"Targets must be of the shape (N, {', '.join(map(str, self._shape))}) of the "
                f"model's output. Received: shape={targets.shape}"
            )
        return {"targets": targets.astype(np.float32), "weights": weights}

    def _fits(self, targets: np.ndarray, count: int) -> bool:
        wanted = (count, *self._shape)
        return targets.ndim == len(wanted) and all(
            own in (None, got) for own, got in zip(wanted, targets.shape, strict=True)
        )

    def _one_hot(self, classes: np.ndarray) -> np.ndarray:
        (count,) = self._shape
        if classes.min() < 0 or classes.max() >= count:
            raise ValueError(
                f"Classes must be whole numbers from 0 to {count - 1}. "
                f"Received: {classes.min()} to {classes.max()}"
            )
        return np.eye(count, dtype=np.float32)[classes.astype(np.int64)]


def _ends_in_softmax(model: keras.Model) -> bool:
    operation = model.outputs[0]._keras_history.operation
    config = operation.get_config() if isinstance(operation, keras.Layer) else {}
    return isinstance(operation, keras.layers.Softmax) or config.get("activation") == "softmax"


def training_batches(
    dataset: Iterable[Any], size: tuple[int, int], targets: Targets
) -> Iterator[dict[str, np.ndarray]]:
    """Batches for the training process, without end.

    Args:
        dataset: see `quantization_aware_training`.
        size: (height, width) of the images.
        targets: makes the targets.

    Raises:
        ValueError: while iterating, for images of another size, or if there are none.
    """
    if isinstance(dataset, np.ndarray):
        dataset = [dataset]
    while True:
        count = 0
        for element in dataset:
            parts = element if isinstance(element, (tuple, list)) else [element]
            images = np.asarray(parts[0], np.float32)
            if images.shape[1:] != (*size, 3):
                raise ValueError(
                    f"Training needs batches of images of shape (N, {size[0]}, {size[1]}, 3). "
                    f"Received: shape={images.shape}"
                )
            yield {"images": images, **targets(images, list(parts[1:]))}
            count += 1
        if count == 0:
            raise ValueError(
                "`dataset` must be one that can be gone through again, with at least one batch. "
                f"Received: {type(dataset).__name__} without any left"
            )
