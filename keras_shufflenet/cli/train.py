"""`keras-shufflenet train`: train a pose estimator on annotated people."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_shufflenet.cli.options import (
    Annotations,
    Images,
    InputSize,
    Weights,
    pair,
    parse_size,
    parse_weights,
)

if TYPE_CHECKING:
    from keras_shufflenet.training.recipes import Recipe

EXAMPLES = """
keras-shufflenet train --annotations person_keypoints_train2017.json --images train2017 \
--val-annotations person_keypoints_val2017.json --val-images val2017 --output runs/pose
keras-shufflenet train --annotations a.json --images a --annotations b.json --images b \
--recipe finetune --head light --epochs 20 --output runs/short
"""


def train(
    annotations: Annotations,
    images: Images,
    output: Annotated[Path, typer.Option(help="Folder of the training.")],
    model: Annotated[str, typer.Option(help="Backbone, see `keras-shufflenet models`.")] = (
        "shufflenet_v2_x1_0"
    ),
    head: Annotated[str, typer.Option(help="deconv, light or fpn.")] = "light",
    input_size: InputSize = "256x192",
    weights: Weights = None,
    start_from: Annotated[
        Path | None,
        typer.Option(help="Trained estimator of the same network and any input size, as a start."),
    ] = None,
    recipe: Annotated[str, typer.Option(help="mmpose, short or scratch.")] = "mmpose",
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--lr", help="Greatest learning rate, instead of the recipe's.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.")] = 0,
    val_annotations: Annotated[Path | None, typer.Option(help="json for measuring AP.")] = None,
    val_images: Annotated[Path | None, typer.Option(help="Folder of its images.")] = None,
    evaluate_every: Annotated[int, typer.Option(help="Epochs between measurements.")] = 10,
    resume: Annotated[
        bool, typer.Option(help="Go on with the training in the folder, or replace it.")
    ] = True,
) -> None:
    """Train a pose estimator on people with annotated keypoints.

    The same command goes on with a training that was stopped.
    """
    sources, size = pair(annotations, images), parse_size(input_size)
    validation = _validation(val_annotations, val_images)
    import keras

    import keras_shufflenet as ks

    keras.utils.set_random_seed(seed)
    network = ks.PoseEstimator(
        model,
        head=head,
        input_size=size,
        weights=str(start_from) if start_from is not None else None,
        backbone_weights=parse_weights(weights or "imagenet") if start_from is None else None,
    )
    ks.training.train_pose(
        network,
        sources,
        output,
        _recipe(recipe, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate),
        val_data=validation,
        seed=seed,
        resume=resume,
        val_interval=evaluate_every,
    )
    typer.echo(f"trained: {output / 'model.keras'}")


def _validation(annotations: Path | None, images: Path | None) -> tuple[Path, Path] | None:
    if annotations is None and images is None:
        return None
    if annotations is None or images is None:
        raise ValueError(
            f"--val-annotations and --val-images go together. Received: {annotations} and {images}"
        )
    return annotations, images


def _recipe(name: str, **changes: float | None) -> "Recipe":
    from keras_shufflenet.training.recipes import RECIPES

    if name not in RECIPES:
        raise ValueError(f"--recipe must be one of {', '.join(RECIPES)}. Received: {name}")
    return RECIPES[name](**{key: value for key, value in changes.items() if value is not None})
