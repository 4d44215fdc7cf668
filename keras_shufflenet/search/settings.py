"""What a supernet is trained and judged on, as a file in its folder.

With it the folder is all that a search needs: `SupernetSettings.read` makes the task again.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras

from keras_shufflenet._checks import check_choice, check_size
from keras_shufflenet._files import atomic_write
from keras_shufflenet.data import load_classification_dataset
from keras_shufflenet.data.tfds_source import opened
from keras_shufflenet.detection.coco_boxes import COCOBoxes, category_names
from keras_shufflenet.keypoints import COCOFile
from keras_shufflenet.models import PoseEstimator, RetinaNet
from keras_shufflenet.models.pose import HEADS
from keras_shufflenet.models.retinanet import CHANNELS, CONVOLUTIONS
from keras_shufflenet.search.evaluation import SupernetEvaluator
from keras_shufflenet.search.sampling import PathSampler, Sampling
from keras_shufflenet.search.spaces import Architecture, SearchSpace, search_space
from keras_shufflenet.search.supernet import Supernet
from keras_shufflenet.search.supernet_task import CALIBRATION_BATCHES, SupernetTask
from keras_shufflenet.training import (
    ClassificationTask,
    DetectionTask,
    PoseTask,
    Task,
    classification_recipes,
    detection_recipes,
    recipes,
)

FILE = "supernet.json"
TASKS = ("classification", "pose", "detection")
RECIPES: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "classification": classification_recipes.CLASSIFICATION_RECIPES,
    "pose": recipes.RECIPES,
    "detection": detection_recipes.DETECTION_RECIPES,
}


@dataclass(frozen=True, kw_only=True)
class SupernetSettings:
    """What a supernet is trained and judged on.

    Attributes:
        space: Name of the search space.
        channel_scales: Its channel scales.
        task: "classification", "pose" or "detection", which is RetinaNet.
        data: Images of classes as for `data.load_classification_dataset`, or a COCO json of
            keypoints or boxes.
        image_dir: Folder of the images of the json.
        val_data: The same to validate on. Images of classes are split without it.
        val_image_dir: Folder of the images of the json to validate on.
        val_split: Share of every class to validate on, without `val_data`.
        head: Head of the pose estimator.
        categories: Names or ids of the categories that become classes of the detector; all if
            there are none.
        fpn_channels: Channels of RetinaNet's pyramid and head.
        head_convs: Convolutions of RetinaNet's towers.
        input_size: (height, width) of the input.
        recipe: Name of the recipe: of `training.classification_recipes`, `training.recipes` or
            `training.detection_recipes`.
        changes: Its values that are others: epochs, batch_size, peak_learning_rate.
        sampling: As for `PathSampler`.
        seed: Seed of weights, data and architectures.

    Raises:
        ValueError: If a name is unknown, or the recipe freezes layers.
    """

    space: str = "one_shot"
    channel_scales: tuple[float, ...] = (1.0,)
    task: str
    data: str
    image_dir: str | None = None
    val_data: str | None = None
    val_image_dir: str | None = None
    val_split: float = 0.2
    head: str = "fpn"
    categories: tuple[str, ...] = ()
    fpn_channels: int = CHANNELS
    head_convs: int = CONVOLUTIONS
    input_size: tuple[int, int]
    recipe: str
    changes: Mapping[str, float]
    sampling: Sampling = "uniform"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the names."""
        check_choice("task", self.task, TASKS)
        check_choice("recipe", self.recipe, RECIPES[self.task])
        check_choice("head", self.head, HEADS)
        if getattr(self.make_recipe(), "frozen_epochs", 0):
            raise ValueError(
                "`recipe` must be one that trains all layers from the beginning, such as megvii. "
                f"Received: recipe={self.recipe!r}"
            )

    @property
    def search_space(self) -> SearchSpace:
        """The search space."""
        return search_space(self.space, self.channel_scales)

    def make_recipe(self) -> Any:
        """Return the recipe."""
        return RECIPES[self.task][self.recipe](**self.changes)

    def make_supernet(self) -> Supernet:
        """Build the supernet with random weights, which depend on the seed."""
        keras.utils.set_random_seed(self.seed)
        space = self.search_space
        architecture = Architecture((0,) * space.units)
        size = self.input_size
        if self.task == "pose":
            skeleton = COCOFile(self.data).skeleton
            network = PoseEstimator(f"{self.space}:{architecture}", skeleton, self.head, size)
        elif self.task == "detection":
            network = RetinaNet(
                f"{self.space}:{architecture}",
                category_names(COCOBoxes(opened(self.data)), self.categories),
                (*size, 3),
                fpn_channels=self.fpn_channels,
                head_convs=self.head_convs,
            )
        else:
            images = load_classification_dataset(self.data)
            classes = list(images.class_names) or images.num_classes
            network = space.build(architecture, input_shape=(*size, 3), classes=classes)
        return Supernet.of(network, space)

    def make_task(self, model: keras.Model) -> Task:
        """Return the task of a model: of the supernet, or of a network from it."""
        if self.task != "classification":
            task = PoseTask if self.task == "pose" else DetectionTask
            val_data = None if self.val_data is None else (self.val_data, self.val_image_dir)
            return task(
                model,
                [(self.data, self.image_dir)],
                self.make_recipe(),
                val_data=val_data,
                seed=self.seed,
            )
        images = load_classification_dataset(self.data)
        if self.val_data is None:
            images, held_out = images.split(self.val_split, self.seed)
        else:
            held_out = load_classification_dataset(self.val_data).matched(images.class_names)
        return ClassificationTask(
            model, images, self.make_recipe(), val_data=held_out, seed=self.seed
        )

    def make_supernet_task(
        self, supernet: Supernet, calibration_batches: int = CALIBRATION_BATCHES
    ) -> SupernetTask:
        """Return the training of the supernet."""
        sampler = PathSampler(supernet.space, self.sampling, self.seed)
        return SupernetTask(
            self.make_task(supernet.model),
            supernet,
            sampler,
            calibration_batches=calibration_batches,
        )

    def write(self, directory: Path) -> None:
        """Write the settings into the folder of a training."""
        text = json.dumps(asdict(self), indent=2) + "\n"
        directory.mkdir(parents=True, exist_ok=True)
        atomic_write(directory / FILE, lambda path: path.write_text(text, encoding="utf-8"))

    @classmethod
    def read(cls, directory: str | Path) -> "SupernetSettings":
        """Return the settings of a folder.

        Raises:
            FileNotFoundError: If the folder is not that of a supernet's training.
            ValueError: If the file is malformed.
        """
        path = Path(directory) / FILE
        if not path.is_file():
            raise FileNotFoundError(
                "The folder must be that of a training by `keras-shufflenet search supernet`. "
                f"Received: {directory}"
            )
        try:
            found = cls(**json.loads(path.read_text(encoding="utf-8")))
            size = check_size("input_size", found.input_size)
            return replace(
                found,
                channel_scales=tuple(found.channel_scales),
                categories=tuple(found.categories),
                input_size=size,
            )
        except (TypeError, ValueError) as error:
            raise ValueError(f"The settings are malformed ({error}). Received: {path}") from error


def open_evaluator(directory: str | Path) -> SupernetEvaluator:
    """Return the evaluator of a folder in which `search supernet` has trained.

    Raises:
        FileNotFoundError: If the folder is not that of a supernet's training.
        ValueError: If its settings are malformed.
    """
    return SupernetEvaluator(directory, SupernetSettings.read(directory).make_task)
