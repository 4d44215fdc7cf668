"""Statistics of batch normalizations: restored where they were folded, re-estimated after training.

Some published checkpoints, dequantized ones for example, hold folded batch normalizations: mean 0,
variance 1, gamma 1, and as beta the bias of the folded convolution. Inference is right, but the
first training step normalizes with the batch's own statistics, which destroys what the network has
learned. `restore_statistics` gives such layers statistics measured on images, with the gamma and
beta that leave the outputs unchanged.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np


def folded_layers(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Return the layers that hold no statistics although they were trained.

    Args:
        model: A functional model. Freshly initialized layers, whose beta is 0, do not count.
    """
    return [layer for layer in model.layers if _is_folded(layer)]


def restore_statistics(model: keras.Model, batches: Iterable[Any]) -> int:
    """Re-estimate the statistics of folded batch normalizations without changing the outputs.

    Args:
        model: A functional model.
        batches: Images (B, H, W, 3) as the model takes them; some hundred in all.

    Returns:
        The number of folded layers.

    Raises:
        ValueError: If there is a folded layer but no image.
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
        raise ValueError("`batches` must have at least one batch of images. Received: none")
    for layer, total in zip(folded, totals, strict=True):
        mean, square = total / count
        _assign(layer, mean, np.maximum(square - mean**2, 0))
    return len(folded)


def estimate_statistics(
    model: keras.Model,
    batches: Iterable[Any],
    *,
    norms: Sequence[keras.layers.BatchNormalization] | None = None,
    run: Callable[[Any], Any] | None = None,
) -> None:
    """Replace the statistics of all batch normalizations by those of images.

    The moving statistics of a short training are those of its last few batches, and of augmented
    images. Source: Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021,
    https://arxiv.org/abs/2105.07576 (precise batch normalization).

    Args:
        model: A functional model.
        batches: Images (B, H, W, 3) as the model takes them, in batches of one size; some hundred
            in all. Without any the statistics stay.
        norms: The batch normalizations. Defaults to the layers of the model.
        run: Runs the model in training mode; traced for these batches alone, if at all.
    """
    if norms is None:
        norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    totals: list[np.ndarray] = []
    for layer in norms:
        layer.momentum = 0.0
    for number, images in enumerate(batches, start=1):
        model(images, training=True) if run is None else run(images)
        found = [
            keras.ops.convert_to_numpy(v)
            for layer in norms
            for v in (layer.moving_mean, layer.moving_variance)
        ]
        totals = [a + (b - a) / number for a, b in zip(totals or found, found, strict=True)]
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    for layer, mean, variance in zip(norms, totals[::2], totals[1::2], strict=False):
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)


def _is_folded(layer: keras.Layer) -> bool:
    if not isinstance(layer, keras.layers.BatchNormalization) or not (layer.center and layer.scale):
        return False
    mean, variance, beta = (
        keras.ops.convert_to_numpy(v)
        for v in (layer.moving_mean, layer.moving_variance, layer.beta)
    )
    return bool((mean == 0).all() and (np.abs(variance - 1) < 1e-3).all() and (beta != 0).any())


def _moments(layer: keras.Layer) -> keras.KerasTensor:
    """Return the mean and mean square of the input, for each image and channel: (B, 2, C)."""
    x = layer.input
    axes = [axis for axis in range(1, len(x.shape)) if axis != layer.axis % len(x.shape)]
    mean = keras.ops.mean(x, axis=axes)
    square = keras.ops.mean(keras.ops.square(x), axis=axes)
    return keras.ops.stack([mean, square], axis=1)


def _assign(layer: Any, mean: np.ndarray, variance: np.ndarray) -> None:
    """Assign statistics, and change gamma and beta so that the outputs stay the same."""
    old = {v.name: np.asarray(keras.ops.convert_to_numpy(v), np.float64) for v in layer.weights}
    slope = old["gamma"] / np.sqrt(old["moving_variance"] + layer.epsilon)
    layer.gamma.assign(slope * np.sqrt(variance + layer.epsilon))
    layer.beta.assign(old["beta"] + slope * (mean - old["moving_mean"]))
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance)
