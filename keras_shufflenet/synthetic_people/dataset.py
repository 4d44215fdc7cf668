"""A folder of drawn people in COCO's layout: images/*.jpg and person_keypoints.json."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from rich.progress import Progress

from keras_shufflenet._files import write_whole
from keras_shufflenet.keypoints.skeletons import COCO
from keras_shufflenet.synthetic_people.plan import DESCRIPTION, Plan, file_name
from keras_shufflenet.synthetic_people.workers import draw_all


class SyntheticPeople(NamedTuple):
    """Where a drawn dataset lies: the annotation file and the folder of images."""

    annotations: Path
    images: Path


def create_dataset(
    directory: str | os.PathLike[str],
    count: int,
    seed: int = 0,
    *,
    image_size: tuple[int, int] = (320, 320),
    people_per_image: tuple[int, int] = (1, 3),
    difficulty: float = 0.5,
    workers: int | None = None,
    progress: bool = True,
) -> SyntheticPeople:
    """Draw people in random poses, clothes and surroundings, with their COCO keypoints.

    The people are articulated 3-D figures under a pinhole camera; a joint's visibility flag is read
    off the depth buffer (`labels` says how). The same arguments give the same files, whatever
    `workers` is. The annotation file is written last, so a folder that has one is complete. A
    second call with the same arguments draws nothing; one with others replaces the drawing.

    Args:
        directory: where to write `images/*.jpg` and `person_keypoints.json`.
        count: number of people, all of them annotated.
        seed: any non-negative integer; datasets of different seeds are independent.
        image_size: (height, width) of the images in pixels, each 64 to 4096.
        people_per_image: (fewest, most) people of one image, 1 to 6.
        difficulty: 0 to 1. At 0 people face the camera in calm poses and nothing hides them;
            towards 1 more of them turn away, move, are cut by the edge or hidden by things and by
            each other, and pictures are more cluttered, blurred and noisy.
        workers: number of processes; None for one per core as far as that saves time.
        progress: whether to show a progress bar.

    Returns:
        The paths of the annotation file and of the image folder.

    Raises:
        ValueError: an argument is out of range, or `directory` holds annotations from elsewhere.
    """
    height, width = image_size
    fewest, most = people_per_image
    plan = Plan(count, seed, (height, width), (fewest, most), float(difficulty))
    plan.check()
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be None or a positive number. Received: {workers}")
    paths = SyntheticPeople(Path(directory, "person_keypoints.json"), Path(directory, "images"))
    earlier = _earlier(paths.annotations)
    if earlier and earlier["info"] == plan.info() and _complete(paths, earlier):
        return paths
    paths.annotations.unlink(missing_ok=True)  # first, so that what follows never looks whole
    paths.images.mkdir(parents=True, exist_ok=True)
    coco = _coco(plan, _draw(paths.images, plan, workers, progress))
    _tidy(paths.images, len(coco["images"]))
    text = json.dumps(coco, separators=(",", ":"))
    write_whole(paths.annotations, lambda beside: beside.write_text(text))
    return paths


def _earlier(annotations: Path) -> dict[str, Any] | None:
    """The content of an earlier drawing's annotation file, None where there is none."""
    if not annotations.exists():
        return None
    try:
        content = json.loads(annotations.read_bytes())
        own = content["info"]["description"] == DESCRIPTION
    except (ValueError, KeyError, TypeError):
        own = False
    if not own:
        raise ValueError(
            "directory must be new or hold an earlier drawing of synthetic people, so that no "
            f"other dataset is overwritten. Received: {annotations.parent}"
        )
    return content


def _complete(paths: SyntheticPeople, content: dict[str, Any]) -> bool:
    """Whether all images are there."""
    return all((paths.images / image["file_name"]).is_file() for image in content["images"])


def _tidy(images: Path, kept: int) -> None:
    """Remove the images of an earlier or interrupted drawing that had more of them."""
    names = {file_name(index) for index in range(kept)}
    for path in images.glob("synthetic_*.jpg"):
        if path.name not in names:
            path.unlink(missing_ok=True)


def _draw(images: Path, plan: Plan, workers: int | None, progress: bool) -> list[list[dict]]:
    """Draw all images; their annotations in order."""
    crowds = plan.crowds()
    drawn: list[list[dict]] = [[] for _ in crowds]
    with Progress(disable=not progress, transient=True) as bar:
        task = bar.add_task("Drawing people", total=plan.count)
        for index, annotations in draw_all(images, plan, workers):
            drawn[index] = annotations
            bar.advance(task, crowds[index])
    return drawn


def _coco(plan: Plan, drawn: list[list[dict]]) -> dict[str, Any]:
    """The annotation file's content."""
    height, width = plan.image_size
    images = [
        {"id": index + 1, "file_name": file_name(index), "height": height, "width": width}
        for index in range(len(drawn))
    ]
    flat = [(index + 1, entry) for index, entries in enumerate(drawn) for entry in entries]
    annotations = [
        {"id": number + 1, "image_id": image, **entry} for number, (image, entry) in enumerate(flat)
    ]
    person = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(COCO.keypoint_names),
        "skeleton": [[a + 1, b + 1] for a, b in COCO.limbs],
    }
    return {
        "info": plan.info(),
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [person],
    }
