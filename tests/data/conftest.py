"""Datasets of persons whose keypoints are dots."""

import numpy as np
import pytest
from PIL import Image

from tests.data.dots import annotation, coco_file, render_dots, spread_keypoints


@pytest.fixture(scope="session")
def make_people():
    """A function that renders persons as dots into a folder and returns their annotations."""

    def make(folder, count=5, size=(240, 200), sigma=3.0, seed=0, visible=None):
        random = np.random.default_rng(seed)
        images, annotations = [], []
        for number in range(1, count + 1):
            keypoints = spread_keypoints(size, random)
            image = Image.fromarray(render_dots(size, keypoints, sigma))
            image.save(folder / f"{number}.jpg", quality=98, subsampling=0)
            images.append((number, f"{number}.jpg", size))
            annotations.append(annotation(number, keypoints, visible))
        return coco_file(images, annotations)

    return make


@pytest.fixture(scope="session")
def people(make_people, tmp_path_factory):
    """(annotations, image folder) of five persons rendered as dots."""
    folder = tmp_path_factory.mktemp("dots")
    return make_people(folder), folder
