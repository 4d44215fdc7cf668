"""COCO annotations of a drawn scene, read off its buffers.

Flags follow the practice of COCO's annotators. 2: the joint can be seen, which is to say that its
pixel shows this person and nothing lies much in front of the joint. 1: something else is in front,
be it the person's own body, somebody else or a thing. 0, with x = y = 0: outside of the picture, or
a point of the face on the far side of the person's own head, which COCO leaves unlabeled.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet.keypoints.skeletons import COCO
from keras_shufflenet.synthetic_people.scene import Person, Picture
from keras_shufflenet.synthetic_people.shapes import HEAD, Array

# How far the surface may lie in front of a joint's center, in meters, for an adult.
DEPTH_OF = {"nose": 0.045, "eye": 0.03, "ear": 0.03, "shoulder": 0.12, "elbow": 0.085,
            "wrist": 0.075, "hip": 0.165, "knee": 0.11, "ankle": 0.09}  # fmt: skip
FACE = 5  # the first five joints are the nose, eyes and ears


def _samples(picture: Picture, pixels: Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Buffer columns and rows of pixel positions, and which of these lie in the picture."""
    camera = picture.camera
    limit = np.array([camera.width, camera.height])
    inside: NDArray[np.bool_] = np.all((pixels >= 0) & (pixels <= limit - 1), axis=1)
    at = np.floor(camera.sample(pixels) + 0.5).astype(np.int64)
    return np.clip(at, 0, limit * camera.supersampling - 1), inside


def visibility(picture: Picture, person: Person, owner: int) -> tuple[Array, NDArray[np.int64]]:
    """(17, 2) pixel positions and (17,) flags of a person's joints."""
    joints = person.place(list(COCO.keypoint_names))
    pixels = picture.camera.project(joints)
    at, inside = _samples(picture, pixels)
    seen = picture.buffers.index[at[:, 1], at[:, 0]]
    depth = picture.buffers.depth[at[:, 1], at[:, 0]]
    own = (seen >= 0) & (picture.owner[seen] == owner)
    scale = max(person.posed.shape.build, 1.0)
    allowed = np.array([DEPTH_OF[name.split("_")[-1]] * scale for name in COCO.keypoint_names])
    visible = own & (joints[:, 2] - depth < allowed)
    flags = np.where(visible, 2, 1)
    far_side = own & ~visible & (picture.part[seen] == HEAD)
    flags[:FACE][far_side[:FACE]] = 0
    flags[~inside] = 0
    return np.where(flags[:, None] > 0, pixels, 0.0), flags


def _tight_box(mask: NDArray[np.bool_], n: int) -> list[int]:
    """Box (x, y, width, height) of the pixels with any of their n x n samples in the mask."""
    rows, columns = (np.nonzero(mask.any(axis=axis))[0] // n for axis in (1, 0))
    if not len(rows):
        return [0, 0, 0, 0]
    x, y = int(columns[0]), int(rows[0])
    return [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y]


def annotate(picture: Picture) -> list[dict[str, Any]]:
    """Annotations, without ids, of all people of a picture.

    `bbox` is the tight box (x, y, width, height) of the person's visible pixels, `area` how many
    these are.
    """
    n = picture.camera.supersampling
    shown = np.append(picture.owner, -1)[picture.buffers.index]
    found = []
    for number, person in enumerate(picture.people):
        pixels, flags = visibility(picture, person, number + 1)
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
