"""`keras-shufflenet predict`: classify images or predict the keypoints of persons."""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_shufflenet._files import check_output_dir
from keras_shufflenet.cli.bboxes import find_boxes
from keras_shufflenet.cli.options import (
    Keypoints,
    ResizeMethod,
    ResizeSize,
    Weights,
    check_model,
    is_model_file,
    open_model,
    parse_keypoints,
)

if TYPE_CHECKING:
    import numpy as np

    from keras_shufflenet.inference.sources import ImageSource

CLASSIFY_EXAMPLES = """
keras-shufflenet predict classify cat.jpg
keras-shufflenet predict classify mobilenet_v2_x1_0 photos/ --top 3 --output-dir predictions/
keras-shufflenet predict classify x1_0_int8.tflite https://example.org/cat.jpg
"""
POSE_EXAMPLES = """
keras-shufflenet predict pose photo.jpg --bbox 120,40,200,420 --bbox 300,60,180,400
keras-shufflenet predict pose runs/pose/model.keras 'photos/*.jpg' --output-dir predictions/
find photos -name '*.jpg' | keras-shufflenet predict pose pose_int8.tflite - --bboxes bboxes.json
"""
OTHER_MODEL_FILES = {".h5", ".hdf5", ".onnx", ".pb", ".pt", ".pth", ".ckpt", ".safetensors"}
CLASSIFIER = "shufflenet_v2_x1_0"
POSE_ESTIMATOR = "pose_shufflenet_v2_x1_0_coco_256x192"

Images = Annotated[
    list[str],
    typer.Argument(
        metavar="[MODEL] IMAGE...",
        help="Image files, folders, quoted shell patterns, URLs, or - for a list on the standard "
        "input; after a .keras or .tflite file or a name of `keras-shufflenet models`. Without "
        "MODEL a published network is used.",
    ),
]


def classify(
    images: Images,
    weights: Weights = None,
    top: Annotated[int, typer.Option(min=1, help="Number of classes per image.")] = 5,
    resize_size: ResizeSize = None,
    resize_method: ResizeMethod = "torchvision",
    output_dir: Annotated[
        Path | None,
        typer.Option(
            file_okay=False, help="Folder for predictions.json and predictions.csv. Default: none."
        ),
    ] = None,
) -> None:
    """Print the most probable classes of images.

    Without MODEL, ShuffleNetV2 x1.0 with ImageNet weights is used.
    """
    with _sources(images, CLASSIFIER, weights, output_dir) as (model, sources):
        from rich.console import Console
        from rich.table import Table

        from keras_shufflenet.inference import ImageClassifier
        from keras_shufflenet.inference.predictions import class_record, save_predictions

        classifier = ImageClassifier.load(
            open_model(model, weights), resize_size=resize_size, resize_method=resize_method
        )
        table = Table("image", "class", "score")
        records = []

        def predict(source: "ImageSource", pixels: "np.ndarray") -> None:
            classes = classifier.predict(pixels, top)
            records.append(class_record(source.name, classes))
            for words, score in classes:
                table.add_row(source.name, words, f"{score:.3f}")
            table.add_section()

        unreadable = _for_each(sources, predict)
        if records:
            Console(markup=False).print(table)  # names may have brackets
        if records and output_dir is not None:
            for path in save_predictions(records, output_dir):
                typer.echo(path)
        _check_read(unreadable, sources)


def pose(
    images: Images,
    weights: Weights = None,
    output_dir: Annotated[
        Path,
        typer.Option(
            file_okay=False,
            help="Folder for NAME.png with skeletons, predictions.json and predictions.csv.",
        ),
    ] = Path("predictions"),
    bbox: Annotated[
        list[str] | None,
        typer.Option(help="X,Y,WIDTH,HEIGHT of a person in pixels, for one image; repeatable."),
    ] = None,
    bboxes: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="json with the boxes of images by file name: {NAME: \\[\\[x, y, w, h], ...]}. "
            "An image without boxes is one person.",
        ),
    ] = None,
    keypoints: Keypoints = None,
    keypoint_threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Minimum keypoint score to draw.")
    ] = 0.3,
) -> None:
    """Predict keypoints and draw skeletons; without boxes the whole image is one person.

    Without MODEL, mmpose's ShuffleNetV2 x1.0 for COCO at 256x192 is used.
    """
    with _sources(images, POSE_ESTIMATOR, weights, output_dir) as (model, sources):
        boxes = find_boxes(sources, bbox or [], bboxes)
        skeleton = parse_keypoints(keypoints)
        _check_estimator(model)
        import numpy as np
        from PIL import Image

        from keras_shufflenet.inference.pose import PosePredictor, predict_pose
        from keras_shufflenet.inference.predictions import pose_records, save_predictions
        from keras_shufflenet.inference.visualization import draw_skeletons

        predictor = PosePredictor.load(open_model(model, weights), skeleton=skeleton)
        records: list[dict[str, Any]] = []

        def predict(source: "ImageSource", pixels: "np.ndarray") -> None:
            drawn = output_dir / _picture(source, sources)
            whole = [[0.0, 0.0, pixels.shape[1], pixels.shape[0]]]
            bounds = np.array(boxes.get(source.name, whole), np.float64).reshape(-1, 4)
            try:
                persons = predict_pose(predictor, pixels, bounds)
            except ValueError as error:
                message = str(error).replace("`bboxes`", "--bbox" if bbox else "--bboxes")
                raise ValueError(f"{message} for {source.origin}") from error
            drawn.parent.mkdir(parents=True, exist_ok=True)
            shown = draw_skeletons(pixels, persons, predictor.skeleton, keypoint_threshold)
            Image.fromarray(shown).save(drawn)
            records.extend(pose_records(source.name, bounds, persons, predictor.skeleton))
            counts = ", ".join(map(str, (persons[..., 2] >= keypoint_threshold).sum(axis=1)))
            typer.echo(f"{drawn}: {counts} of {persons.shape[1]} keypoints")

        unreadable = _for_each(sources, predict)
        for path in save_predictions(records, output_dir):
            typer.echo(path)
        _check_read(unreadable, sources)


@contextmanager
def _sources(
    words: Sequence[str], default: str, weights: str | None, output_dir: Path | None
) -> "Iterator[tuple[str, list[ImageSource]]]":
    """Split the arguments into MODEL and images; files of URLs live within the context.

    Raises:
        FileNotFoundError: If the model's file or an image does not exist.
        OSError: If the output folder cannot be written to.
        ValueError: If there is no image.
    """
    from keras_shufflenet.inference.sources import find_images

    first = words[0]
    if Path(first).suffix.lower() in OTHER_MODEL_FILES:
        raise ValueError(
            "MODEL must be a .keras or .tflite file; `keras-shufflenet convert` reads checkpoints. "
            f"Received: {first}"
        )
    if is_model_file(first) or _is_model_name(first):
        model, images = first, words[1:]
    else:
        model, images = default, words
    check_model(model, weights)
    if not images:
        raise ValueError(f"IMAGE must be given after MODEL. Received: {first} alone")
    for image in images:
        if is_model_file(image) or (_is_known(image) and not Path(image).exists()):
            raise ValueError(f"MODEL must come before IMAGE. Received: {' '.join(words)}")
    if output_dir is not None:
        check_output_dir("output_dir", output_dir)
    with tempfile.TemporaryDirectory() as folder:
        yield model, find_images(images, Path(folder))


def _for_each(
    sources: "Sequence[ImageSource]", predict: "Callable[[ImageSource, np.ndarray], None]"
) -> list[str]:
    """Predict image by image; return those that cannot be read, each named in a warning.

    Raises:
        ValueError: If there is one image only and it cannot be read.
    """
    from keras_shufflenet.inference.image_io import to_array

    unreadable = []
    for source in sources:
        try:
            pixels = to_array(source.path)
        except ValueError as error:
            message = str(error).replace(str(source.path), source.origin)
            if len(sources) == 1:
                raise ValueError(message) from error
            sys.stderr.write(f"Warning: {message}\n")
            unreadable.append(source.origin)
        else:
            predict(source, pixels)
    return unreadable


def _check_read(unreadable: Sequence[str], sources: "Sequence[ImageSource]") -> None:
    if unreadable:
        raise ValueError(
            f"Every IMAGE must be readable; {len(sources) - len(unreadable)} of {len(sources)} "
            f"were predicted. Received: {', '.join(unreadable)}"
        )


def _picture(source: "ImageSource", sources: "Sequence[ImageSource]") -> Path:
    """Return NAME.png; the suffix stays in the name of images that differ in nothing else."""
    stem = Path(source.name).with_suffix("")
    shared = sum(Path(other.name).with_suffix("") == stem for other in sources) > 1
    return Path(f"{source.name if shared else stem.as_posix()}.png")


def _check_estimator(model: str) -> None:
    if _is_known(model) and not model.startswith("pose_"):
        raise ValueError(
            "MODEL must be a pose estimator: a file, or a name that begins with pose_. "
            f"Received: {model}"
        )


def _is_known(word: str) -> bool:
    from keras_shufflenet.models import MODEL_STATS  # without Keras

    return word in MODEL_STATS


def _is_model_name(word: str) -> bool:
    """Return whether a word is a model's name rather than an image.

    It may be a name such as pose_..._light, or a misspelled one, which the builder corrects.
    """
    is_path = Path(word).suffix or Path(word).exists() or any(c in word for c in "/*?[")
    return _is_known(word) or not (is_path or word == "-")
