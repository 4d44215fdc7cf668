"""A training pipeline of classification in PyTorch, to compare the tf.data one with.

A `DataLoader` with the transforms of torchvision's references, written with Pillow and NumPy, as
torchvision's own do the same on images of Pillow: RandomResizedCrop, RandomHorizontalFlip,
ToTensor, Normalize. The tf.data pipeline leaves the last one to the model.
"""

import random
from collections.abc import Iterator, Sequence
from math import exp, log, sqrt
from time import perf_counter, process_time
from typing import Any

import numpy as np
from PIL import Image

try:
    import torch
    from torch.utils.data import DataLoader, Dataset, Sampler, default_collate, get_worker_info
except ImportError as error:
    raise ImportError(
        f"The benchmark needs PyTorch: pip install 'keras-shufflenet[dev]'. Received: {error}"
    ) from error

AREA, RATIO, TRIALS = (0.08, 1.0), (3 / 4, 4 / 3), 10
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def random_box(width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a random crop of torchvision's RandomResizedCrop."""
    for _ in range(TRIALS):
        area = width * height * random.uniform(*AREA)
        ratio = exp(random.uniform(log(RATIO[0]), log(RATIO[1])))
        w, h = round(sqrt(area * ratio)), round(sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return left, top, left + w, top + h
    w, h = min(width, round(height * RATIO[1])), min(height, round(width / RATIO[0]))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def make_sample(path: str, size: int, is_normalized: bool = True) -> "torch.Tensor":
    """Make one training sample.

    Args:
        path: An image file.
        size: Side of the crop.
        is_normalized: Whether the last transform is run.

    Returns:
        (3, size, size) float32, 0..1 or normalized.
    """
    with Image.open(path) as file:
        image = file.convert("RGB")
    crop = image.crop(random_box(*image.size)).resize((size, size), Image.Resampling.BILINEAR)
    if random.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = torch.from_numpy(np.array(crop)).permute(2, 0, 1).contiguous().float().div_(255)
    if not is_normalized:
        return pixels
    return pixels.sub_(torch.tensor(MEAN)[:, None, None]).div_(torch.tensor(STD)[:, None, None])


class _Samples(Dataset):
    def __init__(self, paths: Sequence[str], classes: Sequence[int], size: int) -> None:
        self._rows, self._size = list(zip(paths, classes, strict=True)), size

    def __getitem__(self, index: int) -> tuple["torch.Tensor", int]:
        path, label = self._rows[index]
        return make_sample(path, self._size), label


class _Endless(Sampler):
    def __init__(self, count: int) -> None:
        self._count = count

    def __iter__(self) -> Iterator[int]:
        while True:
            yield from np.random.permutation(self._count).tolist()


class Loader:
    """A DataLoader whose workers stay, and wait with full buffers while it is not read.

    Args:
        paths: Image files.
        classes: Their classes.
        size: Side of the crops.
        batch_size: Images per batch.
        workers: Number of processes.
    """

    def __init__(
        self,
        paths: Sequence[str],
        classes: Sequence[int],
        size: int,
        batch_size: int,
        workers: int,
    ) -> None:
        loader = DataLoader(
            _Samples(paths, classes, size),
            batch_size=batch_size,
            sampler=_Endless(len(paths)),
            num_workers=workers,
            collate_fn=_collate,
            worker_init_fn=_start,
            multiprocessing_context="spawn",
        )
        self._batches = iter(loader)
        self._times: dict[int, float] = {}

    def run(self, batches: int) -> tuple[float, float]:
        """Read some batches: seconds of wall time, and of CPU time of all processes."""
        wall, cpu, before = perf_counter(), process_time(), dict(self._times)
        for _ in range(batches):
            _, worker, seconds = next(self._batches)
            self._times[worker] = seconds
        elapsed = perf_counter() - wall
        of_workers = sum(
            seconds - before[worker] for worker, seconds in self._times.items() if worker in before
        )
        return elapsed, process_time() - cpu + of_workers

    def close(self) -> None:
        """End the workers."""
        del self._batches


def _start(worker: int) -> None:
    torch.set_num_threads(1)
    random.seed(worker)


def _collate(rows: list[Any]) -> tuple[Any, int, float]:
    """Return the batch, the worker that made it, and its CPU time so far."""
    info = get_worker_info()
    return default_collate(rows), -1 if info is None else info.id, process_time()
