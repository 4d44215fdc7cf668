"""PoseInstances made of dots, as files."""

import numpy as np
import pytest
from PIL import Image

from tests.data.dots import annotation, coco_file, draw_dots, spread_joints


@pytest.fixture(scope="session")
def make_people():
    """A function that draws people of dots into a folder and returns what their json holds."""

    def make(folder, count=5, size=(240, 200), sigma=3.0, seed=0, visible=None):
        random = np.random.default_rng(seed)
        images, annotations = [], []
        for number in range(1, count + 1):
            joints = spread_joints(size, random)
            picture = Image.fromarray(draw_dots(size, joints, sigma))
            picture.save(folder / f"{number}.jpg", quality=98, subsampling=0)
            images.append((number, f"{number}.jpg", size))
            annotations.append(annotation(number, joints, visible))
        return coco_file(images, annotations)

    return make


@pytest.fixture(scope="session")
def people(make_people, tmp_path_factory):
    """(content of a json, folder) of five people of dots."""
    folder = tmp_path_factory.mktemp("dots")
    return make_people(folder), folder
