"""`keras-shufflenet demo`: from synthetic people to an int8 file that finds their keypoints."""

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_shufflenet._files import check_output_dir
from keras_shufflenet._requirements import check_free_space, check_installed

if TYPE_CHECKING:
    import keras
    from rich.console import Console

EXAMPLES = """
keras-shufflenet demo
keras-shufflenet demo --output-dir /tmp/demo --people 4000 --epochs 20
keras-shufflenet demo --annotations person_keypoints_train2017.json --image-dir train2017/
"""

BACKBONE = "shufflenet_v2_x0_25"
INPUT_SIZE = (192, 128)
RENDERING: dict[str, Any] = {
    "image_size": (256, 256),
    "people_per_image": (1, 1),
    "difficulty": 0.0,
}
HELD_OUT = 1 / 10  # of the number of training images
SHOWN = 12
IMAGE_BYTES = 20_000  # of a rendered image and its annotation
RESULTS_BYTES = 50_000_000  # of checkpoints, models and pictures

Source = tuple[Path, Path]


def demo(
    output_dir: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of all results.")
    ] = Path("demo"),
    people: Annotated[int, typer.Option(min=1, help="Synthetic images to train on.")] = 3000,
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs.")] = 5,
    annotations: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="COCO keypoint json to use instead of synthetic people.",
        ),
    ] = None,
    image_dir: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Folder of its images.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of people, weights and training.")] = 0,
) -> None:
    """Render synthetic people, train, export to int8, evaluate and draw skeletons.

    Needs neither downloads nor data.
    """
    if (annotations is None) != (image_dir is None):
        raise ValueError(
            "--annotations and --image-dir must be given together. "
            f"Received: {annotations} and {image_dir}"
        )
    check_installed("The demo", "export", ("ai_edge_litert",))
    check_output_dir("output_dir", output_dir)
    images = 0 if annotations is not None else math.ceil(people * (1 + HELD_OUT))
    check_free_space(output_dir, images * IMAGE_BYTES + RESULTS_BYTES, "The demo")
    times: dict[str, float] = {}
    with _timed("people", times):
        real = _split(annotations, image_dir, output_dir) if annotations and image_dir else None
        train, held_out = real or _render(output_dir, people, seed)
    with _timed("training", times):
        model = _train(train, output_dir, epochs, seed)
    with _timed("export", times):
        tflite = _export(model, train, output_dir)
    metrics = {}
    for name, candidate in (("Keras, float32", model), ("LiteRT, int8", tflite)):
        with _timed(f"AP of {name}", times):
            metrics[name] = _evaluate(candidate, held_out)
    with _timed("pictures", times):
        grid = _draw(tflite, held_out, output_dir)
    _report(metrics, times, [grid, output_dir / "run" / "model.keras", tflite])


@cache
def _console() -> "Console":
    from rich.console import Console

    return Console()


@contextmanager
def _timed(title: str, times: dict[str, float]) -> Iterator[None]:
    _console().rule(title)
    started = time.monotonic()
    yield
    times[title] = time.monotonic() - started


def _render(output: Path, people: int, seed: int) -> tuple[Source, Source]:
    """Render people to train on and, with another seed, people to evaluate on."""
    import keras_shufflenet as ks

    folder = output / "people"
    others = math.ceil(people * HELD_OUT)
    return (
        ks.synthetic_people.create_dataset(folder / "train", people, 2 * seed, **RENDERING),
        ks.synthetic_people.create_dataset(folder / "held_out", others, 2 * seed + 1, **RENDERING),
    )


def _split(annotations: Path, images: Path, output: Path) -> tuple[Source, Source]:
    """Hold out the last images of a COCO file."""
    from keras_shufflenet.keypoints.annotations import read_json
    from keras_shufflenet.keypoints.coco_file import COCOFile

    COCOFile(annotations)  # raises if it is malformed
    content, _ = read_json(annotations, "annotations")
    cut = len(content["images"]) - math.ceil(len(content["images"]) * HELD_OUT)
    parts = {"train": content["images"][:cut], "held_out": content["images"][cut:]}
    sources = []
    for name, kept in parts.items():
        numbers = {int(float(image["id"])) for image in kept}  # which may be text
        people = [
            person for person in content["annotations"] if int(float(person["image_id"])) in numbers
        ]
        path = output / f"{name}.json"
        path.write_text(json.dumps(content | {"images": kept, "annotations": people}))
        sources.append((path, images))
    return sources[0], sources[1]


def _train(train: Source, output: Path, epochs: int, seed: int) -> "keras.Model":
    import keras

    import keras_shufflenet as ks

    keras.utils.set_random_seed(seed)
    model = ks.PoseEstimator(BACKBONE, head="fpn", input_size=INPUT_SIZE)
    recipe = ks.training.recipes.from_scratch(epochs)
    ks.training.train_pose(model, [train], output / "run", recipe, seed=seed, resume=False)
    return model


def _export(model: "keras.Model", train: Source, output: Path) -> Path:
    import keras_shufflenet as ks

    path = output / "pose_int8.tflite"
    people = ks.data.keypoints(*train, model=model)
    _console().print(ks.export.litert(model, path, precision="int8", representative_dataset=people))
    return path


def _evaluate(model: "keras.Model | Path", held_out: Source) -> dict[str, float]:
    import keras_shufflenet as ks

    return ks.metrics.coco(model, *held_out)


def _draw(model: Path, held_out: Source, output: Path) -> Path:
    """Draw the skeletons that the exported file predicts on some held-out images."""
    from PIL import Image

    import keras_shufflenet as ks
    from keras_shufflenet.inference import draw_skeletons, image_grid

    dataset = ks.data.load_keypoint_dataset(*held_out)
    boxes: dict[str, list[list[float]]] = {}
    for path, box in zip(dataset.paths, dataset.instances.bboxes, strict=True):
        boxes.setdefault(path, []).append(box)
    predictor = ks.inference.PosePredictor.load(model)
    images = [
        draw_skeletons(path, ks.inference.predict_pose(predictor, path, boxes[path]))
        for path in list(boxes)[:SHOWN]
    ]
    grid = output / "pictures.png"
    Image.fromarray(image_grid(images)).save(grid)
    return grid


def _report(
    metrics: dict[str, dict[str, float]], times: dict[str, float], files: list[Path]
) -> None:
    from keras_shufflenet.metrics.tables import metrics_table

    _console().rule("results")
    _console().print(metrics_table(metrics, title="held-out images, annotated boxes, flip test"))
    from rich.table import Table

    table = Table("step", "seconds")
    for step, seconds in (times | {"all": sum(times.values())}).items():
        table.add_row(step, f"{seconds:.0f}")
    _console().print(table)
    for path in files:
        size = f"{path.stat().st_size / 1e6:.1f} MB"
        _console().print(f"{path}  {size}", highlight=False, soft_wrap=True)
