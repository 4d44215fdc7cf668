"""Images with classes, and their files: the datasets of the classification pipeline."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from keras_shufflenet._checks import check_integer, check_names
from keras_shufflenet._read_report import ReadReport
from keras_shufflenet.data.class_folders import read_labeled_images
from keras_shufflenet.data.labels_csv import COLUMNS, UNKNOWN
from keras_shufflenet.data.records import absolute_path
from keras_shufflenet.data.tfds_source import TFDSSource, opened


@dataclass(frozen=True, eq=False)
class ClassificationDataset:
    """N images with their classes.

    Attributes:
        paths: (N,) strings, the image files.
        classes: (N,) int64, -1 for images without a class.
        class_names: Names of the classes; empty if unknown.
        report: How many files were read, and which were left out.
    """

    paths: np.ndarray
    classes: np.ndarray
    class_names: tuple[str, ...]
    report: ReadReport

    def __len__(self) -> int:
        """Return N."""
        return len(self.paths)

    @property
    def num_classes(self) -> int:
        """The number of classes: of names, or else one more than the largest class."""
        return len(self.class_names) or int(self.classes.max()) + 1

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of batches that contain every image."""
        return ceil(len(self) / batch_size)

    def batches(self, **arguments: Any) -> Any:
        """Return the tf.data dataset, see `data.classification` for the arguments."""
        from keras_shufflenet.data.classification_pipeline import classification

        return classification(self, **arguments)

    def counts(self) -> np.ndarray:
        """Return the number of images of each class, (classes,) int64."""
        return np.bincount(self.classes[self.classes >= 0], minlength=self.num_classes)

    def named(self, class_names: Sequence[str]) -> "ClassificationDataset":
        """Return the same images with names of the classes.

        Raises:
            ValueError: If there are fewer names than classes.
        """
        names = check_names("class_names", class_names, "a list of names")
        if len(names) <= self.classes.max():
            raise ValueError(
                f"`class_names` must have at least {self.classes.max() + 1} names, one for each "
                f"class. Received: {len(names)} names"
            )
        return replace(self, class_names=names)

    def matched(self, class_names: Sequence[str]) -> "ClassificationDataset":
        """Return the same images with the classes of another dataset, which go by name.

        Args:
            class_names: Names of the classes of a model or of other data; if there are none there
                or here, classes go by their number.

        Raises:
            ValueError: If a class has another name.
        """
        if not class_names or not self.class_names:
            return replace(self, class_names=tuple(class_names) or self.class_names)
        index = {name: n for n, name in enumerate(class_names)}
        if unknown := [name for name in self.class_names if name not in index]:
            raise ValueError(
                "Class folders must have the names of the classes, "
                f"{', '.join(list(class_names)[:5])}{', …' if len(class_names) > 5 else ''}. "
                f"Received: {', '.join(unknown[:5])} in {self.report.source}"
            )
        table = np.array([index[name] for name in self.class_names])
        return replace(self, classes=table[self.classes], class_names=tuple(class_names))

    def select(self, rows: np.ndarray | slice) -> "ClassificationDataset":
        """Return the images of some rows, given as indices, a mask or a slice."""
        return replace(self, paths=self.paths[rows], classes=self.classes[rows])

    def split(
        self, fraction: float, seed: int = 0
    ) -> tuple["ClassificationDataset", "ClassificationDataset"]:
        """Split at random, the same fraction of every class.

        A class of two images or more has at least one in either part. An image that is listed
        several times is in one part alone, also with several classes: it counts for its first.

        Args:
            fraction: Share of the second part, above 0 and below 1.
            seed: The same seed gives the same parts.

        Returns:
            The two parts, in the order of the images.

        Raises:
            ValueError: If the fraction is out of range, or the second part has no image.
        """
        check_integer("seed", seed, minimum=0)
        if not 0 < fraction < 1:
            raise ValueError(
                f"`fraction` must be a number above 0 and below 1. Received: fraction={fraction!r}"
            )
        second = np.zeros(len(self), bool)
        _, first, image = np.unique(self.paths, return_index=True, return_inverse=True)
        images = np.sort(first)  # the first row of each, in their order
        for index in np.unique(self.classes[images]):
            numbers = images[self.classes[images] == index]
            count = min(max(round(fraction * len(numbers)), 1), len(numbers) - 1)
            order = np.random.default_rng([seed, int(index) + 1]).permutation(numbers)
            second |= np.isin(first[image], order[:count])
        if not second.any():
            raise ValueError(
                "A dataset must have at least two images of a class to be split. "
                f"Received: {len(self)} images of as many classes in {self.report.source}"
            )
        return self.select(~second), self.select(second)

    def write_csv(self, path: Path) -> None:
        """Write a csv file of the images and classes, which may be a source again."""
        with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for image, index in zip(self.paths.tolist(), self.classes.tolist(), strict=True):
                writer.writerow([absolute_path(image), index])

    def check_training(self) -> None:
        """Check that every image has a class.

        Raises:
            ValueError: If one has none.
        """
        if self.classes.min() == UNKNOWN:
            raise ValueError(
                "Every image must have a class for training: `source` must be a folder with one "
                "subfolder per class, or a csv file or dataset without classes of -1. "
                f"Received: source={self.report.source!r}"
            )


def load_classification_dataset(
    source: str | Path | TFDSSource, image_dir: str | Path | None = None
) -> ClassificationDataset:
    """Read the classes and paths of images.

    Args:
        source: A csv file with the columns `filename` and `class_index`, a folder with such a file
            named labels.csv, or a folder with one subfolder of images per class. Subfolders are
            numbered in the order of their names, which for WordNet ids is the order of ImageNet;
            those that begin with ".", "__" or "@" are no classes.
            Images in a folder without subfolders have the class -1 and serve for calibration only.
            Or a dataset of `data.tfds`, or its name ("tfds:imagenette/320px-v2:train").
        image_dir: Image folder of the csv file; by default the folder `images` beside it, or if
            there is none, the one that the file is in.

    Raises:
        FileNotFoundError: If `source` or an image does not exist.
        ValueError: If the csv file is invalid, or a class or the folder has no image.
    """
    source = opened(source)
    if not isinstance(source, str | Path | TFDSSource):
        raise ValueError(
            "`source` must be the path of a csv file or a folder, or a dataset of tfds (for "
            "`data.classification` also a tf.data.Dataset or another iterable of images with "
            f"classes). Received: source of type {type(source).__name__}"
        )
    if isinstance(source, TFDSSource):
        files, classes, names, report = source.labeled_images
    else:
        files, classes, names, report = read_labeled_images(Path(source), image_dir)
    return ClassificationDataset(np.array(files), classes, names, report)
