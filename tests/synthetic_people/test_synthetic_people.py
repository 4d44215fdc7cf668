"""Synthetic people: determinism, resuming, annotations, and the renderer's geometry."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from pycocotools import coco as pycoco

from keras_shufflenet.keypoints.skeletons import COCO
from keras_shufflenet.synthetic_people import create_dataset
from keras_shufflenet.synthetic_people import shapes as s
from keras_shufflenet.synthetic_people.kinematics import sample_pose, sample_proportions
from keras_shufflenet.synthetic_people.labels import annotate
from keras_shufflenet.synthetic_people.rendering import Camera, render
from keras_shufflenet.synthetic_people.scene import render_scene
from keras_shufflenet.synthetic_people.spec import DatasetSpec
from tests.rounding import EPSILON32

SIZE = (160, 128)


def render_people(directory, count=8, seed=3, **options):
    return create_dataset(directory, count, seed, image_size=SIZE, verbose=False, **options)


def contents(paths):
    return {
        path.name: path.read_bytes() for path in [paths.annotations, *paths.image_dir.iterdir()]
    }


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return render_people(tmp_path_factory.mktemp("people") / "new" / "folder")


@pytest.fixture(scope="module")
def scenes():
    return [render_scene(2, (240, 240), np.random.default_rng([5, n]), 0.5)[1] for n in range(10)]


def test_pycocotools_loads_the_annotations(rendered):
    coco = pycoco.COCO(str(rendered.annotations))
    assert len(coco.anns) == 8
    assert coco.cats[1]["keypoints"] == list(COCO.keypoint_names)
    assert {(a - 1, b - 1) for a, b in coco.cats[1]["skeleton"]} == set(COCO.limbs)
    for image in coco.imgs.values():
        with Image.open(rendered.image_dir / image["file_name"]) as picture:
            assert picture.mode == "RGB"
            assert picture.size == (image["width"], image["height"]) == SIZE[::-1]
        assert 1 <= len(coco.getAnnIds(image["id"])) <= 3
    assert {path.name for path in rendered.image_dir.iterdir()} == {
        image["file_name"] for image in coco.imgs.values()
    }


def test_annotations_are_consistent(rendered):
    for entry in json.loads(rendered.annotations.read_text())["annotations"]:
        x, y, width, height = entry["bbox"]
        assert x >= 0
        assert y >= 0
        assert x + width <= SIZE[1]
        assert y + height <= SIZE[0]
        assert 0 < entry["area"] <= width * height
        keypoints = np.reshape(entry["keypoints"], (17, 3))
        assert entry["num_keypoints"] == (keypoints[:, 2] > 0).sum() >= 6
        assert set(keypoints[:, 2]) <= {0, 1, 2}
        assert not keypoints[keypoints[:, 2] == 0].any()
        seen = keypoints[keypoints[:, 2] == 2]
        assert (seen[:, :2] >= (x - 0.5, y - 0.5)).all()
        assert (seen[:, :2] <= (x + width - 0.5, y + height - 0.5)).all()


def test_the_same_arguments_give_the_same_files(rendered, tmp_path):
    again = render_people(tmp_path / "again")
    assert contents(again) == contents(rendered)
    assert contents(render_people(tmp_path / "other", seed=4)) != contents(rendered)


def test_worker_processes_change_nothing(rendered, tmp_path):
    assert contents(render_people(tmp_path / "workers", workers=2)) == contents(rendered)


def test_a_second_call_renders_nothing(rendered):
    def times():
        return {path: path.stat().st_mtime_ns for path in rendered.image_dir.iterdir()}

    before = times()
    assert render_people(rendered.annotations.parent) == rendered
    assert times() == before


def test_other_arguments_replace_a_dataset_and_missing_images_are_rendered_again(
    rendered, tmp_path
):
    paths = render_people(tmp_path, count=20, seed=1)
    assert contents(render_people(tmp_path)) == contents(rendered)
    next(paths.image_dir.iterdir()).unlink()
    assert contents(render_people(tmp_path)) == contents(rendered)


def test_other_datasets_are_not_overwritten(tmp_path):
    (tmp_path / "person_keypoints.json").write_text('{"info": {"description": "COCO 2017"}}')
    with pytest.raises(ValueError, match=r"no other dataset is overwritten\. Received: "):
        render_people(tmp_path)
    assert "COCO 2017" in (tmp_path / "person_keypoints.json").read_text()


def test_a_killed_run_leaves_no_annotations_and_can_be_repeated(rendered, tmp_path):
    code = f"""
from keras_shufflenet.synthetic_people import create_dataset
create_dataset({str(tmp_path)!r}, 500, image_size={SIZE}, verbose=False, workers=1)
"""
    environment = os.environ | {"KERAS_BACKEND": "numpy"}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("images/*.jpg"))) < 20 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert list(tmp_path.glob("images/*.jpg"))
    assert not (tmp_path / "person_keypoints.json").exists()
    assert len(list(tmp_path.glob("images/*.jpg"))) > 5
    (tmp_path / "images" / "holiday.jpg").touch()
    paths = render_people(tmp_path)
    (tmp_path / "images" / "holiday.jpg").unlink()
    for leftover in tmp_path.glob("images/.*"):
        leftover.unlink()
    assert contents(paths) == contents(rendered)


def test_a_failing_worker_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match=r"Received: exit codes \[1, 1\]"):
        render_people(tmp_path, workers=2)
    assert not (tmp_path / "person_keypoints.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "`count` must be a positive integer. Received: count=0"),
        ({"seed": -1}, "`seed` must be a non-negative integer. Received: seed=-1"),
        ({"image_size": (10, 99)}, r"between 64 and 4096 pixels. Received: image_size=\(10, 99\)"),
        (
            {"people_per_image": (3, 2)},
            r"<= maximum <= 6. Received: people_per_image=\(3, 2\)",
        ),
        (
            {"people_per_image": (1, 7)},
            r"<= maximum <= 6. Received: people_per_image=\(1, 7\)",
        ),
        ({"difficulty": 1.5}, "`difficulty` must be between 0 and 1. Received: difficulty=1.5"),
        ({"workers": 0}, "`workers` must be a positive integer. Received: workers=0"),
    ],
)
def test_invalid_arguments(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        create_dataset(tmp_path / "x", **{"count": 2, "verbose": False, **options})
    assert not (tmp_path / "x").exists()


def test_people_counts_sum_up_to_the_count():
    for count in (1, 2, 37):
        counts = DatasetSpec(count, 0, SIZE, (2, 4), 0.5).people_counts()
        assert sum(counts) == count
        assert all(2 <= people <= 4 for people in counts[:-1])


def test_visible_keypoints_show_their_person_and_occluded_ones_do_not(scenes):
    flags_seen = set()
    for scene in scenes:
        n = scene.camera.supersampling
        owner = np.append(scene.owner, -1)[scene.buffers.index]
        for number, (person, entry) in enumerate(
            zip(scene.people, annotate(scene), strict=True), start=1
        ):
            depth = person.place(list(COCO.keypoint_names))[:, 2]
            for index, (x, y, flag) in enumerate(np.reshape(entry["keypoints"], (17, 3))):
                flags_seen.add(flag)
                column, row = np.floor((np.array([x, y]) + 0.5) * n).astype(int)
                front = depth[index] - scene.buffers.depth[row, column]
                if flag == 2:
                    assert owner[row, column] == number
                    assert front < 0.25
                elif flag == 1:
                    assert front > 0.02 or owner[row, column] != number
    assert flags_seen == {0, 1, 2}


def test_boxes_are_tight_and_areas_honest(scenes):
    for scene in scenes:
        n = scene.camera.supersampling
        owner = np.append(scene.owner, -1)[scene.buffers.index]
        for number, entry in enumerate(annotate(scene), start=1):
            mask = owner == number
            assert entry["area"] == mask.sum() / n**2
            pixels = mask.reshape(240, n, 240, n).any(axis=(1, 3))
            x, y, width, height = entry["bbox"]
            assert pixels[y : y + height, x : x + width].sum() == pixels.sum()
            assert pixels[y].any()
            assert pixels[y + height - 1].any()
            assert pixels[:, x].any()
            assert pixels[:, x + width - 1].any()


def test_faces_show_from_the_front_and_not_from_behind(scenes):
    facing = {True: [], False: []}
    for scene in scenes:
        for person, entry in zip(scene.people, annotate(scene), strict=True):
            nose, skull = person.place(["nose", "skull"])
            towards = (nose - skull) @ s.unit(-skull) / person.posed.shape.head
            if abs(towards) > 0.6 and entry["keypoints"][17] == 2:
                facing[towards > 0].append(entry["keypoints"][2])
    assert np.mean(np.array(facing[True]) == 2) > 0.5
    assert len(facing[False])
    assert 2 not in facing[False]


def test_left_is_the_persons_left():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        points = sample_pose(sample_proportions(rng), rng, 1.0).points
        assert points["left_shoulder"][0] > points["right_shoulder"][0]
        assert points["left_hip"][0] > points["right_hip"][0]


def test_limbs_keep_their_lengths():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        shape = sample_proportions(rng)
        points = sample_pose(shape, rng, 1.0).points
        for side in ("left", "right"):
            for one, other, length in [
                ("shoulder", "elbow", shape.upper_arm),
                ("elbow", "wrist", shape.forearm),
                ("hip", "knee", shape.thigh),
                ("knee", "ankle", shape.shank),
            ]:
                found = np.linalg.norm(points[f"{side}_{one}"] - points[f"{side}_{other}"])
                assert found == pytest.approx(length)


def render_shape(shape):
    """Depth and shape number of a small scene of one shape 4 m ahead, y up."""
    assembly = s.Assembly()
    assembly.add([shape], np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 4.0]), 1)
    camera = Camera(65, 65, 100.0, 1)
    return render(assembly.surfaces(), camera), camera


def test_a_ball_is_rendered_at_its_geometric_depth():
    buffers, camera = render_shape(s.ball(np.zeros(3), 0.8, s.Material((1, 1, 1))))
    x, y = camera.rays()
    a = x[None] ** 2 + y[:, None] ** 2 + 1.0
    inside = 16 - a * (16 - 0.64)
    depth = np.where(inside > 0, (4 - np.sqrt(np.maximum(inside, 0))) / a, np.inf)
    np.testing.assert_allclose(
        buffers.depth, depth, rtol=EPSILON32**0.5
    )  # at the silhouette, a root of 0


def test_a_box_is_rendered_at_its_geometric_position():
    buffers, _ = render_shape(
        s.box(np.zeros(3), np.eye(3), (0.5, 0.25, 1.0), s.Material((1, 1, 1)))
    )
    rows, columns = np.nonzero(buffers.index == 0)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (16, 48, 24, 40)
    np.testing.assert_allclose(buffers.depth[rows, columns], 3.0, rtol=8 * EPSILON32)


def test_a_limb_passes_through_its_radii():
    ends = np.array([0.0, -0.5, 0.0]), np.array([0.0, 0.5, 0.0])
    tube = s.limb(*ends, (0.1, 0.3, 0.2), s.Material((1, 1, 1)), side=np.eye(3)[0])
    buffers, camera = render_shape(tube)
    for row, radius in ((44, 0.1), (32, 0.3), (20, 0.2)):
        edge = np.nonzero(buffers.index[row] == 0)[0].max() - (camera.width - 1) / 2
        assert abs(edge - radius * 25) <= 1.5


def test_hollow_shapes_show_their_inside():
    ends = np.zeros(3), np.array([0.0, 0.0, -1.0])
    for hollow in (False, True):
        tube = s.limb(
            *ends, (0.5, 0.5, 0.5), s.Material((1, 1, 1)), side=np.eye(3)[0], hollow=hollow
        )
        buffers, _ = render_shape(tube)
        assert (buffers.index[32, 21:25] == 0).any() == hollow
