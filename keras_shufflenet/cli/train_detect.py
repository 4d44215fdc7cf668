"""`keras-shufflenet train detect`: train a detector on your own data."""

from pathlib import Path
from typing import Annotated

import typer

from keras_shufflenet._files import check_output_dir
from keras_shufflenet.cli.data_arguments import (
    OR_DATASET,
    file_or_dataset,
    opened,
    pair,
    repeat_sources,
)
from keras_shufflenet.cli.detectors import RETINANET, check_detector_name
from keras_shufflenet.cli.options import (
    ImageDirs,
    import_tensorflow,
    is_model_file,
    parse_size,
    parse_weights,
)
from keras_shufflenet.cli.training_options import (
    AccumulationSteps,
    BackboneWeights,
    BatchSize,
    Categories,
    Epochs,
    FPNChannels,
    HeadConvs,
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
keras-shufflenet train detect nanodet_plus_m --initial-checkpoint coco --annotations train.json \
--image-dir images --val-annotations val.json --val-image-dir images --output-dir runs/detector
keras-shufflenet train detect nanodet_plus_m --recipe nanodet_plus \
--annotations instances_train2017.json --image-dir train2017 --output-dir runs/plus
keras-shufflenet train detect retinanet_shufflenet_v2_x1_0 --fpn-channels 96 --head-convs 2 \
--annotations train.json --image-dir images --output-dir runs/retinanet
"""

BoxAnnotations = Annotated[
    list[Path],
    typer.Option(
        "--annotations",
        parser=file_or_dataset,
        metavar="FILE",
        help=f"COCO json of boxes, {OR_DATASET}; may be repeated.",
    ),
]


def detect(
    annotations: BoxAnnotations,
    output_dir: OutputDir,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A detector's name of `keras-shufflenet models`, or retinanet_ and the name of "
            "any classifier, its backbone.",
        ),
    ] = "nanodet_plus_m",
    image_dir: ImageDirs = None,
    repeat: Repeat = None,
    category: Categories = None,
    input_size: Annotated[
        str | None,
        typer.Option(
            help="HEIGHTxWIDTH of the input in pixels, multiples of 32. Default: the model's."
        ),
    ] = None,
    fpn_channels: FPNChannels = None,
    head_convs: HeadConvs = None,
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
    patience: Patience = None,
    max_corrupt_images: MaxCorruptImages = 0,
    strategy: Strategy = None,
    sync_batch_norm: SyncBatchNorm = False,
    precision: Precision = "float32",
    accumulation_steps: AccumulationSteps = 1,
    logger: Loggers = None,
) -> None:
    """Train a detector on images with annotated boxes.

    The same command resumes a training that was interrupted.
    """
    sources = repeat_sources(pair(annotations, image_dir), repeat)
    size = None if input_size is None else parse_size(input_size)
    validation = parse_validation(val_annotations, val_image_dir)
    _check_detector(model)
    width = _retinanet_arguments(model, fpn_channels=fpn_channels, head_convs=head_convs)
    check_initial(initial_checkpoint, weights)
    check_strategy(strategy)
    loggers = parse_loggers(logger)
    check_output_dir("output_dir", output_dir)
    from keras_shufflenet.detection.coco_boxes import COCOBoxes, category_names

    first = COCOBoxes(opened(annotations[0]))
    names = category_names(first, category)
    import_tensorflow()
    import keras

    import keras_shufflenet as ks

    distribution = ks.training.open_strategy(strategy)  # before anything is computed
    recipes = ks.training.detection_recipes.DETECTION_RECIPES
    if recipe is None:
        own = max((name for name in recipes if model.startswith(name)), key=len)
        recipe = own if initial_checkpoint is None else "finetune"
    chosen = choose_recipe(recipes, recipe, epochs, batch_size, learning_rate, accumulation_steps)
    keras.utils.set_random_seed(seed)
    network = ks.create_model(
        model,
        **width,
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
        patience=patience,
        max_corrupt_images=max_corrupt_images,
        strategy=distribution,
        sync_batch_norm=sync_batch_norm,
        precision=precision,
        accumulation_steps=accumulation_steps,
        loggers=loggers,
    )
    typer.echo(f"trained: {output_dir / 'model.keras'}")


def _check_detector(model: str) -> None:
    if is_model_file(model):
        raise ValueError(
            "MODEL must be the name of a detector, such as nanodet_plus_m; a file to start from is "
            f"given by --initial-checkpoint. Received: {model}"
        )
    check_detector_name(model, allowed="the name of a detector")


def _retinanet_arguments(model: str, **arguments: int | None) -> dict[str, int]:
    """Return the arguments that are given, and are RetinaNet's alone."""
    given = {name: value for name, value in arguments.items() if value is not None}
    if given and not model.startswith(RETINANET):
        options = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ValueError(f"{options} must be given for a RetinaNet. Received: {model}")
    return given
