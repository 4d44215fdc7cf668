"""`keras-shufflenet demo`: from drawn people to an int8 file that finds their joints."""

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import keras

EXAMPLES = """
keras-shufflenet demo
keras-shufflenet demo --output /tmp/demo --people 4000 --epochs 20
keras-shufflenet demo --data person_keypoints_train2017.json --images train2017/
"""

BACKBONE = "shufflenet_v2_x0_25"
INPUT_SIZE = (192, 128)
DRAWING: dict[str, Any] = {"image_size": (256, 256), "people_per_image": (1, 1), "difficulty": 0.0}
HELD_OUT = 1 / 10  # as many people as this share of those to train on
SHOWN = 12

console = Console()
Source = tuple[Path, Path]


def demo(
    output: Annotated[Path, typer.Option(help="Folder of everything made.")] = Path("demo"),
    people: Annotated[int, typer.Option(help="Drawn people to train on.")] = 3000,
    epochs: Annotated[int, typer.Option(help="Passes over the people.")] = 5,
    data: Annotated[
        Path | None, typer.Option(help="COCO keypoint json to use instead of drawn people.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of its images.")] = None,
    seed: Annotated[int, typer.Option(help="Of people, weights and training.")] = 0,
) -> None:
    """Draw people, train a pose net on them, export it in int8, measure both and show pictures.

    Needs neither network nor weights. With --data the net sees real people.
    """
    if (data is None) != (images is None):
        raise ValueError(f"--data and --images go together. Received: {data} and {images}")
    output.mkdir(parents=True, exist_ok=True)
    times: dict[str, float] = {}
    with _timed("people", times):
        real = _split(data, images, output) if data and images else None
        train, held_out = real or _draw(output, people, seed)
    with _timed("training", times):
        model = _train(train, output, epochs, seed)
    with _timed("export", times):
        tflite = _export(model, train, output)
    figures = {}
    for name, candidate in (("Keras, float32", model), ("LiteRT, int8", tflite)):
        with _timed(f"AP of {name}", times):
            figures[name] = _evaluate(candidate, held_out)
    with _timed("pictures", times):
        sheet = _sheet(tflite, held_out, output)
    _report(figures, times, [sheet, output / "run" / "model.keras", tflite])


@contextmanager
def _timed(title: str, times: dict[str, float]) -> Iterator[None]:
    console.rule(title)
    started = time.monotonic()
    yield
    times[title] = time.monotonic() - started


def _draw(output: Path, people: int, seed: int) -> tuple[Source, Source]:
    """Draw people to train on and, with another seed, people to measure AP on."""
    import keras_shufflenet as ks

    folder = output / "people"
    others = math.ceil(people * HELD_OUT)
    return (
        ks.synthetic_people.create_dataset(folder / "train", people, 2 * seed, **DRAWING),
        ks.synthetic_people.create_dataset(folder / "held_out", others, 2 * seed + 1, **DRAWING),
    )


def _split(annotations: Path, images: Path, output: Path) -> tuple[Source, Source]:
    """Hold the last images of a COCO file out."""
    content = json.loads(annotations.read_text())
    cut = len(content["images"]) - math.ceil(len(content["images"]) * HELD_OUT)
    parts = {"train": content["images"][:cut], "held_out": content["images"][cut:]}
    sources = []
    for name, kept in parts.items():
        numbers = {image["id"] for image in kept}
        people = [person for person in content["annotations"] if person["image_id"] in numbers]
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
    people = ks.data.keypoints(*train, model=model, training=True)
    console.print(ks.export.litert(model, path, precision="int8", representative_dataset=people))
    return path


def _evaluate(model: "keras.Model | Path", held_out: Source) -> dict[str, float]:
    import keras_shufflenet as ks

    return ks.metrics.coco(model, *held_out)


def _sheet(model: Path, held_out: Source, output: Path) -> Path:
    """Draw the skeletons that the exported file finds in some held-out pictures."""
    from PIL import Image

    import keras_shufflenet as ks
    from keras_shufflenet.inference.visualization import draw_skeletons, image_grid

    samples = ks.data.load_keypoint_dataset(*held_out)
    boxes: dict[str, list[list[float]]] = {}
    for path, box in zip(samples.paths, samples.instances.bboxes, strict=True):
        boxes.setdefault(path, []).append(box)
    estimator = ks.inference.PosePredictor.load(model)
    pictures = [
        draw_skeletons(path, ks.inference.predict_pose(estimator, path, boxes[path]))
        for path in list(boxes)[:SHOWN]
    ]
    sheet = output / "pictures.png"
    Image.fromarray(image_grid(pictures)).save(sheet)
    return sheet


def _report(
    figures: dict[str, dict[str, float]], times: dict[str, float], files: list[Path]
) -> None:
    from keras_shufflenet.metrics.tables import metrics_table

    console.rule("results")
    console.print(metrics_table(figures, title="held-out people, annotated boxes, flip test"))
    table = Table("step", "seconds")
    for step, seconds in (times | {"all": sum(times.values())}).items():
        table.add_row(step, f"{seconds:.0f}")
    console.print(table)
    for path in files:
        size = f"{path.stat().st_size / 1e6:.1f} MB"
        console.print(f"{path}  {size}", highlight=False, soft_wrap=True)
