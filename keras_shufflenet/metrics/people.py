"""Running a pose network over the people of a data set."""

import numpy as np
from rich.progress import track

from keras_shufflenet import data
from keras_shufflenet.inference.pose import PosePredictor
from keras_shufflenet.metrics.batches import arrays


def predict_dataset(
    estimator: PosePredictor,
    samples: data.KeypointDataset,
    batch_size: int = 32,
    progress: bool = True,
) -> np.ndarray:
    """Find the joints of everybody, in the order of the samples.

    Args:
        estimator: the network with its codec.
        samples: N people.
        batch_size: people at a time.
        progress: show a progress bar.

    Returns:
        float64 (N, K, 3): x, y in image pixels (0-based) and score of every joint.

    Raises:
        ValueError: an image cannot be decoded.
    """
    centers, scales = samples.instances.center_scale(estimator.codec.input_size)
    batches = arrays(data.person_instances(samples, estimator.codec, batch_size))
    starts = track(range(0, len(samples), batch_size), "PoseInstances", disable=not progress)
    found = []
    for start, crops in zip(starts, batches, strict=True):
        rows = slice(start, start + batch_size)
        found.append(estimator.predict_crops(crops, centers[rows], scales[rows]))
    return np.concatenate(found)
