"""`keras-shufflenet search supernet` and `search extract`: train all networks, take one."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from keras_shufflenet._files import check_output, check_output_dir
from keras_shufflenet.cli.data_arguments import file_or_dataset, is_dataset, path_or_dataset
from keras_shufflenet.cli.options import import_tensorflow, parse_scales, parse_size
from keras_shufflenet.cli.training_options import (
    AccumulationSteps,
    BatchSize,
    Categories,
    Epochs,
    FPNChannels,
    HeadConvs,
    LearningRate,
    Loggers,
    MaxCorruptImages,
    OutputDir,
    Resume,
    Seed,
    ValAnnotations,
    ValImageDir,
    ValInterval,
    check_accumulation,
    parse_loggers,
)

SUPERNET_EXAMPLES = """
keras-shufflenet search supernet --data photos --input-size 96x96 --recipe megvii --epochs 100 \
--output-dir runs/supernet
keras-shufflenet search supernet one_shot --channel-scales 0.6,1.0,1.4 --annotations people.json \
--image-dir images --val-annotations val.json --val-image-dir images --output-dir runs/supernet
keras-shufflenet search supernet detnas_300m --task detection --fpn-channels 96 --head-convs 2 \
--annotations boxes.json --image-dir images --val-annotations val.json --val-image-dir images \
--input-size 320x320 --output-dir runs/supernet
"""
EXTRACT_EXAMPLES = """
keras-shufflenet search extract runs/supernet 00311100202110202132 runs/winner.keras
keras-shufflenet train pose one_shot:00311100202110202132 --head fpn \
--initial-checkpoint runs/winner.keras --annotations people.json --image-dir images \
--output-dir runs/winner
"""
SIZES = {"classification": "224x224", "pose": "256x192", "detection": "512x512"}
RECIPES = {"classification": "megvii", "pose": "from_scratch", "detection": "retinanet"}


def supernet(
    output_dir: OutputDir,
    space: Annotated[
        str,
        typer.Argument(metavar="SPACE", help="one_shot, detnas_300m, detnas_1_3g or detnas_3_8g."),
    ] = "one_shot",
    channel_scales: Annotated[
        str,
        typer.Option(help="Channel scales that are searched, like 0.6,1.0,1.4, or paper."),
    ] = "1.0",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            parser=path_or_dataset,
            metavar="PATH",
            help="Images of classes, as for `train classify`.",
        ),
    ] = None,
    val_data: Annotated[
        Path | None,
        typer.Option(parser=path_or_dataset, metavar="PATH", help="The same to validate on."),
    ] = None,
    val_split: Annotated[
        float,
        typer.Option(help="Share of every class to validate on, if there is no --val-data."),
    ] = 0.2,
    annotations: Annotated[
        Path | None,
        typer.Option(
            parser=file_or_dataset,
            metavar="FILE",
            help="COCO json of keypoints, or of boxes with --task detection.",
        ),
    ] = None,
    image_dir: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Folder of its images.")
    ] = None,
    val_annotations: ValAnnotations = None,
    val_image_dir: ValImageDir = None,
    task: Annotated[
        Literal["classification", "pose", "detection"] | None,
        typer.Option(
            help="What is trained. Default: classification with --data, pose with --annotations."
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(help="Of the pose estimator: deconv, light or fpn. Default: fpn."),
    ] = None,
    category: Categories = None,
    fpn_channels: FPNChannels = None,
    head_convs: HeadConvs = None,
    input_size: Annotated[
        str | None,
        typer.Option(
            help="HEIGHTxWIDTH of the input in pixels. Default: 224x224, 256x192 for poses, "
            "512x512 for detection."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="As for `train classify`, `train pose` or `train detect`. Default: megvii, "
            "from_scratch for poses, retinanet for detection."
        ),
    ] = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    sampling: Annotated[
        Literal["uniform", "macs_bins"],
        typer.Option(help="Of the architectures: all alike, or the paper's bins of multiply-adds."),
    ] = "uniform",
    seed: Seed = 0,
    val_interval: ValInterval = 10,
    resume: Resume = True,
    max_corrupt_images: MaxCorruptImages = 0,
    accumulation_steps: AccumulationSteps = 1,
    logger: Loggers = None,
) -> None:
    """Train a supernet: all architectures of a search space with shared weights.

    The same command resumes a training that was interrupted.
    """
    if (data is None) == (annotations is None):
        raise ValueError(
            "One of --data (images of classes) and --annotations (keypoints or boxes) must be "
            f"given. Received: {data} and {annotations}"
        )
    if task is None:
        task = "pose" if data is None else "classification"
    if (task == "classification") != (data is not None):
        raise ValueError(
            "--task must be classification with --data, pose or detection with --annotations. "
            f"Received: {task}"
        )
    detection: dict[str, Any] = {
        "categories": category,
        "fpn_channels": fpn_channels,
        "head_convs": head_convs,
    }
    detection = {name: value for name, value in detection.items() if value is not None}
    if head is not None and task != "pose":
        raise ValueError(f"--head must be given for a pose estimator. Received: {head} for {task}")
    if detection and task != "detection":
        raise ValueError(
            "--category, --fpn-channels and --head-convs must be given with --task detection. "
            f"Received: {task}"
        )
    changes: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "peak_learning_rate": learning_rate,
    }
    scales = parse_scales(channel_scales)
    size = parse_size(input_size or SIZES[task])
    loggers = parse_loggers(logger)
    check_output_dir("output_dir", output_dir)
    import_tensorflow()
    import keras

    from keras_shufflenet.search import train_supernet
    from keras_shufflenet.search.settings import SupernetSettings
    from keras_shufflenet.search.spaces import PAPER_SCALES

    settings = SupernetSettings(
        space=space,
        channel_scales=scales or PAPER_SCALES,
        task=task,
        data=_absolute(data or annotations) or "",
        image_dir=_absolute(image_dir),
        val_data=_absolute(val_data or val_annotations),
        val_image_dir=_absolute(val_image_dir),
        val_split=val_split,
        head=head or "fpn",
        **detection,
        input_size=size,
        recipe=recipe or RECIPES[task],
        changes={name: value for name, value in changes.items() if value is not None},
        sampling=sampling,
        seed=seed,
    )
    check_accumulation(settings.make_recipe(), accumulation_steps)
    # When the folder is known to be that of this training.
    write = keras.callbacks.LambdaCallback(on_train_begin=lambda _: settings.write(output_dir))
    train_supernet(
        settings.make_supernet_task(settings.make_supernet()),
        output_dir,
        resume=resume,
        val_interval=val_interval,
        max_corrupt_images=max_corrupt_images,
        accumulation_steps=accumulation_steps,
        loggers=loggers,
        callbacks=[write],
    )
    typer.echo(f"trained: {output_dir / 'model.keras'}")


def extract(
    supernet: Annotated[
        Path,
        typer.Argument(
            metavar="SUPERNET", exists=True, file_okay=False, help="Folder of `search supernet`."
        ),
    ],
    architecture: Annotated[
        str,
        typer.Argument(metavar="ARCHITECTURE", help="As 0031…, with scales as 0031…@1.4,1.2,…."),
    ],
    output: Annotated[
        Path, typer.Argument(metavar="OUT.keras", dir_okay=False, help="File to write.")
    ],
    calibration_batches: Annotated[
        int,
        typer.Option(min=1, help="Batches for the statistics of batch normalizations."),
    ] = 8,
) -> None:
    """Write an architecture with the weights of a supernet as a plain model.

    The statistics of its batch normalizations are estimated anew on the training data.
    """
    check_output("output", output, (".keras",))
    import_tensorflow()
    from keras_shufflenet.search import Architecture, Supernet
    from keras_shufflenet.search.settings import SupernetSettings
    from keras_shufflenet.training.callbacks import save_plain

    parsed = Architecture.parse(architecture)
    settings, opened = SupernetSettings.read(supernet), Supernet.load(supernet)
    opened.space.check(parsed)
    task = settings.make_supernet_task(opened, calibration_batches)
    task.calibrate(parsed)
    save_plain(opened.extract(parsed), output)
    typer.echo(f"wrote {output}: {opened.space.name}:{parsed}")


def _absolute(path: Path | None) -> str | None:
    """Return a path that means the same in other folders."""
    if path is None:
        return None
    return str(path if is_dataset(path) else path.absolute())
