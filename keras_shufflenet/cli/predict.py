"""`keras-shufflenet predict`: classify images or predict the keypoints of persons."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_shufflenet.cli.options import (
    ResizeMethod,
    ResizeSize,
    Weights,
    is_model_file,
    open_model,
)

if TYPE_CHECKING:
    import numpy as np

CLASSIFY_EXAMPLES = """
keras-shufflenet predict classify cat.jpg
keras-shufflenet predict classify mobilenet_v2_x1_0 *.jpg --top 3
keras-shufflenet predict classify x1_0_int8.tflite cat.jpg
"""
POSE_EXAMPLES = """
keras-shufflenet predict pose photo.jpg --bbox 120,40,200,420 --bbox 300,60,180,400
keras-shufflenet predict pose runs/pose/model.keras photo.jpg --output-dir predictions/
keras-shufflenet predict pose pose_int8.tflite *.jpg --bboxes bboxes.json
"""
CLASSIFIER = "shufflenet_v2_x1_0"
POSE_ESTIMATOR = "pose_shufflenet_v2_x1_0_coco_256x192"

Images = Annotated[
    list[str],
    typer.Argument(
        metavar="[MODEL] IMAGE",
        help="Image files, after a .keras or .tflite file or a name of `keras-shufflenet models`. "
        "Without MODEL a published network is used.",
    ),
]


def classify(
    images: Images,
    weights: Weights = None,
    top: Annotated[int, typer.Option(min=1, help="Number of classes per image.")] = 5,
    resize_size: ResizeSize = None,
    resize_method: ResizeMethod = "torchvision",
) -> None:
    """Print the most probable classes of images.

    Without MODEL, ShuffleNetV2 x1.0 with ImageNet weights is used.
    """
    model, paths = _split(images, CLASSIFIER)
    from rich.console import Console
    from rich.table import Table

    from keras_shufflenet.inference import ImageClassifier

    classifier = ImageClassifier.load(
        open_model(model, weights), resize_size=resize_size, resize_method=resize_method
    )
    table = Table("image", "class", "score")
    for path in paths:
        for words, score in classifier.predict(path, top):
            table.add_row(path.name, words, f"{score:.3f}")
        table.add_section()
    Console().print(table)


def pose(
    images: Images,
    weights: Weights = None,
    output_dir: Annotated[
        Path, typer.Option(help="Folder for the images with skeletons, NAME.png.")
    ] = Path("predictions"),
    bbox: Annotated[
        list[str] | None,
        typer.Option(help="X,Y,WIDTH,HEIGHT of a person in pixels, for one image; repeatable."),
    ] = None,
    bboxes: Annotated[
        Path | None,
        typer.Option(help="json with the boxes of all images: {file name: [[x, y, w, h], ...]}."),
    ] = None,
    keypoint_threshold: Annotated[
        float, typer.Option(help="Minimum keypoint score to draw.")
    ] = 0.3,
) -> None:
    """Predict keypoints and draw skeletons; without boxes the whole image is one person.

    Without MODEL, mmpose's ShuffleNetV2 x1.0 for COCO at 256x192 is used.
    """
    model, paths = _split(images, POSE_ESTIMATOR)
    boxes = _boxes(paths, bbox or [], bboxes)
    names = [path.stem for path in paths]
    if len(set(names)) != len(names):
        raise ValueError(
            "Images must differ in name, because NAME.png is written for each. "
            f"Received: {', '.join(map(str, paths))}"
        )
    from keras_shufflenet.inference.pose import PosePredictor
    from keras_shufflenet.models import list_models

    if model in list_models(task="classification"):
        raise ValueError(
            "MODEL must be a pose estimator: a file, or a name that begins with pose_. "
            f"Received: {model}"
        )
    predictor = PosePredictor.load(open_model(model, weights))
    output_dir.mkdir(parents=True, exist_ok=True)
    for path in paths:
        drawn = output_dir / f"{path.stem}.png"
        persons = _draw(predictor, path, boxes.get(path.name), drawn, keypoint_threshold)
        counts = ", ".join(map(str, (persons[..., 2] >= keypoint_threshold).sum(axis=1)))
        typer.echo(f"{drawn}: {counts} of {persons.shape[1]} keypoints")


def _split(words: list[str], default: str) -> tuple[str, list[Path]]:
    """Split the arguments into MODEL and images.

    Raises:
        FileNotFoundError: If an image does not exist.
        ValueError: If there is no image.
    """
    first = words[0]
    if is_model_file(first) or _is_model_name(first):
        model, images = first, words[1:]
    else:
        model, images = default, words
    if not images:
        raise ValueError(f"IMAGE must be given after MODEL. Received: {first} alone")
    paths = [Path(image) for image in images]
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(
                "IMAGE must be an existing file, and MODEL a .keras or .tflite file or a name of "
                f"`keras-shufflenet models`. Received: {path}"
            )
    return model, paths


def _is_model_name(word: str) -> bool:
    from keras_shufflenet.models import MODEL_STATS

    if word in MODEL_STATS:
        return True
    # A name such as pose_..._light, or a misspelled one, which the builder corrects; not a path.
    return not Path(word).suffix and not Path(word).exists() and "/" not in word


def _draw(
    predictor: Any, path: Path, boxes: list[list[float]] | None, output: Path, threshold: float
) -> "np.ndarray":
    from PIL import Image

    from keras_shufflenet.inference.pose import predict_pose
    from keras_shufflenet.inference.visualization import draw_skeletons

    persons = predict_pose(predictor, path, boxes)
    drawn = draw_skeletons(path, persons, predictor.skeleton, threshold)
    Image.fromarray(drawn).save(output)
    return persons


def _boxes(paths: list[Path], bbox: list[str], file: Path | None) -> dict[str, list[list[float]]]:
    """Return the boxes by file name; an image without boxes is one person."""
    if bbox and file:
        raise ValueError("--bbox and --bboxes must not be given together. Received: both")
    if bbox and len(paths) > 1:
        raise ValueError(
            f"--bbox must be given for one image; use --bboxes. Received: {len(paths)} images"
        )
    if bbox:
        return {paths[0].name: [_parse_bbox(text) for text in bbox]}
    return _read_bboxes(file) if file else {}


def _parse_bbox(text: str) -> list[float]:
    try:
        x, y, width, height = map(float, text.split(","))
    except ValueError:
        raise ValueError(f"--bbox must be X,Y,WIDTH,HEIGHT in pixels. Received: {text}") from None
    return [x, y, width, height]


def _read_bboxes(file: Path) -> dict[str, list[list[float]]]:
    try:
        boxes = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"--bboxes must be a json file ({error}). Received: {file}") from error
    if not isinstance(boxes, dict):
        raise ValueError(
            "--bboxes must hold {file name: [[x, y, width, height], ...]}. "
            f"Received: {type(boxes).__name__} in {file}"
        )
    return boxes
