"""Where the metrics of a training go beside its log.csv: TensorBoard, Weights & Biases."""

import os
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import keras

from keras_shufflenet._checks import check_choice
from keras_shufflenet._requirements import check_installed

PROJECT = "keras-shufflenet"  # of Weights & Biases, unless WANDB_PROJECT names another
TENSORBOARD = "tensorboard"


def _tensorboard(directory: Path) -> keras.callbacks.Callback:
    return keras.callbacks.TensorBoard(directory / TENSORBOARD, write_graph=False)


def _wandb(directory: Path) -> keras.callbacks.Callback:
    """Log into the run that is active, or into one of the folder, which is resumed with it."""
    import wandb
    from wandb.integration.keras import WandbMetricsLogger

    if wandb.run is None:
        name = str(directory.absolute())
        own = sha256(name.encode()).hexdigest()[:16]
        project = os.environ.get("WANDB_PROJECT", PROJECT)
        wandb.init(project=project, name=directory.name, dir=name, id=own, resume="allow")
    return WandbMetricsLogger()


LOGGERS: Mapping[str, Callable[[Path], keras.callbacks.Callback]] = MappingProxyType(
    {"tensorboard": _tensorboard, "wandb": _wandb}
)


def check_loggers(names: Sequence[str] | None) -> None:
    """Check that loggers exist and are installed.

    Raises:
        ImportError: If one is not installed.
        ValueError: If there is no such logger.
    """
    for name in names or ():
        check_choice("loggers", name, tuple(LOGGERS))
        check_installed(f"The logger {name}", name, (name,))


def make_loggers(names: Sequence[str] | None, directory: Path) -> list[keras.callbacks.Callback]:
    """Return the callbacks of loggers; None for TensorBoard if it is installed."""
    if names is None:
        writes = find_spec(TENSORBOARD) and keras.backend.backend() != "torch"
        names = (TENSORBOARD,) if writes else ()
    return [LOGGERS[name](directory) for name in names]
