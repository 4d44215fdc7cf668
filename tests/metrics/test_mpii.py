import json

import numpy as np
import pytest
from PIL import Image

from keras_shufflenet import metrics
from tests.rounding import EPSILON64

COUNT = 16


@pytest.fixture
def mpii_people(tmp_path, keypoint_places, paint):
    """Two people in MPII's files: a json list, and the ground truth with pixels counted from 1."""
    people, positions = [], []
    for number in range(2):
        picture = np.zeros((300, 220 + 30 * number, 3), np.uint8)
        points = keypoint_places[:COUNT] + 20 * number
        paint(picture, points)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        positions.append(points + 1)
        people.append(_person(f"{number}.png", points + 1))
    path = tmp_path / "mpii.json"
    path.write_text(json.dumps(people))
    truth = {
        "jnt_missing": np.zeros((COUNT, 2)),
        "pos_gt_src": np.stack(positions, axis=-1),
        "headboxes_src": np.stack([np.zeros((2, 2)), np.full((2, 2), 30)]),
    }
    return path, truth


def _person(name, points):
    center = points.mean(axis=0)
    return {
        "image": name,
        "center": [center[0], center[1] - 15 * 1.1],
        "scale": 1.1,
        "joints": points.tolist(),
        "joints_vis": [1] * COUNT,
    }


def test_who_finds_every_joint_has_them_all(make_color_net, mpii_people):
    path, truth = mpii_people
    net = make_color_net((256, 256), COUNT)
    found = metrics.mpii(net, path, path.parent, truth, flip_test=False, verbose=False)
    assert found["PCKh"] == pytest.approx(1, rel=4 * EPSILON64)
    assert found["Wrist"] == found["Head"] == 1


def test_joints_that_are_not_where_they_should_be(make_color_net, mpii_people):
    path, truth = mpii_people
    truth["pos_gt_src"][10, 0] += 60
    net = make_color_net((256, 256), COUNT)
    found = metrics.mpii(net, path, path.parent, truth, flip_test=False, verbose=False)
    assert found["Wrist"] == 0.5
    assert found["Head"] == 1


def test_coco_networks_are_refused(color_net, mpii_people):
    path, truth = mpii_people
    with pytest.raises(ValueError, match=r"'mpii' requires .* 16 heatmaps.*Received: .* with 17"):
        metrics.mpii(color_net, path, path.parent, truth, verbose=False)


def test_the_files_of_the_benchmark(shared, make_color_net):
    folder = shared / "data" / "mpii"
    found = metrics.mpii(
        make_color_net((256, 256), COUNT),
        folder / "mpii_val_5.json",
        folder / "images",
        folder / "mpii_gt_val_5.mat",
        verbose=False,
    )
    assert 0 <= found["PCKh"] < 0.5
