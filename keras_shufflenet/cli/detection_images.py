"""Images for the export of detectors, fitted to their input as in prediction."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_shufflenet.cli.options import pair

if TYPE_CHECKING:
    import keras
    import numpy as np

    from keras_shufflenet.inference import Detector

Batches = Callable[[], Iterator["np.ndarray"]]


def find_detector(network: "keras.Model", size: tuple[int, int] | None = None) -> "Detector | None":
    """Return the detector of a network, None if it is none.

    Args:
        network: Any model.
        size: (height, width) of the images, for a model that takes any size.
    """
    from keras_shufflenet.inference import Detector

    try:
        return Detector.load(network, input_size=size)
    except ValueError:
        return None


def folder_images(detector: "Detector", folder: Path, option: str, batch_size: int = 1) -> Batches:
    """Return the images of a folder and its subfolders.

    Args:
        detector: The detector.
        folder: What the user passed.
        option: The option's name, for the message.
        batch_size: Number of images in each batch.

    Returns:
        A function that yields the images (N, height, width, channels) in batches.

    Raises:
        ValueError: If it is no folder with images.
    """
    from keras_shufflenet.data.image_files import find_image_files

    paths = find_image_files(folder)[0] if folder.is_dir() else []
    if not paths:
        raise ValueError(
            f"{option} must be a folder with images for a detector. Received: {option} {folder}"
        )
    return _batches(detector, paths, batch_size)


def annotated_images(
    detector: "Detector",
    annotations: Sequence[Path],
    image_dirs: Sequence[Path],
    batch_size: int = 1,
) -> Batches:
    """Return the images of COCO files; their annotations are not needed.

    Args:
        detector: The detector.
        annotations: COCO files.
        image_dirs: A folder for all of them, or one for each.
        batch_size: Number of images in each batch.

    Returns:
        As for `folder_images`.

    Raises:
        FileNotFoundError: If an image is missing.
        ValueError: If a file is malformed.
    """
    from keras_shufflenet.data.annotated_files import resolve_image_files
    from keras_shufflenet.detection import COCOBoxes

    paths: list[str] = []
    for path, folder in pair(annotations, image_dirs):
        file = COCOBoxes(path)
        names = [image.file_name for image in file.images.values()]
        paths += resolve_image_files(names, folder, file.place)
    return _batches(detector, paths, batch_size)


def _batches(detector: "Detector", paths: Sequence[str | Path], batch_size: int) -> Batches:
    """Return batches in an order that mixes folders and files, the same in every pass."""
    import numpy as np

    order = np.random.default_rng(0).permutation(len(paths))

    def batches() -> "Iterator[np.ndarray]":
        for start in range(0, len(paths), batch_size):
            rows = order[start : start + batch_size]
            yield np.stack([detector.fit(paths[row])[0] for row in rows]).astype(np.float32)

    return batches
