"""`keras-shufflenet train pose`: train a pose estimator on your own data."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from keras_shufflenet.keypoints import Skeleton
    from keras_shufflenet.training import Teacher

from keras_shufflenet._files import check_output_dir
from keras_shufflenet.cli.data_arguments import opened, pair, repeat_sources
from keras_shufflenet.cli.options import (
    MODEL_FILES,
    Annotations,
    Category,
    ImageDirs,
    InputSize,
    import_tensorflow,
    is_model_file,
    parse_keypoints,
    parse_size,
    parse_weights,
)
from keras_shufflenet.cli.training_options import (
    AccumulationSteps,
    BackboneWeights,
    BatchSize,
    Epochs,
    LearningRate,
    Loggers,
    MaxCorruptImages,
    OutputDir,
    Patience,
    Precision,
    Repeat,
    Resume,
    Seed,
    Strategy,
    SyncBatchNorm,
    ValAnnotations,
    ValImageDir,
    ValInterval,
    check_initial,
    check_strategy,
    choose_recipe,
    parse_loggers,
    parse_validation,
)

EXAMPLES = """
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
    output_dir: OutputDir,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="Backbone: a classifier's name of `keras-shufflenet models`."
        ),
    ] = "shufflenet_v2_x1_0",
    image_dir: ImageDirs = None,
    repeat: Repeat = None,
    keypoints: Annotated[
        str | None,
        typer.Option(
            help="Keypoints: coco, mpii, or the json of a skeleton. Default: those of the category "
            "in the first --annotations."
        ),
    ] = None,
    head: Annotated[str, typer.Option(help="deconv, light or fpn.")] = "light",
    input_size: InputSize = "256x192",
    encoding: Annotated[
        Literal["msra", "unbiased", "udp"] | None,
        typer.Option(
            metavar="<str>",
            help="Encoding of the heatmaps: msra (mmpose's default), unbiased (DARK), or udp. "
            "Default: that of --initial-checkpoint, if it is a name or a .keras file, else msra.",
        ),
    ] = None,
    weights: BackboneWeights = None,
    initial_checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Pose estimator to start from instead: a file, coco, mpii or a name of "
            "`keras-shufflenet models`. Same network, any input size; of other keypoints the last "
            "layer is left out.",
        ),
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="mmpose, mmpose_mpii, finetune, distill or from_scratch.")
    ] = "mmpose",
    augmentation: Annotated[
        Literal["coco", "mpii", "strong", "light", "weak"] | None,
        typer.Option(
            metavar="<str>",
            help="coco or mpii (mmpose's), strong, light, or weak, for the last epochs of a long "
            "training. Default: the recipe's.",
        ),
    ] = None,
    color_jitter: Annotated[
        float | None,
        typer.Option(
            help="Largest relative change of brightness, contrast and saturation, 0..1. Default: "
            "the augmentation's."
        ),
    ] = None,
    cutmix_prob: Annotated[
        float | None,
        typer.Option(
            help="Probability of pasting a part of another crop into a crop, 0..1, with --teacher. "
            "Default: the augmentation's."
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Trained pose estimator that predicts targets, too: a .keras, .tflite or .onnx "
            "file, or a name of `keras-shufflenet models`."
        ),
    ] = None,
    teacher_weight: Annotated[
        float | None, typer.Option(help="Share of the teacher in the targets, 0..1. Default: 0.5.")
    ] = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    seed: Seed = 0,
    val_annotations: ValAnnotations = None,
    val_image_dir: ValImageDir = None,
    val_ground_truth: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="mpii_gt_val.mat of --val-annotations in MPII's format, for PCKh.",
        ),
    ] = None,
    val_interval: ValInterval = 10,
    category: Category = None,
    resume: Resume = True,
    patience: Patience = None,
    max_corrupt_images: MaxCorruptImages = 0,
    strategy: Strategy = None,
    sync_batch_norm: SyncBatchNorm = False,
    precision: Precision = "float32",
    accumulation_steps: AccumulationSteps = 1,
    logger: Loggers = None,
) -> None:
    """Train a pose estimator on instances with annotated keypoints.

    The same command resumes a training that was interrupted.
    """
    sources = repeat_sources(pair(annotations, image_dir), repeat)
    size = parse_size(input_size)
    validation = parse_validation(val_annotations, val_image_dir)
    _check_backbone(model)
    _check_teacher(teacher, teacher_weight, recipe)
    _check_pixels(color_jitter, cutmix_prob, teacher)
    check_initial(initial_checkpoint, weights)
    check_strategy(strategy)
    loggers = parse_loggers(logger)
    check_output_dir("output_dir", output_dir)
    first, skeleton = _open_first(annotations[0], category, keypoints)
    import_tensorflow()
    import keras

    import keras_shufflenet as ks
    from keras_shufflenet.training.distillation import open_teacher

    distribution = ks.training.open_strategy(strategy)  # before anything is computed
    chosen = choose_recipe(
        ks.training.recipes.RECIPES,
        *(recipe, epochs, batch_size, learning_rate, accumulation_steps),
    )
    if augmentation is not None:
        chosen = replace(chosen, augmentation=ks.training.recipes.AUGMENTATIONS[augmentation])
    pixels: dict[str, Any] = {"color_jitter": color_jitter, "cutmix_prob": cutmix_prob}
    given = {name: value for name, value in pixels.items() if value is not None}
    chosen = replace(chosen, augmentation=replace(chosen.augmentation, **given))
    learned = _teacher(teacher, teacher_weight)
    if learned is not None:  # before the network is built, and its weights are fetched
        try:
            open_teacher(learned, skeleton.keypoint_names, size)
        except ValueError as error:
            raise ValueError(f"--teacher must be a trained pose estimator. {error}") from error
    keras.utils.set_random_seed(seed)
    network = ks.PoseEstimator(
        model,
        skeleton,
        head=head,
        input_size=size,
        encoding=encoding,
        weights=initial_checkpoint,
        backbone_weights=parse_weights(weights or "imagenet") if not initial_checkpoint else None,
    )
    ks.training.train_pose(
        network,
        [(first, sources[0][1]), *sources[1:]],
        output_dir,
        chosen,
        val_data=validation,
        val_ground_truth=val_ground_truth,
        category=category,
        teacher=learned,
        seed=seed,
        resume=resume,
        val_interval=val_interval,
        patience=patience,
        max_corrupt_images=max_corrupt_images,
        strategy=distribution,
        sync_batch_norm=sync_batch_norm,
        precision=precision,
        accumulation_steps=accumulation_steps,
        loggers=loggers,
    )
    typer.echo(f"trained: {output_dir / 'model.keras'}")


def _open_first(
    annotations: Path, category: str | None, keypoints: str | None
) -> "tuple[Any, Skeleton]":
    """Read the first annotations, which say what the keypoints are."""
    from keras_shufflenet.data.tfds_source import is_mpii
    from keras_shufflenet.keypoints import MPII, COCOFile
    from keras_shufflenet.keypoints.mpii import is_mpii_json

    first: Any = opened(annotations)
    if not is_mpii(first) and not is_mpii_json(first):
        file = COCOFile(first, category, parse_keypoints(keypoints, category))
        return file, file.skeleton
    if keypoints not in (None, MPII.name) or category is not None:
        raise ValueError(
            "--annotations of MPII have MPII's keypoints and no --category. Received: "
            f"--keypoints {keypoints}, --category {category}"
        )
    return first, MPII


def _check_teacher(teacher: str | None, weight: float | None, recipe: str) -> None:
    from keras_shufflenet._checks import check_fraction
    from keras_shufflenet.weights import list_weights

    if recipe == "distill" and teacher is None:
        raise ValueError("--recipe distill must have a --teacher. Received: no --teacher")

    if weight is not None:
        if teacher is None:
            raise ValueError(
                f"--teacher-weight is for --teacher, which is not given. Received: {weight}"
            )
        check_fraction("--teacher-weight", weight)
    if teacher is None or (teacher.startswith("pose_") and list_weights(teacher)):
        return
    if Path(teacher).suffix not in MODEL_FILES:
        raise ValueError(
            f"--teacher must be a {', '.join(MODEL_FILES)} file, or the name of a pose estimator "
            f"of `keras-shufflenet models` that has weights. Received: --teacher {teacher!r}"
        )
    if not Path(teacher).is_file():
        raise FileNotFoundError(f"--teacher must be an existing file. Received: {teacher}")


def _check_pixels(
    color_jitter: float | None, cutmix_prob: float | None, teacher: str | None
) -> None:
    from keras_shufflenet._checks import check_fraction

    for name, value in (("--color-jitter", color_jitter), ("--cutmix-prob", cutmix_prob)):
        if value is not None:
            check_fraction(name, value)
    if cutmix_prob and teacher is None:
        raise ValueError(
            "--cutmix-prob must have a --teacher, who alone knows the keypoints of mixed crops. "
            "Received: no --teacher"
        )


def _teacher(model: str | None, weight: float | None) -> "Teacher | None":
    import keras_shufflenet as ks

    if model is None:
        return None
    return ks.training.Teacher(model) if weight is None else ks.training.Teacher(model, weight)


def _check_backbone(model: str) -> None:
    if model.startswith("pose_") or is_model_file(model):
        raise ValueError(
            "MODEL must be the name of a backbone, such as shufflenet_v2_x1_0; a pose estimator to "
            f"start from is given by --initial-checkpoint. Received: {model}"
        )
