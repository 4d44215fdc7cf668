"""Where to cut off what a ReLU lets through, learned from images."""

from collections.abc import Callable, Iterator

import keras
import numpy as np

from keras_shufflenet.export.optimization.nodes import Weighted

BATCH = 8
SMOOTHING = 0.95  # of the moving average, for each image
STEPS = 2.0**8  # of a byte
# Of the greatest output: among these the limit of least squared error is looked for.
FRACTIONS = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.42, 0.35, 0.3])

Groups = dict[Weighted, list[np.ndarray]]  # for each node the channels that get one limit


class Probe:
    """What ReLUs let through on images.

    Args:
        lowered: the model.
        groups: for each node that ends in a ReLU, channels that get one limit.
        images: (N, H, W, 3) as the model takes them.
    """

    def __init__(self, lowered: keras.Model, groups: Groups, images: np.ndarray) -> None:
        self._groups = groups
        self._images = images
        outputs = [lowered.get_layer(node.name).output for node in groups]
        self._model = keras.Model(lowered.inputs, outputs)

    def greatest(self) -> np.ndarray:
        """The limits that cut off nothing: one for each channel, node after node."""
        return self._by_group(self._peaks().max(axis=0))

    def moving_average(self) -> np.ndarray:
        """The exponential moving averages of the images' greatest outputs."""
        peaks = self._peaks()
        average = self._by_group(peaks[0])
        for image in peaks[1:]:
            average += (1 - SMOOTHING) * (self._by_group(image) - average)
        return average

    def least_squares(self) -> np.ndarray:
        """The limits of least squared error, of rounding and of cutting off together.

        The criterion is OCTAV's (Sakr et al., arXiv 2206.06501), the way to it a search.
        """
        limits = self.greatest()
        candidates = limits * FRACTIONS[:, np.newaxis]
        counts, tails = np.zeros(limits.shape), np.zeros(candidates.shape)
        for outputs in self._run():
            start = 0
            for node, output in zip(self._groups, outputs, strict=True):
                own = slice(start, start := start + node.channels)
                counts[own] += _in_order(node, keras.ops.sum(output > 0, axis=(0, 1, 2)))
                for tail, limit in zip(tails, candidates[:, own], strict=True):
                    over = keras.ops.relu(output - limit[node.order].astype("float32"))
                    squares = keras.ops.sum(keras.ops.square(over), axis=(0, 1, 2))
                    tail[own] += _in_order(node, squares)
        errors = np.square(candidates / STEPS) / 12 * counts + tails
        summed = np.stack([self._by_group(error, np.sum) for error in errors])
        return np.take_along_axis(candidates, summed.argmin(axis=0)[np.newaxis], axis=0)[0]

    def _peaks(self) -> np.ndarray:
        """For each image the greatest output of each channel."""
        batches = [
            np.concatenate(
                [
                    _in_order(node, keras.ops.max(output, axis=(1, 2)))
                    for node, output in zip(self._groups, outputs, strict=True)
                ],
                axis=1,
            )
            for outputs in self._run()
        ]
        return np.concatenate(batches)

    def _run(self) -> Iterator[list[keras.KerasTensor]]:
        for start in range(0, len(self._images), BATCH):
            batch = self._images[start : start + BATCH]
            yield keras.tree.flatten(self._model([batch], training=False))

    def _by_group(
        self, values: np.ndarray, reduce: Callable[[np.ndarray], float] = np.max
    ) -> np.ndarray:
        """Each channel's value replaced by that of its group."""
        start, result = 0, np.empty_like(values)
        for node, groups in self._groups.items():
            for group in groups:
                result[start + group] = reduce(values[start + group])
            start += node.channels
        return result


def _in_order(node: Weighted, values: keras.KerasTensor) -> np.ndarray:
    """What was computed for each channel in memory, in the layer's order; channels last."""
    array = keras.ops.convert_to_numpy(values)
    result = np.empty(array.shape)
    result[..., node.order] = array
    return result


METHODS: dict[str, Callable[[Probe], np.ndarray]] = {
    "min_max": Probe.greatest,
    "moving_average": Probe.moving_average,
    "mse": Probe.least_squares,
}
