"""What is to be known of a trained classifier: confusions, classes, worst mistakes."""

import csv
import heapq
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from keras_shufflenet._files import atomic_write
from keras_shufflenet.data.pipeline import iterate_arrays
from keras_shufflenet.data.records import absolute_path
from keras_shufflenet.inference.image_grid import drawable, image_grid
from keras_shufflenet.inference.image_io import with_channels
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.metrics.imagenet import count_correct
from keras_shufflenet.training.confusion_matrix import draw_confusion

MISTAKES = 24  # images that are shown
COLUMNS = 6
TILE = (160, 200)
TITLE = 24  # letters of names below an image, before the score
SMALLEST = 1e-7  # probability, of which there is a logarithm
TOP5_CLASSES = 5  # with as many or fewer, every class is among the first five


class Mistake(NamedTuple):
    """An image of another class than predicted.

    Attributes:
        probability: Of the wrong class.
        order: Number of the image from 1, negative: of the same probability the first is the worst.
        image: (H, W, 3) uint8, as the network takes it.
        true: Index of its class.
        predicted: Index of the predicted class.
    """

    probability: float
    order: int
    image: np.ndarray
    true: int
    predicted: int


class Predictions(NamedTuple):
    """What a classifier says of N images.

    Attributes:
        scores: (N, classes) float32, probabilities.
        classes: (N,) int64, the true classes.
        mistakes: The worst ones, the worst first.
    """

    scores: np.ndarray
    classes: np.ndarray
    mistakes: list[Mistake]

    def select(self, rows: np.ndarray) -> "Predictions":
        """Return those of some images, given as a mask (N,)."""
        mistakes = [each for each in self.mistakes if rows[-each.order - 1]]
        return Predictions(self.scores[rows], self.classes[rows], mistakes)

    def metrics(self) -> dict[str, float]:
        """Return val_loss and val_accuracy, and val_top5 of more than five classes."""
        own = self.scores[np.arange(len(self.classes)), self.classes]
        found = {
            "val_loss": float(-np.log(np.maximum(own, SMALLEST)).mean()),
            "val_accuracy": count_correct(self.scores, self.classes, 1) / len(self.classes),
        }
        if self.scores.shape[1] > TOP5_CLASSES:
            found["val_top5"] = count_correct(self.scores, self.classes, 5) / len(self.classes)
        return found

    def confusion(self) -> np.ndarray:
        """Return the number of images by true and by predicted class, (classes, classes)."""
        count = self.scores.shape[1]
        flat = self.classes * count + self.scores.argmax(axis=1)
        return np.bincount(flat, minlength=count * count).reshape(count, count)


def predict(predictor: Predictor, batches: Any, *, is_logits: bool = False) -> Predictions:
    """Run a classifier on a dataset.

    Args:
        predictor: The classifier.
        batches: A finite tf.data dataset of images (B, H, W, 3) and classes (B,).
        is_logits: Whether it outputs logits instead of probabilities.
    """
    scores, classes = [], []
    worst: list[Mistake] = []
    order = 0
    for images, true in iterate_arrays(batches):
        found = predictor.predict(with_channels(images, predictor.channels, predictor.name))
        found = _softmax(found) if is_logits else found
        for row, (image, index) in enumerate(zip(images, true.tolist(), strict=True)):
            order += 1
            predicted = int(found[row].argmax())
            if predicted != index:
                share = float(found[row][predicted])
                pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
                heapq.heappush(worst, Mistake(share, -order, pixels, index, predicted))
                worst = heapq.nlargest(MISTAKES, worst, key=lambda each: each[:2])
                heapq.heapify(worst)
        scores.append(found)
        classes.append(true)
    worst.sort(key=lambda each: each[:2], reverse=True)
    return Predictions(np.concatenate(scores), np.concatenate(classes), worst)


def write_report(
    found: Predictions, names: Sequence[str], paths: Sequence[str], directory: Path
) -> None:
    """Write classes.csv, confusion.csv, confusion.png, mistakes.csv and mistakes.jpg.

    Args:
        found: The predictions.
        names: Names of the classes.
        paths: The N images.
        directory: Folder of the files.
    """
    matrix = found.confusion()
    _write_rows(
        directory / "confusion.csv",
        [["true \\ predicted", *names], *([name, *row] for name, row in zip(names, matrix.tolist(),
                                                                             strict=True))],
    )  # fmt: skip
    _write_rows(directory / "classes.csv", class_table(matrix, names))
    shown = [drawable(name, f"class {index}") for index, name in enumerate(names)]
    atomic_write(directory / "confusion.png", draw_confusion(matrix, shown).save)
    _write_rows(directory / "mistakes.csv", mistake_table(found, names, paths))
    path = directory / "mistakes.jpg"
    path.unlink(missing_ok=True)
    if found.mistakes:
        titles = [
            f"{shown[each.true]} -> {shown[each.predicted]}"[:TITLE] + f" {each.probability:.2f}"
            for each in found.mistakes
        ]
        images = [each.image for each in found.mistakes]
        grid = image_grid(images, COLUMNS, tile=TILE, titles=titles)
        atomic_write(path, Image.fromarray(grid).save)


def class_table(matrix: np.ndarray, names: Sequence[str]) -> list[list[str | int]]:
    """Return a header and, for each class, its precision, recall, F1 and number of images.

    A precision, recall or F1 that is not defined is empty.

    Args:
        matrix: (classes, classes) numbers of images by true and predicted class.
        names: Names of the classes.
    """
    rows: list[list[str | int]] = [["class", "precision", "recall", "f1", "support"]]
    for index, name in enumerate(names):
        right, true = int(matrix[index, index]), int(matrix[index].sum())
        predicted = int(matrix[:, index].sum())
        ratios = ((right, predicted), (right, true), (2 * right, true + predicted))
        shown = [f"{part / whole:.4f}" if whole else "" for part, whole in ratios]
        rows.append([name, *shown, true])
    return rows


def mistake_table(
    found: Predictions, names: Sequence[str], paths: Sequence[str]
) -> list[list[str]]:
    """Return a header and the images of another class than predicted, as in mistakes.jpg.

    Args:
        found: The predictions.
        names: Names of the classes.
        paths: The N images.
    """
    predicted, best = found.scores.argmax(axis=1), found.scores.max(axis=1)
    wrong = np.nonzero(predicted != found.classes)[0]
    rows = [["filename", "class", "predicted", "score"]]
    for index in wrong[np.argsort(-best[wrong], kind="stable")].tolist():
        pair = names[found.classes[index]], names[predicted[index]]
        rows.append([absolute_path(paths[index]), *pair, f"{best[index]:.4f}"])
    return rows


def _write_rows(path: Path, rows: Iterable[Sequence[str | int]]) -> None:
    def write(beside: Path) -> None:
        with beside.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            csv.writer(file).writerows(rows)

    atomic_write(path, write)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
