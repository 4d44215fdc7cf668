"""`keras-shufflenet train`: train models on your own data."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from keras_shufflenet._files import check_output_dir
from keras_shufflenet.cli.detectors import check_detector_name
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
    from keras_shufflenet.detection import COCOBoxes

Recipe = TypeVar("Recipe")

POSE_EXAMPLES = """
keras-shufflenet train pose shufflenet_v2_x1_0 --annotations person_keypoints_train2017.json \
--image-dir train2017 --val-annotations person_keypoints_val2017.json --val-image-dir val2017 \
--output-dir runs/pose
keras-shufflenet train pose shufflenet_v2_x0_5 --annotations a.json --image-dir a \
--annotations b.json --image-dir b --recipe finetune --head fpn --output-dir runs/finetune
keras-shufflenet train pose shufflenet_v2_x0_5 --annotations hands.json --image-dir hands \
--keypoints hand_skeleton.json --recipe finetune --output-dir runs/hand
"""

DETECT_EXAMPLES = """
keras-shufflenet train detect nanodet_plus_m --initial-checkpoint coco --annotations train.json \
--image-dir images --val-annotations val.json --val-image-dir images --output-dir runs/detector
keras-shufflenet train detect nanodet_plus_m --recipe nanodet_plus \
--annotations instances_train2017.json --image-dir train2017 --output-dir runs/plus
"""

OutputDir = Annotated[Path, typer.Option(file_okay=False, help="Folder of the training.")]
BoxAnnotations = Annotated[
    list[Path],
    typer.Option(
        "--annotations", exists=True, dir_okay=False, help="COCO json of boxes; may be repeated."
    ),
]
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


def pose(
    annotations: Annotations,
    image_dir: ImageDirs,
    output_dir: OutputDir,
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
    weights: BackboneWeights = None,
    initial_checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Pose estimator to start from instead: a file, coco, mpii or a name of "
            "`keras-shufflenet models`. Same network, any input size; of other keypoints the last "
            "layer is left out.",
        ),
    ] = None,
    recipe: Annotated[str, typer.Option(help="mmpose, finetune or from_scratch.")] = "mmpose",
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    seed: Seed = 0,
    val_annotations: ValAnnotations = None,
    val_image_dir: ValImageDir = None,
    val_interval: ValInterval = 10,
    category: Category = None,
    resume: Resume = True,
) -> None:
    """Train a pose estimator on instances with annotated keypoints.

    The same command resumes a training that was interrupted.
    """
    sources, size = pair(annotations, image_dir), parse_size(input_size)
    validation = _validation(val_annotations, val_image_dir)
    _check_backbone(model)
    _check_initial(initial_checkpoint, weights)
    check_output_dir("output_dir", output_dir)
    from keras_shufflenet.keypoints import COCOFile

    first = COCOFile(annotations[0], category, parse_keypoints(keypoints, category))
    import_tensorflow()
    import keras

    import keras_shufflenet as ks

    chosen = _recipe(ks.training.recipes.RECIPES, recipe, epochs, batch_size, learning_rate)
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


def detect(
    annotations: BoxAnnotations,
    image_dir: ImageDirs,
    output_dir: OutputDir,
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A detector's name of `keras-shufflenet models`."),
    ] = "nanodet_plus_m",
    category: Annotated[
        list[str] | None,
        typer.Option(
            "--category",
            help="Name or id of a category that becomes a class; may be repeated. Default: all "
            "categories of the first --annotations.",
        ),
    ] = None,
    input_size: Annotated[
        str | None,
        typer.Option(
            help="HEIGHTxWIDTH of the input in pixels, multiples of 32. Default: the model's."
        ),
    ] = None,
    weights: BackboneWeights = None,
    initial_checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Detector to start from instead: a file, coco or a name of "
            "`keras-shufflenet models`. Same network, any input size; classes of the same names "
            "are kept, others are new.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="nanodet, nanodet_plus, retinanet or finetune. Default: finetune with "
            "--initial-checkpoint, else the model's."
        ),
    ] = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    seed: Seed = 0,
    val_annotations: ValAnnotations = None,
    val_image_dir: ValImageDir = None,
    val_interval: ValInterval = 10,
    resume: Resume = True,
) -> None:
    """Train a detector on images with annotated boxes.

    The same command resumes a training that was interrupted.
    """
    sources = pair(annotations, image_dir)
    size = None if input_size is None else parse_size(input_size)
    validation = _validation(val_annotations, val_image_dir)
    _check_detector(model)
    _check_initial(initial_checkpoint, weights)
    check_output_dir("output_dir", output_dir)
    from keras_shufflenet.detection.coco_boxes import COCOBoxes

    first = COCOBoxes(annotations[0])
    names = _classes(first, category)
    import_tensorflow()
    import keras

    import keras_shufflenet as ks

    recipes = ks.training.detection_recipes.DETECTION_RECIPES
    if recipe is None:
        own = max((name for name in recipes if model.startswith(name)), key=len)
        recipe = own if initial_checkpoint is None else "finetune"
    chosen = _recipe(recipes, recipe, epochs, batch_size, learning_rate)
    keras.utils.set_random_seed(seed)
    network = ks.create_model(
        model,
        classes=names,
        input_shape=None if size is None else (*size, 3),
        weights=initial_checkpoint,
        backbone_weights=parse_weights(weights or "imagenet") if not initial_checkpoint else None,
    )
    ks.training.train_detection(
        network,
        [(first, sources[0][1]), *sources[1:]],
        output_dir,
        chosen,
        val_data=validation,
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


def _check_detector(model: str) -> None:
    if is_model_file(model):
        raise ValueError(
            "MODEL must be the name of a detector, such as nanodet_plus_m; a file to start from is "
            f"given by --initial-checkpoint. Received: {model}"
        )
    check_detector_name(model, allowed="the name of a detector")


def _classes(file: "COCOBoxes", wanted: Sequence[str] | None) -> list[str]:
    """Return the names of the categories that become classes; all if none are given."""
    from keras_shufflenet.keypoints.coco_categories import choose_category

    found = file.categories
    if wanted:
        used = {box.category_id for box in file.boxes}
        found = [choose_category(found, used, each, file.place) for each in wanted]
    unnamed = [category for category in found if not category.name]
    if unnamed or not found:
        raise ValueError(
            f"{file.place} must list its categories with names, which the model carries. "
            f"Received: {', '.join(map(str, unnamed)) or 'no category'}"
        )
    names = [category.name for category in found]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(
            f"{file.place} must have categories of different names, which become the classes. "
            f"Received: {names.count(twice[0])} categories {twice[0]!r}"
        )
    return names


def _check_initial(checkpoint: str | None, weights: str | None) -> None:
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


def _validation(annotations: Path | None, image_dir: Path | None) -> tuple[Path, Path] | None:
    if annotations is None and image_dir is None:
        return None
    if annotations is None or image_dir is None:
        raise ValueError(
            "--val-annotations and --val-image-dir must be given together. "
            f"Received: {annotations} and {image_dir}"
        )
    return annotations, image_dir


def _recipe(
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
