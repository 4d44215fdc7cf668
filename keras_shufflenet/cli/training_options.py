"""Options of the commands that train, and what they check."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

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
Epochs = Annotated[int | None, typer.Option(help="Default: the recipe's.")]
BatchSize = Annotated[int | None, typer.Option(help="Default: the recipe's.")]
LearningRate = Annotated[
    float | None, typer.Option(help="Peak learning rate. Default: the recipe's.")
]
Seed = Annotated[int, typer.Option(help="Seed of weights, order and augmentation.")]
ValAnnotations = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="COCO json to compute AP on.")
]
ValImageDir = Annotated[
    Path | None, typer.Option(exists=True, file_okay=False, help="Folder of its images.")
]
ValInterval = Annotated[int, typer.Option(help="Epochs between two validations.")]
Resume = Annotated[bool, typer.Option(help="Resume the training in the folder, or replace it.")]


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


def parse_validation(annotations: Path | None, image_dir: Path | None) -> tuple[Path, Path] | None:
    """Return the data to validate on; None if neither option is given."""
    if annotations is None and image_dir is None:
        return None
    if annotations is None or image_dir is None:
        raise ValueError(
            "--val-annotations and --val-image-dir must be given together. "
            f"Received: {annotations} and {image_dir}"
        )
    return annotations, image_dir


def choose_recipe(
    recipes: Mapping[str, Callable[..., Recipe]],
    name: str,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
) -> Recipe:
    """Return a recipe with the given numbers in the place of its own."""
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
    return recipes[name](**{key: value for key, value in changes.items() if value is not None})
