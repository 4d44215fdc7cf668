import json

import keras
import numpy as np
import pytest
from PIL import Image

INPUT = (256, 192)
POINTS = np.stack([np.arange(17) % 4 * 35 + 30, np.arange(17) // 4 * 45 + 30], axis=-1)
SHAPE = (260, 400, 3)


def keypoint_colors():
    """17 colors of one brightness, far from each other: the brightest match is the right one."""
    directions = [np.array([x, y, 4 - x - y]) for x in range(5) for y in range(5 - x)]
    directions += [np.array([3, 3, 1]), np.array([1, 3, 3])]
    return np.stack([d / np.linalg.norm(d) for d in directions[:17]])


@pytest.fixture(scope="session")
def make_color_net():
    """A maker of Keras models that find dots of the keypoints' colors: heatmaps (H/4, W/4, K)."""

    def make(input_size, points):
        inputs = keras.Input((*input_size, 3))
        pooled = keras.layers.AveragePooling2D(4)(inputs)
        match = keras.layers.Conv2D(points, 1, use_bias=False, name="match")
        model = keras.Model(inputs, match(pooled), name="color_net")
        match.set_weights([keypoint_colors()[:points].T[None, None] / 255])
        return model

    return make


@pytest.fixture(scope="session")
def color_net(make_color_net):
    return make_color_net(INPUT, 17)


@pytest.fixture(scope="session")
def keypoint_places():
    return POINTS


@pytest.fixture(scope="session")
def paint():
    """A painter of dots, of the keypoints' colors, at points (K, 2)."""
    return _dot


@pytest.fixture
def dotted_people(tmp_path):
    """A COCO json and images: two people in each of three images, a colored dot per keypoint."""
    images, annotations = [], []
    for number in range(3):
        picture = np.zeros(SHAPE, np.uint8)
        images.append({"id": number + 5, "file_name": f"{number}.png", "height": 260, "width": 400})
        for left in (0, 200 + 5 * number):
            points = POINTS + np.array([left, 3 * number])
            _dot(picture, points)
            annotations.append(_annotation(len(annotations) + 1, number + 5, points))
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    path = tmp_path / "people.json"
    categories = [{"id": 1, "name": "person"}]
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return path


def _dot(picture, points):
    for (x, y), color in zip(points, keypoint_colors(), strict=False):
        picture[y - 7 : y + 8, x - 7 : x + 8] = np.rint(255 * color)


def _annotation(number, image_id, points):
    (left, top), (right, bottom) = points.min(axis=0) - 15, points.max(axis=0) + 15
    visible = np.full((17, 1), 2)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": 17,
        "keypoints": np.concatenate([points, visible], axis=1).ravel().tolist(),
        "bbox": [int(left), int(top), int(right - left), int(bottom - top)],
        "area": int((right - left) * (bottom - top)),
    }
