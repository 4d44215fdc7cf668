"""`keras-shufflenet label`: annotate photographs by trained networks, to train on them."""

import json
from pathlib import Path
from typing import Annotated

import typer

from keras_shufflenet._files import atomic_write, check_output
from keras_shufflenet.cli.detectors import (
    DETECTOR,
    DetectorWeights,
    check_detector,
    open_detector,
)
from keras_shufflenet.cli.options import Category, import_tensorflow

EXAMPLES = """
keras-shufflenet label photos --pose simplepose.onnx --output labels.json
keras-shufflenet label photos --pose simplepose.onnx --pose movenet_thunder.tflite \
--detector nanodet_plus_m_416 --output labels.json
keras-shufflenet label lspet/images --annotations lspet.json --pose simplepose.onnx \
--output completed.json
"""


def label(
    image_dir: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES", exists=True, file_okay=False, help="Folder of the photographs."
        ),
    ],
    pose: Annotated[
        list[str],
        typer.Option(
            help="Pose estimator that predicts the keypoints: a .keras, .tflite or .onnx file, a "
            "MoveNet, or a name of `keras-shufflenet models`. May be repeated: the predictions "
            "are fused."
        ),
    ],
    output: Annotated[Path, typer.Option(dir_okay=False, help="COCO json to write.")],
    annotations: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="COCO keypoint json of the images: its persons are completed and checked, "
            "instead of detected ones labeled.",
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            help="Detector of the persons: a file, or a name of `keras-shufflenet models`. "
            f"Default: {DETECTOR}."
        ),
    ] = None,
    detector_weights: DetectorWeights = None,
    person_threshold: Annotated[
        float | None,
        typer.Option(help="Minimum mean score of the 8 best keypoints of a person. Default: 0.35."),
    ] = None,
    keypoint_threshold: Annotated[
        float, typer.Option(help="Keypoints with a lower score are not labeled.")
    ] = 0.3,
    category: Category = None,
) -> None:
    """Annotate photographs with the keypoints that trained networks predict.

    `train pose --annotations` takes the json; the scores of the keypoints are their weights.
    """
    check_output("output", output, (".json",))
    for model in pose:
        if Path(model).suffix and not Path(model).is_file():
            raise FileNotFoundError(f"--pose must be an existing file. Received: {model}")
    if annotations is None:
        if category is not None:
            raise ValueError(
                f"--category is for --annotations, which are not given. Received: {category}"
            )
        check_detector(detector or DETECTOR, detector_weights)
    elif (detector, detector_weights, person_threshold) != (None, None, None):
        raise ValueError(
            "--annotations have their own persons, for which there is no --detector, "
            "--detector-weights or --person-threshold. Received: both"
        )
    import_tensorflow()
    from keras_shufflenet.training import pseudo_labels

    if annotations is None:
        found = pseudo_labels.label_images(
            image_dir,
            pose,
            open_detector(detector or DETECTOR, detector_weights),
            person_threshold=(
                pseudo_labels.PERSON_THRESHOLD if person_threshold is None else person_threshold
            ),
            keypoint_threshold=keypoint_threshold,
        )
    else:
        found = pseudo_labels.complete_annotations(
            annotations,
            image_dir,
            pose,
            keypoint_threshold=keypoint_threshold,
            category=category,
        )
    atomic_write(output, lambda beside: beside.write_text(json.dumps(found)))
    counts = {k: v for k, v in found["info"].items() if isinstance(v, int)}
    for name, count in counts.items():
        typer.echo(f"{name.replace('_', ' ')}: {count}")
    typer.echo(f"labeled: {output}")
