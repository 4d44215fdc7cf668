"""The option `--detector` of commands that find persons before they predict their keypoints."""

import difflib
import re
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from keras_shufflenet.cli.options import DETECTOR_FILES, check_model, is_model_file, open_model

if TYPE_CHECKING:
    import keras

DETECTOR = "nanodet_plus_m_416"
NO_DETECTOR = "none"
NANODET, RETINANET = "nanodet_", "retinanet_"  # what names of detectors begin with

DetectorWeights = Annotated[
    str | None,
    typer.Option(
        "--detector-weights",
        help="Weights of a detector given by name: coco, none, a name of `keras-shufflenet "
        "models`, or a checkpoint. Default: coco.",
    ),
]


class PersonOptions(NamedTuple):
    """The options of the detector of persons; None where they are not given."""

    detector: str | None
    detector_weights: str | None
    category: str | None
    score_threshold: float | None
    iou_threshold: float | None


def check_detector(detector: str, weights: str | None) -> None:
    """Check what needs no TensorFlow: that it is a file, or the name of a detector.

    Args:
        detector: The value of --detector.
        weights: The value of --detector-weights; None for the default.

    Raises:
        FileNotFoundError: If the file does not exist.
        ImportError: If ai-edge-litert is missing for a .tflite file.
        ValueError: If it is no detector, or weights are given for a file.
    """
    check_model(
        detector,
        weights,
        DETECTOR_FILES,
        option="--detector",
        weights_option="--detector-weights",
    )
    check_detector_name(detector, "--detector")


def check_detector_name(
    detector: str,
    option: str = "MODEL",
    allowed: str = "a .keras or .tflite file, or the name of a detector",
) -> None:
    """Check that a model is a file, or the name of a detector.

    Args:
        detector: The model.
        option: What it is passed as, for the message.
        allowed: What it may be, for the message.

    Raises:
        ValueError: If it is the name of a network of another task, or of none.
    """
    if is_model_file(detector) or is_detector(detector):
        return
    from keras_shufflenet.models import MODEL_STATS  # without Keras

    near = difflib.get_close_matches(detector, filter(is_detector, MODEL_STATS), 1, 0.8)
    raise ValueError(
        f"{option} must be {allowed}, such as {[*near, DETECTOR][0]}. Received: {detector}"
    )


def is_detector(name: str) -> bool:
    """Return whether a detector has this name: RetinaNet takes that of any backbone."""
    from keras_shufflenet.models import MODEL_STATS  # without Keras

    if not name.startswith(RETINANET):
        return name in MODEL_STATS and name.startswith(NANODET)
    backbone = name.removeprefix(RETINANET)
    known = backbone in MODEL_STATS or ":" in backbone  # an architecture, which its builder checks
    return known and not backbone.startswith(("pose_", NANODET, RETINANET))


def open_detector(detector: str, weights: str | None) -> "keras.Model | str":
    """Return the path of a detector's file, or build the detector of a name.

    `check_detector` comes first.

    Raises:
        FileNotFoundError: If there is no file of the weights.
        ValueError: If the detector has no such weights.
    """
    try:
        return open_model(detector, weights)
    except (ValueError, FileNotFoundError) as error:
        message = re.sub(r"(`|Received: )weights\b", r"\1detector_weights", str(error))
        kind = ValueError if isinstance(error, ValueError) else FileNotFoundError
        raise kind(message) from error
