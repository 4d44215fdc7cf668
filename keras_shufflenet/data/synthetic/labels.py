"""COCO annotations of a drawn scene, read off its buffers.

Flags follow the practice of COCO's annotators. 2: the joint can be seen, which is to say that its pixel
shows this person and nothing lies much in front of the joint. 1: something else is in front, be it the
person's own body, somebody else or a thing. 0, with x = y = 0: outside of the picture, or a point of the
face on the far side of the person's own head, which COCO leaves unlabelled.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet.data.synthetic.scene import Person, Picture
from keras_shufflenet.data.synthetic.shapes import HEAD, Array
from keras_shufflenet.keypoints.skeletons import COCO

# How far the surface may lie in front of a joint's centre, in metres, for an adult.
DEPTH_OF = {"nose": 0.045, "eye": 0.03, "ear": 0.03, "shoulder": 0.12, "elbow": 0.085,
            "wrist": 0.075, "hip": 0.165, "knee": 0.11, "ankle": 0.09}  # fmt: skip
FACE = 5  # the first five joints are the nose, eyes and ears


def _samples(picture: Picture, pixels: Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Buffer columns and rows of pixel positions, and which of these lie in the picture."""
    camera = picture.camera
    at = np.floor(camera.sample(pixels) + 0.5).astype(np.int64)
    limit = np.array([camera.width, camera.height])
    inside = ((pixels >= 0) & (pixels <= limit - 1)).all(axis=1)
    return np.clip(at, 0, limit * camera.supersampling - 1), inside


def visibility(picture: Picture, person: Person, owner: int) -> tuple[Array, NDArray[np.int64]]:
    """(17, 2) pixel positions and (17,) flags of a person's joints."""
    joints = person.place(list(COCO.joints))
    pixels = picture.camera.project(joints)
    at, inside = _samples(picture, pixels)
    seen = picture.buffers.index[at[:, 1], at[:, 0]]
    depth = picture.buffers.depth[at[:, 1], at[:, 0]]
    own = (seen >= 0) & (picture.owner[seen] == owner)
    scale = max(person.posed.shape.build, 1.0)
    allowed = np.array([DEPTH_OF[name.split("_")[-1]] * scale for name in COCO.joints])
    visible = own & (joints[:, 2] - depth < allowed)
    flags = np.where(visible, 2, 1)
    far_side = own & ~visible & (picture.part[seen] == HEAD)
    flags[:FACE][far_side[:FACE]] = 0
    flags[~inside] = 0
    return np.where(flags[:, None] > 0, pixels, 0.0), flags


def annotate(picture: Picture) -> list[dict[str, Any]]:
    """Annotations, without ids, of all people of a picture.

    `bbox` is the tight box of the person's visible pixels (x, y, width, height), `area` their number.
    """
    n = picture.camera.supersampling
    shown = np.append(picture.owner, -1)[picture.buffers.index]
    found = []
    for number, person in enumerate(picture.people):
        pixels, flags = visibility(picture, person, number + 1)
        mask = shown == number + 1
        rows, columns = np.nonzero(mask.any(axis=1))[0] // n, np.nonzero(mask.any(axis=0))[0] // n
        if not len(rows):
            rows = columns = np.zeros(1, np.int64)
        x, y = int(columns[0]), int(rows[0])
        triples = np.concatenate([np.round(pixels, 2), flags[:, None]], axis=1)
        found.append(
            {
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y],
                "area": round(float(mask.sum()) / n**2, 2),
                "keypoints": [v if i % 3 < 2 else int(v) for i, v in enumerate(triples.ravel().tolist())],
                "num_keypoints": int((flags > 0).sum()),
            }
        )
    return found
