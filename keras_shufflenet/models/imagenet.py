"""Pre- and post-processing of ImageNet classifiers, as keras.applications has them."""

import csv
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

CLASSES_FILE = "imagenet_classes.csv"


@cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """Return (WordNet id, words) of the 1000 ImageNet classes, in the order of all networks."""
    text = files(__package__).joinpath(CLASSES_FILE).read_text(encoding="utf-8")
    return tuple((row["wnid"], row["words"]) for row in csv.DictReader(text.splitlines()))


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Return `x` unchanged: preprocessing is part of the models.

    Args:
        x: RGB images 0..255.
        data_format: Ignored; accepted for compatibility with keras.applications.
    """
    del data_format
    return x


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """Return the most probable ImageNet classes.

    Args:
        preds: Probabilities or logits (N, 1000).
        top: Number of classes to return, 1 to 1000.

    Returns:
        A list of (WordNet id, words, score) for each image, best first.

    Raises:
        ValueError: If the shape is another one or `top` is out of range.
    """
    scores = np.asarray(preds)
    classes = imagenet_classes()
    if scores.ndim != 2 or scores.shape[1] != len(classes):
        raise ValueError(
            f"`preds` must have the shape (N, {len(classes)}). Received: shape={scores.shape}"
        )
    if not 1 <= top <= len(classes):
        raise ValueError(f"`top` must be in 1..{len(classes)}. Received: top={top!r}")
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [(*classes[index], float(row[index])) for index in indices]
        for row, indices in zip(scores, order, strict=True)
    ]
