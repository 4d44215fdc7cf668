"""Batch normalization of checkpoints in which it was folded into the convolutions.

Some published checkpoints, de-quantized ones for example, keep a batch normalization only in name:
mean 0, variance 1, gamma 1, and as beta the bias of the folded convolution. Inference is right, but
the first step of a training normalizes with the batch's own statistics, and everything that the
network has learned is lost. Here such layers get real statistics, measured on images, together with
the gamma and beta that leave the network's outputs as they are.
"""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np


def folded_layers(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The layers that hold no statistics although they were trained.

    Args:
        model: a functional model. Layers as they are initialized, with a beta of 0, do not count.
    """
    return [layer for layer in model.layers if _is_folded(layer)]


def restore_statistics(model: keras.Model, batches: Iterable[Any]) -> int:
    """Give folded batch normalizations real statistics; the model's outputs stay the same.

    Args:
        model: a functional model.
        batches: images (B, H, W, 3) as the model takes them; some hundred in all.

    Returns:
        The number of layers that were folded.

    Raises:
        ValueError: if there is a folded layer but no image.
    """
    folded = folded_layers(model)
    if not folded:
        return 0
    probe = keras.Model(model.input, [_moments(layer) for layer in folded])
    totals, count = None, 0
    for images in batches:
        moments = [np.asarray(keras.ops.convert_to_numpy(m), np.float64) for m in probe(images)]
        sums = [moment.sum(axis=0) for moment in moments]
        totals = sums if totals is None else [a + b for a, b in zip(totals, sums, strict=True)]
        count += len(images)
    if totals is None:
        raise ValueError("Measuring statistics takes at least one batch. Received: none")
    for layer, total in zip(folded, totals, strict=True):
        mean, square = total / count
        _assign(layer, mean, np.maximum(square - mean**2, 0))
    return len(folded)


def _is_folded(layer: keras.Layer) -> bool:
    if not isinstance(layer, keras.layers.BatchNormalization) or not (layer.center and layer.scale):
        return False
    mean, variance, beta = (
        keras.ops.convert_to_numpy(v)
        for v in (layer.moving_mean, layer.moving_variance, layer.beta)
    )
    return bool((mean == 0).all() and (np.abs(variance - 1) < 1e-3).all() and (beta != 0).any())


def _moments(layer: keras.Layer) -> keras.KerasTensor:
    """Mean and mean square of what comes in, for each image and channel: (B, 2, C)."""
    maps = layer.input
    axes = [axis for axis in range(1, len(maps.shape)) if axis != layer.axis % len(maps.shape)]
    mean = keras.ops.mean(maps, axis=axes)
    square = keras.ops.mean(keras.ops.square(maps), axis=axes)
    return keras.ops.stack([mean, square], axis=1)


def _assign(layer: Any, mean: np.ndarray, variance: np.ndarray) -> None:
    """Change the statistics, and gamma and beta so that it makes no difference."""
    old = {v.name: np.asarray(keras.ops.convert_to_numpy(v), np.float64) for v in layer.weights}
    slope = old["gamma"] / np.sqrt(old["moving_variance"] + layer.epsilon)
    layer.gamma.assign(slope * np.sqrt(variance + layer.epsilon))
    layer.beta.assign(old["beta"] + slope * (mean - old["moving_mean"]))
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance)
