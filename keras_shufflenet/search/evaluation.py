"""The score of an architecture: that of its path through a trained supernet."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_shufflenet._checks import check_integer
from keras_shufflenet.search.sampling import PathSampler
from keras_shufflenet.search.spaces import Architecture
from keras_shufflenet.search.supernet import Supernet
from keras_shufflenet.search.supernet_task import CALIBRATION_BATCHES, SupernetTask
from keras_shufflenet.training.trainer import Task


class SupernetEvaluator:
    """Score architectures by a trained supernet, as `Callable[[Architecture], float]`.

    The architecture is selected, the statistics of its batch normalizations are estimated anew on
    training batches, always the same ones, and the task's metric is computed on its validation
    data: top-1 accuracy, keypoint AP or box AP. The score depends on nothing else, so that it is
    the same in every process and order.

    It is pickled as its settings. The supernet is opened and traced with the first architecture.

    Args:
        supernet: The `.keras` file of a supernet, or the folder of its training.
        make_task: Returns the task, with validation data, for the supernet's model; it must be
            picklable to be used in several processes, such as a `functools.partial` of
            `ClassificationTask` or `PoseTask`.
        calibration_batches: Number of training batches for the statistics.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the number is out of range.
    """

    def __init__(
        self,
        supernet: str | Path,
        make_task: Callable[[keras.Model], Task],
        *,
        calibration_batches: int = CALIBRATION_BATCHES,
    ) -> None:
        check_integer("calibration_batches", calibration_batches)
        self.supernet = Path(supernet).absolute()
        self.make_task = make_task
        self.calibration_batches = calibration_batches
        if not self.supernet.exists():
            raise FileNotFoundError(
                f"`supernet` must be an existing file or folder. Received: {supernet}"
            )
        self._task: SupernetTask | None = None

    def __call__(self, architecture: Architecture) -> float:
        """Return the score of an architecture.

        Raises:
            ValueError: If the task has no validation data, or the architecture is of another space.
        """
        if self._task is None:
            supernet = Supernet.load(self.supernet)
            self._task = SupernetTask(
                self.make_task(supernet.model),
                supernet,
                PathSampler(supernet.space),
                calibration_batches=self.calibration_batches,
            )
        found = self._task.score(architecture)
        if found is None:
            raise ValueError(
                "`make_task` must return a task with validation data. Received: a task without"
            )
        return float(found[self._task.best_metric])

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings; the supernet is opened anew where they are unpickled."""
        return self.__dict__ | {"_task": None}
