"""Datasets of synthetic people in COCO's layout: images/*.jpg and person_keypoints.json."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from rich.progress import Progress

from keras_shufflenet._checks import check_integer
from keras_shufflenet._files import atomic_write
from keras_shufflenet._types import Size
from keras_shufflenet.keypoints.skeletons import COCO
from keras_shufflenet.synthetic_people.spec import DESCRIPTION, DatasetSpec, file_name
from keras_shufflenet.synthetic_people.workers import render_all


class SyntheticPeople(NamedTuple):
    """Paths of a synthetic dataset.

    Attributes:
        annotations: The COCO keypoint file.
        image_dir: The image folder.
    """

    annotations: Path
    image_dir: Path


def create_dataset(
    directory: str | os.PathLike[str],
    count: int,
    seed: int = 0,
    *,
    image_size: Size = (320, 320),
    people_per_image: tuple[int, int] = (1, 3),
    difficulty: float = 0.5,
    workers: int | None = None,
    verbose: bool = True,
) -> SyntheticPeople:
    """Render people in random poses, clothes and scenes, with their COCO keypoints.

    The people are articulated 3-D models in front of a pinhole camera; the visibility of each
    keypoint follows from the depth buffer (see `labels`). The same arguments give the same files
    for any number of `workers`. The annotation file is written last, so a folder that contains one
    is complete. Calling the function again with the same arguments renders nothing; with other
    arguments it replaces the dataset.

    Args:
        directory: Folder for `images/*.jpg` and `person_keypoints.json`.
        count: Number of people, all of them annotated.
        seed: Non-negative integer; datasets of different seeds are independent.
        image_size: Image size (height, width) in pixels, each between 64 and 4096.
        people_per_image: (minimum, maximum) number of people in an image, between 1 and 6.
        difficulty: Between 0 and 1. At 0 people face the camera in calm poses without occlusion.
            With larger values more of them turn away, move, and are truncated by the image border
            or occluded by objects and each other, and images have more clutter, blur and noise.
        workers: Number of processes; by default one per core, but fewer for small datasets.
        verbose: Whether to show a progress bar.

    Returns:
        The paths of the annotation file and of the image folder.

    Raises:
        ValueError: If an argument is out of range, or `directory` contains the annotations of
            another dataset.
    """
    height, width = image_size
    minimum, maximum = people_per_image
    spec = DatasetSpec(count, seed, (height, width), (minimum, maximum), float(difficulty))
    spec.check()
    if workers is not None:
        check_integer("workers", workers)
    paths = SyntheticPeople(Path(directory, "person_keypoints.json"), Path(directory, "images"))
    existing = _read_existing(paths.annotations)
    if existing and existing["info"] == spec.info() and _is_complete(paths, existing):
        return paths
    paths.annotations.unlink(missing_ok=True)  # first, so that a partial dataset has none
    paths.image_dir.mkdir(parents=True, exist_ok=True)
    coco = _coco(spec, _render(paths.image_dir, spec, workers, verbose))
    _remove_other_images(paths.image_dir, len(coco["images"]))
    text = json.dumps(coco, separators=(",", ":"))
    atomic_write(paths.annotations, lambda partial: partial.write_text(text))
    return paths


def _read_existing(annotations: Path) -> dict[str, Any] | None:
    """Return the annotations of an existing synthetic dataset, or None if there is none."""
    if not annotations.exists():
        return None
    try:
        content = json.loads(annotations.read_bytes())
        is_synthetic = content["info"]["description"] == DESCRIPTION
    except (ValueError, KeyError, TypeError):
        is_synthetic = False
    if not is_synthetic:
        raise ValueError(
            "`directory` must be new or contain a dataset of synthetic people, so that no other "
            f"dataset is overwritten. Received: directory={str(annotations.parent)!r}"
        )
    return content


def _is_complete(paths: SyntheticPeople, content: dict[str, Any]) -> bool:
    return all((paths.image_dir / image["file_name"]).is_file() for image in content["images"])


def _remove_other_images(image_dir: Path, count: int) -> None:
    """Remove the images of an earlier or interrupted call that rendered more of them."""
    names = {file_name(index) for index in range(count)}
    for path in image_dir.glob("synthetic_*.jpg"):
        if path.name not in names:
            path.unlink(missing_ok=True)


def _render(
    image_dir: Path, spec: DatasetSpec, workers: int | None, verbose: bool
) -> list[list[dict]]:
    """Render all images and return their annotations in order."""
    counts = spec.people_counts()
    rendered: list[list[dict]] = [[] for _ in counts]
    with Progress(disable=not verbose, transient=True) as bar:
        task = bar.add_task("Rendering people", total=spec.count)
        for index, annotations in render_all(image_dir, spec, workers):
            rendered[index] = annotations
            bar.advance(task, counts[index])
    return rendered


def _coco(spec: DatasetSpec, rendered: list[list[dict]]) -> dict[str, Any]:
    """Return the content of the annotation file."""
    height, width = spec.image_size
    images = [
        {"id": index + 1, "file_name": file_name(index), "height": height, "width": width}
        for index in range(len(rendered))
    ]
    flat = [(index + 1, entry) for index, entries in enumerate(rendered) for entry in entries]
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
        "info": spec.info(),
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [person],
    }
