"""`keras-shufflenet train classify`: train a classifier on your own photographs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from keras_shufflenet._files import check_output_dir
from keras_shufflenet.cli.data_arguments import path_or_dataset
from keras_shufflenet.cli.options import (
    import_tensorflow,
    is_model_file,
    parse_size,
    parse_weights,
)
from keras_shufflenet.cli.training_options import (
    AccumulationSteps,
    BatchSize,
    Epochs,
    LearningRate,
    Loggers,
    MaxCorruptImages,
    OutputDir,
    Patience,
    Precision,
    Resume,
    Seed,
    Strategy,
    SyncBatchNorm,
    ValInterval,
    check_strategy,
    choose_recipe,
    parse_loggers,
)

if TYPE_CHECKING:
    import keras

    from keras_shufflenet.data import ClassificationDataset
    from keras_shufflenet.training import ClassificationRecipe

EXAMPLES = """
keras-shufflenet train classify shufflenet_v2_x1_0 --data photos --output-dir runs/photos
keras-shufflenet train classify mobilenet_v2_x1_0 --data train --val-data val --policy trivial \
--mixup 0.2 --class-weights balanced --patience 10 --output-dir runs/mobilenet
keras-shufflenet train classify shufflenet_v2_x1_0 --weights none --recipe megvii \
--data imagenet/train --val-data imagenet/val --output-dir runs/megvii
"""
AUXILIARY = ("shufflenet_v2_large", "shufflenet_v2_exlarge")
BALANCED = "balanced"
DEFAULT_SPLIT = 0.2


def classify(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            parser=path_or_dataset,
            metavar="PATH",
            help="Folder with a folder of images per class, a csv with the columns filename and "
            "class_index, or a dataset of tensorflow-datasets as tfds:NAME:SPLIT.",
        ),
    ],
    output_dir: OutputDir,
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A classifier's name of `keras-shufflenet models`."),
    ] = "shufflenet_v2_x1_0",
    val_data: Annotated[
        Path | None,
        typer.Option(parser=path_or_dataset, metavar="PATH", help="The same to validate on."),
    ] = None,
    val_split: Annotated[
        float | None,
        typer.Option(
            help="Share of every class to validate on, if there is no --val-data; 0 for none. "
            "Default: 0.2.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Names of a csv's classes, one per line, for MODEL."
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            help="Weights to start from: imagenet, none, a name of `keras-shufflenet models`, or a "
            "checkpoint. A classifier of other classes is new. Default: imagenet.",
        ),
    ] = None,
    input_size: Annotated[
        str | None, typer.Option(help="HEIGHTxWIDTH of the input in pixels. Default: 224x224.")
    ] = None,
    train_size: Annotated[
        str | None,
        typer.Option(help="HEIGHTxWIDTH of the images in training. Default: --input-size."),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="finetune, megvii, megvii_plus, megvii_large, torchvision, torchvision_mobilenet, "
            "mmcls or tonylins."
        ),
    ] = "finetune",
    epochs: Epochs = None,
    frozen_epochs: Annotated[
        int | None,
        typer.Option(help="Epochs before in which only the classifier is trained."),
    ] = None,
    frozen_learning_rate: Annotated[
        float | None, typer.Option(help="Peak learning rate of these.")
    ] = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd or adamw.")] = None,
    schedule: Annotated[
        str | None, typer.Option(help="cosine, linear, poly, step or constant.")
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay.")] = None,
    clip_norm: Annotated[float | None, typer.Option(help="Maximum norm of the gradient.")] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(help="Share of the targets spread over all classes.")
    ] = None,
    ema_momentum: Annotated[
        float | None, typer.Option(help="Average the weights with this momentum, like 0.9998.")
    ] = None,
    freeze_batch_norm: Annotated[
        bool | None,
        typer.Option("--freeze-batch-norm", help="Leave batch normalizations as they are."),
    ] = None,
    class_weights: Annotated[
        str | None,
        typer.Option(help="balanced, or a json of a weight for each class, by name or in order."),
    ] = None,
    color_jitter: Annotated[
        float | None, typer.Option(help="Maximum change of brightness, contrast, saturation.")
    ] = None,
    policy: Annotated[
        Literal["none", "trivial", "rand"] | None,
        typer.Option(metavar="<str>", help="trivial (TrivialAugment), rand (RandAugment) or none."),
    ] = None,
    erase_prob: Annotated[
        float | None, typer.Option(help="Probability of erasing a random box.")
    ] = None,
    mixup_alpha: Annotated[
        float | None, typer.Option("--mixup", help="Alpha of MixUp, like 0.2.")
    ] = None,
    cutmix_alpha: Annotated[
        float | None, typer.Option("--cutmix", help="Alpha of CutMix, like 1.0.")
    ] = None,
    seed: Seed = 0,
    val_interval: ValInterval = 1,
    patience: Patience = None,
    resume: Resume = True,
    max_corrupt_images: MaxCorruptImages = 0,
    strategy: Strategy = None,
    sync_batch_norm: SyncBatchNorm = False,
    precision: Precision = "float32",
    accumulation_steps: AccumulationSteps = 1,
    logger: Loggers = None,
) -> None:
    """Train a classifier on images with classes.

    The same command resumes a training that was interrupted.
    """
    if is_model_file(model):
        raise ValueError(
            "MODEL must be the name of a network, such as shufflenet_v2_x1_0; a file to start from "
            f"is given by --weights. Received: {model}"
        )
    if val_data is not None and val_split is not None:
        raise ValueError(
            "--val-data and --val-split must not be given together. "
            f"Received: {val_data} and {val_split}"
        )
    if val_split is not None and not 0 <= val_split < 1:
        raise ValueError(
            f"--val-split must be a number from 0 to below 1. Received: --val-split={val_split}"
        )
    size = None if input_size is None else parse_size(input_size)
    smaller = None if train_size is None else parse_size(train_size, "--train-size")
    check_strategy(strategy)
    loggers = parse_loggers(logger)
    _check_outside(output_dir, data)
    _check_outside(output_dir, val_data)
    check_output_dir("output_dir", output_dir)
    from keras_shufflenet.data.classification_dataset import load_classification_dataset

    images = load_classification_dataset(data)
    if labels is not None:
        images = images.named(labels.read_text(encoding="utf-8").splitlines())
    images.check_training()
    train_data, held_out = _split(images, val_data, val_split, seed)
    validated = "none" if held_out is None else len(held_out)
    typer.echo(
        f"{len(train_data)} images of {images.num_classes} classes, {validated} to validate on"
    )
    weights_of_classes = _parse_class_weights(class_weights, images)
    import_tensorflow()
    import keras

    import keras_shufflenet as ks

    opened = ks.training.open_strategy(strategy)  # before anything is computed
    chosen = _changed(
        choose_recipe(
            ks.training.classification_recipes.CLASSIFICATION_RECIPES,
            *(recipe, epochs, batch_size, learning_rate, accumulation_steps),
        ),
        {
            "frozen_epochs": frozen_epochs,
            "frozen_learning_rate": frozen_learning_rate,
            "optimizer": optimizer,
            "schedule": schedule,
            "weight_decay": weight_decay,
            "clip_norm": clip_norm,
            "label_smoothing": label_smoothing,
            "ema_momentum": ema_momentum,
            "freeze_batch_norm": freeze_batch_norm,
        },
        {
            "color_jitter": color_jitter,
            "policy": policy,
            "erase_prob": erase_prob,
            "mixup_alpha": mixup_alpha,
            "cutmix_alpha": cutmix_alpha,
        },
    )
    keras.utils.set_random_seed(seed)
    network, trained = _build(model, images, parse_weights(weights or "imagenet"), size, smaller)
    ks.training.train_classification(
        network,
        train_data,
        output_dir,
        chosen,
        val_data=held_out,
        class_weights=weights_of_classes,
        trained_network=trained,
        seed=seed,
        resume=resume,
        val_interval=val_interval,
        patience=patience,
        max_corrupt_images=max_corrupt_images,
        strategy=opened,
        sync_batch_norm=sync_batch_norm,
        precision=precision,
        accumulation_steps=accumulation_steps,
        loggers=loggers,
    )
    typer.echo(f"trained: {output_dir / 'model.keras'}")


def _check_outside(output_dir: Path, data: Path | None) -> None:
    """Raise ValueError if the folder of the training would be a class, or in one."""
    from keras_shufflenet.data.class_folders import LABELS_FILE

    if data is None or not data.is_dir() or (data / LABELS_FILE).is_file():
        return
    if output_dir.resolve().is_relative_to(data.resolve()):
        raise ValueError(
            f"--output-dir must be outside of the folder of the images, whose folders are classes. "
            f"Received: {output_dir} in {data}"
        )


def _split(
    images: "ClassificationDataset", val_data: Path | None, fraction: float | None, seed: int
) -> tuple["ClassificationDataset", "ClassificationDataset | None"]:
    """Return the images to train on and those to validate on."""
    from keras_shufflenet.data.classification_dataset import load_classification_dataset

    if val_data is not None:
        return images, load_classification_dataset(val_data)
    if fraction == 0:
        return images, None
    return images.split(DEFAULT_SPLIT if fraction is None else fraction, seed)


def _parse_class_weights(text: str | None, images: "ClassificationDataset") -> Any:
    """Return what `train_classification` takes as `class_weights`."""
    if text is None or text == BALANCED:
        return text
    path = Path(text)
    if not path.is_file():
        raise FileNotFoundError(
            f"--class-weights must be balanced or an existing json. Received: {text}"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"--class-weights must be a json of a weight for each class ({error}). Received: {text}"
        ) from error
    if isinstance(found, dict):
        names = images.class_names or tuple(map(str, range(images.num_classes)))
        if sorted(found) != sorted(names):
            raise ValueError(
                f"--class-weights must have the classes {', '.join(names[:5])}. "
                f"Received: {', '.join(list(found)[:5])} in {text}"
            )
        found = [found[name] for name in names]
    return found


def _changed(
    recipe: "ClassificationRecipe", values: dict[str, Any], augmentation: dict[str, Any]
) -> "ClassificationRecipe":
    """Return a recipe with the values that are given in the place of its own."""
    given = {name: value for name, value in augmentation.items() if value is not None}
    if given.get("policy") == "none":
        given["policy"] = None
    changes = {name: value for name, value in values.items() if value is not None}
    return replace(recipe, augmentation=replace(recipe.augmentation, **given), **changes)


def _build(
    name: str,
    images: "ClassificationDataset",
    weights: str | None,
    size: tuple[int, int] | None,
    train_size: tuple[int, int] | None,
) -> tuple["keras.Model", "keras.Model | None"]:
    """Return the classifier, and the network that is trained if it is another one."""
    import keras_shufflenet as ks

    if name in [*ks.list_models(task="detection"), *ks.list_models(task="pose")]:
        raise ValueError(
            f"MODEL must be a classifier, such as shufflenet_v2_x1_0. Received: {name}"
        )
    arguments: dict[str, Any] = {"classes": list(images.class_names) or images.num_classes}
    if size is not None:
        arguments["input_shape"] = (*size, 3)
    network = ks.create_model(name, weights=weights, **arguments)
    if name not in AUXILIARY and train_size is None:
        return network, None
    if name in AUXILIARY:
        arguments["auxiliary"] = True
    if train_size is not None:
        arguments["input_shape"] = (*train_size, 3)
    trained = ks.create_model(name, weights=weights if name in AUXILIARY else None, **arguments)
    return network, trained
