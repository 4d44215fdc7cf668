"""Top-1 and top-5 accuracy of a classifier."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.progress import track

from keras_shufflenet import data
from keras_shufflenet._types import Size
from keras_shufflenet.data.classification_pipeline import class_folders
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.metrics.batches import arrays

CROP = 224


def imagenet(
    model: Any,
    source: str | Path,
    image_dir: str | Path | None = None,
    *,
    resize_size: int | None = None,
    crop_size: int | Size | None = None,
    resize_method: Literal["torchvision", "megvii"] = "torchvision",
    batch_size: int = 32,
    progress: bool = True,
) -> dict[str, float]:
    """Measure the accuracy of a classifier.

    Images are resized by their short side and cropped in the center.

    Args:
        model: a `keras.Model`, the path of a `.keras` or `.tflite` file, or a function, from
            images (N, H, W, 3) float32 RGB 0..255 to scores (N, classes).
        source: a csv with the columns `filename` and `class_index`, a folder that holds one by the
            name of labels.csv, or a folder with a folder of images for each class of the model, in
            the order of their names.
        image_dir: the folder of the csv's images; by default `image_dir` beside the csv.
        resize_size: length of the short side in pixels; by default 256 for a crop of 224, and others in
            proportion.
        crop_size: side of the square that the model sees, or its (height, width); by default the
            model's input size, or 224.
        resize_method: whose resizing: "torchvision" (Pillow's, antialiased) or "megvii" (OpenCV's).
        batch_size: images at a time.
        progress: show a progress bar.

    Returns:
        top1 and top5, shares between 0 and 1, and count, the number of images.

    Raises:
        FileNotFoundError: the model, the labels or an image is missing.
        ValueError: the labels do not hold what they should, an image cannot be decoded, or the
            model gives no scores of their classes.
    """
    predictor = Predictor.load(model)
    size = crop_size or (predictor.input_size if predictor.has_input_size else CROP)
    dataset = data.classification(
        source,
        image_dir,
        resize_size=resize_size,
        crop_size=size,
        resize_method=resize_method,
        batch_size=batch_size,
    )
    steps = int(dataset.cardinality())
    folders = len(class_folders(Path(source)))
    right, count = np.zeros(2, np.int64), 0
    batches = track(arrays(dataset), "Images", total=steps, disable=not progress)
    for pictures, classes in batches:
        scores = _checked(predictor.predict(pictures), classes, folders, predictor.name)
        right += [count_correct(scores, classes, 1), count_correct(scores, classes, 5)]
        count += len(classes)
    return {"top1": float(right[0] / count), "top5": float(right[1] / count), "count": count}


def _checked(scores: np.ndarray, classes: np.ndarray, folders: int, name: str) -> np.ndarray:
    if classes.min() < 0:
        raise ValueError(
            "Every image must have a class: give a csv, or a folder with a folder for each class. "
            f"Received: class {classes.min()}"
        )
    if scores.ndim != 2 or scores.shape[1] <= classes.max():
        raise ValueError(
            f"{name} must give scores of shape (N, classes) with a class {classes.max()}. "
            f"Received: {scores.shape}"
        )
    if folders and folders != scores.shape[1]:
        raise ValueError(
            f"Folders of classes are numbered in the order of their names: {name} needs one for "
            f"each of its {scores.shape[1]} classes, or a csv. Received: {folders} folders"
        )
    return scores


def count_correct(scores: np.ndarray, labels: np.ndarray, k: int) -> int:
    """Count the images whose class is among the k highest scores.

    Args:
        scores: (N, classes), probabilities or logits.
        labels: (N,) indices of the true classes.
        k: how many guesses an image has; all classes if there are fewer.
    """
    k = min(k, scores.shape[1])
    best = np.argpartition(scores, -k, axis=1)[:, -k:]
    return int((best == labels[:, None]).any(axis=1).sum())
