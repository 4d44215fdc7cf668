"""A training pipeline for pose estimation in OpenCV and NumPy, to compare the tf.data one with.

The steps are those of mmpose v0.29's top-down pipeline: read, shift, flip, half body, scale,
rotate, warp, a heatmap per keypoint. The differences are in OpenCV's favor: the geometry comes
from the vectorized `keypoints` package, pixels are not normalized, and batches stay in the worker
process that made them.
"""

from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import process_time
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

import reference_augmentation as augmentation
from keras_shufflenet._types import Size
from keras_shufflenet.keypoints.annotations import PoseInstances
from keras_shufflenet.keypoints.boxes import get_warp_matrix, transform_points

try:
    import cv2
except ImportError as error:
    raise ImportError(
        f"The benchmark needs OpenCV: pip install 'keras-shufflenet[dev]'. Received: {error}"
    ) from error

STRIDE = 4  # input pixels per heatmap pixel
SIGMA = 2

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


class Draws(NamedTuple):
    """The random numbers of one sample, each (): uniform in [0, 1), or normal as the name says."""

    shift_gate: np.ndarray
    shift_x: np.ndarray
    shift_y: np.ndarray
    flip_gate: np.ndarray
    half_body_gate: np.ndarray
    half_body_normal: np.ndarray
    scale_normal: np.ndarray
    rotation_gate: np.ndarray
    rotation_normal: np.ndarray


UNCHANGED = Draws(*np.array([1.0, 0.5, 0.5, 1, 1, 0, 0, 1, 0]))


class Samples(NamedTuple):
    """N instances with image paths, bbox centers and scales, and the (height, width) of crops."""

    instances: PoseInstances
    paths: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    input_size: Size


def samples_of(instances: PoseInstances, paths: np.ndarray, input_size: Size) -> Samples:
    """Compute the centers and scales of instances for crops of a size."""
    return Samples(instances, paths, *instances.center_scale(input_size), input_size)


def random_draws(random: np.random.Generator) -> Draws:
    """Draw the random numbers of one sample."""
    numbers = {
        name: np.asarray(random.standard_normal() if "normal" in name else random.random())
        for name in Draws._fields
    }
    return Draws(**numbers)


def make_sample(samples: Samples, row: int, draws: Draws) -> Batch:
    """Make one training sample.

    Args:
        samples: The instances.
        row: Index of the instance.
        draws: The random numbers of the augmentation.

    Returns:
        Crop (H, W, 3) float32 RGB 0..255, heatmaps (K, h, w) and weights (K, 1), both float32.
    """
    image = cv2.cvtColor(cv2.imread(samples.paths[row]), cv2.COLOR_BGR2RGB)
    keypoints, visible = samples.instances.keypoints[row], samples.instances.keypoints_visible[row]
    center, scale = samples.center[row], samples.scale[row]
    offset = 2 * np.array([draws.shift_x, draws.shift_y]) - 1
    center = augmentation.shift_bbox(center, scale, draws.shift_gate, offset)
    if draws.flip_gate <= 0.5:
        image, width = image[:, ::-1], image.shape[1]
        keypoints, visible = augmentation.flip_keypoints(
            keypoints, visible, width, samples.instances.skeleton
        )
        center = np.array([width - 1 - center[0], center[1]])
    if augmentation.is_half_body(visible, draws.half_body_gate):
        skeleton, normal = samples.instances.skeleton, float(draws.half_body_normal)
        half = augmentation.half_body(keypoints, visible, samples.input_size, normal, skeleton)
        center, scale = half or (center, scale)
    scale = augmentation.scale_bbox(scale, draws.scale_normal)
    degrees = augmentation.random_rotation(draws.rotation_gate, draws.rotation_normal)
    matrix = get_warp_matrix(center, scale, degrees, samples.input_size)
    crop = cv2.warpAffine(image, matrix, samples.input_size[::-1], flags=cv2.INTER_LINEAR)
    heatmaps, weights = draw_heatmaps(
        transform_points(keypoints, matrix), visible, samples.input_size
    )
    return crop.astype(np.float32), heatmaps, weights


def draw_heatmaps(
    keypoints: np.ndarray, visible: np.ndarray, input_size: Size
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a Gaussian at the nearest pixel of each keypoint, one after the other.

    Args:
        keypoints: (K, 2) in input pixels.
        visible: (K,), above 0 if the keypoint is annotated.
        input_size: (height, width).

    Returns:
        Heatmaps (K, h, w) and weights (K, 1), float32.
    """
    height, width = input_size[0] // STRIDE, input_size[1] // STRIDE
    heatmaps = np.zeros((len(keypoints), height, width), np.float32)
    weights = visible[:, None].astype(np.float32)
    radius = 3 * SIGMA
    for index, (x, y) in enumerate(keypoints / STRIDE):
        column, row = int(x + 0.5), int(y + 0.5)
        left, top, right, bottom = column - radius, row - radius, column + radius, row + radius
        if left >= width or top >= height or right + 1 < 0 or bottom + 1 < 0:
            weights[index] = 0
        if weights[index] > 0.5:
            grid = np.arange(2 * radius + 1, dtype=np.float32) - radius
            gaussian = np.exp(-(grid**2 + grid[:, None] ** 2) / (2 * SIGMA**2))
            rows = slice(max(0, top), min(height, bottom + 1))
            columns = slice(max(0, left), min(width, right + 1))
            heatmaps[index, rows, columns] = gaussian[
                rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
            ]
    return heatmaps, weights


def make_batch(samples: Samples, rows: np.ndarray, random: np.random.Generator) -> Batch:
    """Make a batch of training samples of some rows."""
    parts = [make_sample(samples, row, random_draws(random)) for row in rows]
    images, heatmaps, weights = zip(*parts, strict=True)
    return np.stack(images), np.stack(heatmaps), np.stack(weights)


class Workers:
    """Worker processes that make batches, each on one core, like those of a data loader."""

    def __init__(self, samples: Samples, count: int, batch_size: int, seed: int = 0) -> None:
        """Start `count` processes and wait until all are ready."""
        context = get_context("spawn")
        self._connections, self._processes = [], []
        for number in range(count):
            here, there = context.Pipe()
            process = context.Process(
                target=_serve, args=(there, samples, batch_size, (seed, number)), daemon=True
            )
            process.start()
            self._connections.append(here)
            self._processes.append(process)
        self.run(count)

    def run(self, batches: int) -> float:
        """Make batches, equally many in each process, and return the CPU seconds they took."""
        for connection in self._connections:
            connection.send(batches // len(self._connections))
        return sum(connection.recv() for connection in self._connections)

    def __enter__(self) -> Self:
        """Return the workers."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the processes."""
        for connection, process in zip(self._connections, self._processes, strict=True):
            connection.close()
            process.join()


def _serve(
    connection: Connection, samples: Samples, batch_size: int, seed: tuple[int, int]
) -> None:
    """Make as many batches as requested, until the connection is closed."""
    cv2.setNumThreads(1)
    random = np.random.default_rng(seed)
    while True:
        try:
            batches = connection.recv()
        except EOFError:
            return
        start = process_time()
        for _ in range(batches):
            make_batch(samples, random.integers(len(samples.paths), size=batch_size), random)
        connection.send(process_time() - start)
