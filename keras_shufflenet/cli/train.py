"""`keras-shufflenet train`: train models on your own data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_shufflenet._files import check_output_dir
from keras_shufflenet.cli.options import (
    Annotations,
    Category,
    ImageDirs,
    InputSize,
    import_tensorflow,
    is_model_file,
    pair,
    parse_keypoints,
    parse_size,
    parse_weights,
)

if TYPE_CHECKING:
    from keras_shufflenet.training.recipes import Recipe

POSE_EXAMPLES = """
keras-shufflenet train pose shufflenet_v2_x1_0 --annotations person_keypoints_train2017.json \
--image-dir train2017 --val-annotations person_keypoints_val2017.json --val-image-dir val2017 \
--output-dir runs/pose
keras-shufflenet train pose shufflenet_v2_x0_5 --annotations a.json --image-dir a \
--annotations b.json --image-dir b --recipe finetune --head fpn --output-dir runs/finetune
keras-shufflenet train pose shufflenet_v2_x0_5 --annotations hands.json --image-dir hands \
--keypoints hand_skeleton.json --recipe finetune --output-dir runs/hand
"""


def pose(
    annotations: Annotations,
    image_dir: ImageDirs,
    output_dir: Annotated[Path, typer.Option(file_okay=False, help="Folder of the training.")],
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="Backbone: a classifier's name of `keras-shufflenet models`."
        ),
    ] = "shufflenet_v2_x1_0",
    keypoints: Annotated[
        str | None,
        typer.Option(
            help="Keypoints: coco, mpii, or the json of a skeleton. Default: those of the category "
            "in the first --annotations."
        ),
    ] = None,
    head: Annotated[str, typer.Option(help="deconv, light or fpn.")] = "light",
    input_size: InputSize = "256x192",
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            help="Weights of the backbone: imagenet, none, a name of `keras-shufflenet models`, or "
            "a checkpoint. Default: imagenet.",
        ),
    ] = None,
    initial_checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Pose estimator to start from instead: a file, coco, mpii or a name of "
            "`keras-shufflenet models`. Same network, any input size; of other keypoints the last "
            "layer is left out.",
        ),
    ] = None,
    recipe: Annotated[str, typer.Option(help="mmpose, finetune or from_scratch.")] = "mmpose",
    epochs: Annotated[int | None, typer.Option(help="Default: the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Default: the recipe's.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak learning rate. Default: the recipe's.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and augmentation.")] = 0,
    val_annotations: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="COCO keypoint json to compute AP on."),
    ] = None,
    val_image_dir: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Folder of its images.")
    ] = None,
    val_interval: Annotated[int, typer.Option(help="Epochs between two validations.")] = 10,
    category: Category = None,
    resume: Annotated[
        bool, typer.Option(help="Resume the training in the folder, or replace it.")
    ] = True,
) -> None:
    """Train a pose estimator on instances with annotated keypoints.

    The same command resumes a training that was interrupted.
    """
    sources, size = pair(annotations, image_dir), parse_size(input_size)
    validation = _validation(val_annotations, val_image_dir)
    _check_backbone(model)
    if weights is not None and initial_checkpoint is not None:
        raise ValueError(
            "--weights (of the backbone) and --initial-checkpoint (of the whole network) must not "
            f"be given together. Received: {weights} and {initial_checkpoint}"
        )
    if initial_checkpoint is not None:
        _check_initial(initial_checkpoint)
    check_output_dir("output_dir", output_dir)
    from keras_shufflenet.keypoints import COCOFile

    first = COCOFile(annotations[0], category, parse_keypoints(keypoints, category))
    import_tensorflow()
    import keras

    import keras_shufflenet as ks

    chosen = _recipe(recipe, epochs=epochs, batch_size=batch_size, peak_learning_rate=learning_rate)
    keras.utils.set_random_seed(seed)
    network = ks.PoseEstimator(
        model,
        first.skeleton,
        head=head,
        input_size=size,
        weights=initial_checkpoint,
        backbone_weights=parse_weights(weights or "imagenet") if not initial_checkpoint else None,
    )
    ks.training.train_pose(
        network,
        [(first, sources[0][1]), *sources[1:]],
        output_dir,
        chosen,
        val_data=validation,
        category=category,
        seed=seed,
        resume=resume,
        val_interval=val_interval,
    )
    typer.echo(f"trained: {output_dir / 'model.keras'}")


def _check_backbone(model: str) -> None:
    if model.startswith("pose_") or is_model_file(model):
        raise ValueError(
            "MODEL must be the name of a backbone, such as shufflenet_v2_x1_0; a pose estimator to "
            f"start from is given by --initial-checkpoint. Received: {model}"
        )


def _check_initial(checkpoint: str) -> None:
    """Check what needs neither Keras nor a download."""
    from keras_shufflenet.weights.catalog import CATALOG, DATASETS

    if checkpoint not in (*CATALOG, *DATASETS) and not Path(checkpoint).is_file():
        raise FileNotFoundError(
            "--initial-checkpoint must be an existing file, coco, mpii or a name of "
            f"`keras-shufflenet models`. Received: {checkpoint}"
        )


def _validation(annotations: Path | None, image_dir: Path | None) -> tuple[Path, Path] | None:
    if annotations is None and image_dir is None:
        return None
    if annotations is None or image_dir is None:
        raise ValueError(
            "--val-annotations and --val-image-dir must be given together. "
            f"Received: {annotations} and {image_dir}"
        )
    return annotations, image_dir


def _recipe(name: str, **changes: float | None) -> "Recipe":
    from keras_shufflenet.training.recipes import RECIPES

    if name not in RECIPES:
        raise ValueError(f"--recipe must be one of {', '.join(RECIPES)}. Received: {name}")
    return RECIPES[name](**{key: value for key, value in changes.items() if value is not None})
