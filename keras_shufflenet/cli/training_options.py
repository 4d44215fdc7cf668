"""Options of the commands that train, and what they check."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from keras_shufflenet._requirements import check_installed
from keras_shufflenet.cli.data_arguments import (
    OR_DATASET,
    check_image_dir,
    file_or_dataset,
    is_dataset,
)

CSV = "csv"
LOGGERS = (CSV, "tensorboard", "wandb")

Recipe = TypeVar("Recipe")

OutputDir = Annotated[Path, typer.Option(file_okay=False, help="Folder of the training.")]
BackboneWeights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="Weights of the backbone: imagenet, none, a name of `keras-shufflenet models`, or a "
        "checkpoint. Default: imagenet.",
    ),
]
Repeat = Annotated[
    list[int] | None,
    typer.Option(
        min=1,
        metavar="<int>",
        help="How often an epoch sees the instances of an --annotations; given once for all of "
        "them, or once for each. Default: 1.",
    ),
]
Epochs = Annotated[int | None, typer.Option(help="Default: the recipe's.")]
BatchSize = Annotated[int | None, typer.Option(help="Default: the recipe's.")]
LearningRate = Annotated[
    float | None, typer.Option(help="Peak learning rate. Default: the recipe's.")
]
Seed = Annotated[int, typer.Option(help="Seed of weights, order and augmentation.")]
ValAnnotations = Annotated[
    Path | None,
    typer.Option(
        parser=file_or_dataset, metavar="FILE", help=f"COCO json to compute AP on, {OR_DATASET}."
    ),
]
ValImageDir = Annotated[
    Path | None, typer.Option(exists=True, file_okay=False, help="Folder of its images.")
]
ValInterval = Annotated[int, typer.Option(help="Epochs between two validations.")]
Resume = Annotated[bool, typer.Option(help="Resume the training in the folder, or replace it.")]
Patience = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="<int>",
        help="Epochs without a better model after which the training ends. Default: never.",
    ),
]
MaxCorruptImages = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="<int>",
        help="Images that may be unreadable, and are left out. Default: an error at one.",
    ),
]
Strategy = Annotated[
    Literal["mirrored", "multi_worker", "data_parallel"] | None,
    typer.Option(
        metavar="<str>",
        help="mirrored: all GPUs of this machine; multi_worker: the workers of TF_CONFIG; "
        "data_parallel: all devices, with JAX. Default: one device.",
    ),
]
SyncBatchNorm = Annotated[
    bool,
    typer.Option(
        "--sync-batch-norm",
        help="Normalize with the statistics of all devices. Default: with those of each.",
    ),
]
Precision = Annotated[
    Literal["float32", "bfloat16", "float16"],
    typer.Option(
        metavar="<str>",
        help="float32, bfloat16 or float16: layers compute in it; variables, outputs and losses "
        "are float32.",
    ),
]
AccumulationSteps = Annotated[
    int,
    typer.Option(
        min=1, metavar="<int>", help="Parts of a batch that are computed one after another."
    ),
]
Loggers = Annotated[
    list[str] | None,
    typer.Option(
        "--logger",
        metavar="<str>",
        help="Where metrics go: csv (log.csv, always written), tensorboard, wandb; may be "
        "repeated. Default: csv, and tensorboard if it is installed.",
    ),
]

Categories = Annotated[
    list[str] | None,
    typer.Option(
        "--category",
        help="Name or id of a category that becomes a class; may be repeated. Default: all "
        "categories of the first --annotations.",
    ),
]
FPNChannels = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="<int>", help="Channels of RetinaNet's pyramid and head. Default: 256."
    ),
]
HeadConvs = Annotated[
    int | None,
    typer.Option(min=0, metavar="<int>", help="Convolutions of RetinaNet's towers. Default: 4."),
]


def parse_loggers(loggers: Sequence[str] | None) -> list[str] | None:
    """Return the loggers beside log.csv; None for the default.

    Raises:
        ImportError: If one is not installed.
        ValueError: If there is no such logger.
    """
    if not loggers:
        return None
    for name in loggers:
        if name not in LOGGERS:
            raise ValueError(f"--logger must be one of {', '.join(LOGGERS)}. Received: {name}")
    beside = [name for name in loggers if name != CSV]
    for name in beside:
        check_installed(f"The logger {name}", name, (name,))
    return beside


def check_strategy(strategy: str | None) -> None:
    """Check that the workers of `--strategy multi_worker` are known.

    Raises:
        ValueError: If TF_CONFIG does not name them.
    """
    if strategy != "multi_worker":
        return
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text or "{}")
        kind, index = config["task"]["type"], int(config["task"]["index"])
        known = kind in ("chief", "worker") and bool(config["cluster"][kind][index])
    except (ValueError, KeyError, IndexError, TypeError):
        known = False
    if not known:
        raise ValueError(
            "--strategy multi_worker must have the environment variable TF_CONFIG, as "
            '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", '
            f'"index": 0}}}}. Received: TF_CONFIG={text!r}'
        )


def check_initial(checkpoint: str | None, weights: str | None) -> None:
    """Check what needs neither Keras nor a download."""
    if checkpoint is None:
        return
    if weights is not None:
        raise ValueError(
            "--weights (of the backbone) and --initial-checkpoint (of the whole network) must not "
            f"be given together. Received: {weights} and {checkpoint}"
        )
    from keras_shufflenet.weights.catalog import CATALOG, DATASETS

    if checkpoint not in (*CATALOG, *DATASETS) and not Path(checkpoint).is_file():
        own = [name for name in CATALOG if name.startswith(f"{checkpoint}.")]
        hint = f"; the weights of this model are {own[0]}" if own else ""
        raise FileNotFoundError(
            "--initial-checkpoint must be an existing file, coco, mpii or the name of weights in "
            f"`keras-shufflenet models`{hint}. Received: {checkpoint}"
        )


def parse_validation(
    annotations: Path | None, image_dir: Path | None
) -> tuple[Path, Path | None] | None:
    """Return the data to validate on; None if neither option is given."""
    if annotations is None and image_dir is None:
        return None
    if annotations is None or (image_dir is None and not is_dataset(annotations)):
        raise ValueError(
            "--val-annotations and --val-image-dir must be given together. "
            f"Received: {annotations} and {image_dir}"
        )
    check_image_dir([annotations], [image_dir] if image_dir else None, "--val-")
    return annotations, image_dir


def choose_recipe(
    recipes: Mapping[str, Callable[..., Recipe]],
    name: str,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    accumulation_steps: int = 1,
) -> Recipe:
    """Return a recipe with the given numbers in the place of its own.

    Raises:
        ValueError: If there is no such recipe, the learning rate is not positive, or the steps of
            accumulation do not divide the batch.
    """
    from keras_shufflenet._checks import is_positive  # imports NumPy

    if name not in recipes:
        raise ValueError(f"--recipe must be one of {', '.join(recipes)}. Received: {name}")
    if learning_rate is not None and not is_positive(learning_rate):
        raise ValueError(
            f"--learning-rate must be a positive number. Received: --learning-rate={learning_rate}"
        )
    changes: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "peak_learning_rate": learning_rate,
    }
    recipe = recipes[name](**{key: value for key, value in changes.items() if value is not None})
    check_accumulation(recipe, accumulation_steps)
    return recipe


def check_accumulation(recipe: Any, accumulation_steps: int) -> None:
    """Check what a training would find out in its first step.

    Raises:
        ValueError: If the steps of accumulation do not divide the batch.
    """
    if recipe.batch_size % accumulation_steps:
        raise ValueError(
            "--batch-size must be a multiple of --accumulation-steps. Received: "
            f"--batch-size {recipe.batch_size} and --accumulation-steps {accumulation_steps}"
        )
