"""COCO annotations of a rendered scene, from its depth and index buffers.

Visibility flags follow the practice of COCO's annotators. 2: the keypoint is visible, that is, its
pixel shows this person and no surface lies far in front of the keypoint. 1: it is occluded by the
person's own body, another person or an object. 0, with x = y = 0: it is outside of the image, or a
point of the face behind the person's own head, which COCO leaves unlabeled.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet.keypoints.skeletons import COCO
from keras_shufflenet.synthetic_people.scene import Person, Scene
from keras_shufflenet.synthetic_people.shapes import HEAD, Array

# Maximum depth of a visible keypoint below the surface, in meters, for an adult.
MAX_DEPTH = {"nose": 0.045, "eye": 0.03, "ear": 0.03, "shoulder": 0.12, "elbow": 0.085,
            "wrist": 0.075, "hip": 0.165, "knee": 0.11, "ankle": 0.09}  # fmt: skip
NUM_FACE = 5  # the first keypoints are the nose, eyes and ears


def _samples(scene: Scene, pixels: Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return buffer positions (x, y) of pixels, and which pixels are inside of the image."""
    camera = scene.camera
    limit = np.array([camera.width, camera.height])
    inside: NDArray[np.bool_] = np.all((pixels >= 0) & (pixels <= limit - 1), axis=1)
    at = np.floor(camera.sample(pixels) + 0.5).astype(np.int64)
    return np.clip(at, 0, limit * camera.supersampling - 1), inside


def visibility(scene: Scene, person: Person, owner: int) -> tuple[Array, NDArray[np.int64]]:
    """Return pixel positions (17, 2) and visibility flags (17,) of a person's keypoints."""
    keypoints = person.place(list(COCO.keypoint_names))
    pixels = scene.camera.project(keypoints)
    at, inside = _samples(scene, pixels)
    seen = scene.buffers.index[at[:, 1], at[:, 0]]
    depth = scene.buffers.depth[at[:, 1], at[:, 0]]
    own = (seen >= 0) & (scene.owner[seen] == owner)
    scale = max(person.posed.shape.build, 1.0)
    allowed = np.array([MAX_DEPTH[name.split("_")[-1]] * scale for name in COCO.keypoint_names])
    visible = own & (keypoints[:, 2] - depth < allowed)
    flags = np.where(visible, 2, 1)
    is_behind = own & ~visible & (scene.part[seen] == HEAD)
    flags[:NUM_FACE][is_behind[:NUM_FACE]] = 0
    flags[~inside] = 0
    return np.where(flags[:, None] > 0, pixels, 0.0), flags


def _tight_box(mask: NDArray[np.bool_], n: int) -> list[int]:
    """Return the box (x, y, width, height) of pixels with any of n x n samples in the mask."""
    rows, columns = (np.nonzero(mask.any(axis=axis))[0] // n for axis in (1, 0))
    if not len(rows):
        return [0, 0, 0, 0]
    x, y = int(columns[0]), int(rows[0])
    return [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y]


def annotate(scene: Scene) -> list[dict[str, Any]]:
    """Return the annotations of all people in a scene, without ids.

    `bbox` is the tight box (x, y, width, height) of the person's visible pixels, `area` their
    number.
    """
    n = scene.camera.supersampling
    shown = np.append(scene.owner, -1)[scene.buffers.index]
    found = []
    for number, person in enumerate(scene.people):
        pixels, flags = visibility(scene, person, number + 1)
        mask = shown == number + 1
        triples = zip(pixels.round(2).tolist(), flags.tolist(), strict=True)
        found.append(
            {
                "category_id": 1,
                "iscrowd": 0,
                "bbox": _tight_box(mask, n),
                "area": round(np.count_nonzero(mask) / n**2, 2),
                "keypoints": [value for (x, y), flag in triples for value in (x, y, flag)],
                "num_keypoints": int((flags > 0).sum()),
            }
        )
    return found
