"""`keras-shufflenet pose`: find people's joints in images and draw them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_shufflenet.cli.options import Weights, open_model

if TYPE_CHECKING:
    import numpy as np

EXAMPLES = """
keras-shufflenet pose photo.jpg --model runs/pose/model.keras --output drawn/
keras-shufflenet pose photo.jpg --model pose_int8.tflite --box 120,40,200,420 --box 300,60,180,400
keras-shufflenet pose *.jpg --model pose_int8.tflite --boxes boxes.json
"""


def pose(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="JPEG or PNG files.")],
    model: Annotated[
        str, typer.Option(help="A .keras or .tflite file, or a pose estimator's name.")
    ],
    weights: Weights = None,
    output: Annotated[Path, typer.Option(help="Folder for the drawn images.")] = Path("drawn"),
    box: Annotated[
        list[str] | None,
        typer.Option(help="x,y,width,height of a person, for one image; may be repeated."),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(help="json with the boxes of every image: {file name: [[x, y, w, h], ...]}."),
    ] = None,
    threshold: Annotated[float, typer.Option(help="Least score of joints that are drawn.")] = 0.3,
) -> None:
    """Draw skeletons; without boxes the whole image is one person."""
    places = _boxes(images, box or [], boxes)
    for path in images:
        if not path.is_file():
            raise FileNotFoundError(f"there is no such image. Received: {path}")
    names = [path.stem for path in images]
    if len(set(names)) != len(names):
        raise ValueError(
            "pictures are written as NAME.png, so names must differ; draw them in turns. "
            f"Received: {', '.join(map(str, images))}"
        )
    from keras_shufflenet.inference.pose import PosePredictor

    estimator = PosePredictor.load(open_model(model, weights, default=None))
    output.mkdir(parents=True, exist_ok=True)
    for path in images:
        drawn = output / f"{path.stem}.png"
        people = _draw(estimator, path, places.get(path.name), drawn, threshold)
        counts = ", ".join(map(str, (people[..., 2] >= threshold).sum(axis=1)))
        typer.echo(f"{drawn}: {counts} of {people.shape[1]} joints")


def _draw(
    estimator: Any, path: Path, boxes: list[list[float]] | None, output: Path, threshold: float
) -> "np.ndarray":
    from PIL import Image

    from keras_shufflenet.inference.pose import predict_pose
    from keras_shufflenet.inference.visualization import draw_skeletons

    people = predict_pose(estimator, path, boxes)
    drawn = draw_skeletons(path, people, estimator.skeleton, threshold)
    Image.fromarray(drawn).save(output)
    return people


def _boxes(images: list[Path], box: list[str], file: Path | None) -> dict[str, list[list[float]]]:
    """Return the boxes by file name; images that are missing in it count as one person."""
    if box and file:
        raise ValueError("give --box or --boxes, not both. Received: both")
    if box and len(images) > 1:
        raise ValueError(f"--box is for one image; use --boxes. Received: {len(images)} images")
    if box:
        return {images[0].name: [_parse_box(text) for text in box]}
    return _read_boxes(file) if file else {}


def _parse_box(text: str) -> list[float]:
    try:
        x, y, width, height = map(float, text.split(","))
    except ValueError:
        raise ValueError(f"--box is x,y,width,height in pixels. Received: {text}") from None
    return [x, y, width, height]


def _read_boxes(file: Path) -> dict[str, list[list[float]]]:
    try:
        boxes = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"--boxes is not valid json: {error}. Received: {file}") from error
    if not isinstance(boxes, dict):
        raise ValueError(
            "--boxes must hold {file name: [[x, y, width, height], ...]}. "
            f"Received: {type(boxes).__name__} in {file}"
        )
    return boxes
