"""Videos of synthetic people: numbered, continuous, and the same for the same arguments."""

import numpy as np
import pytest

from keras_shufflenet.synthetic_people.kinematics import sample_proportions
from keras_shufflenet.synthetic_people.walking import walking_people, walking_pose

SIZE = (64, 96)


@pytest.fixture(scope="module")
def video():
    return list(walking_people(12, fps=6, image_size=SIZE, num_people=2, seed=1))


def test_frames_are_a_function_of_the_arguments(video):
    again = list(walking_people(2, fps=6, image_size=SIZE, num_people=2, seed=1))
    assert video[0][0].shape == (*SIZE, 3)
    assert video[0][0].dtype == np.uint8
    assert len(again) == 2  # a shorter video is another one: people pass its middle
    once, twice = (next(walking_people(3, image_size=SIZE, seed=2))[0] for _ in range(2))
    np.testing.assert_array_equal(once, twice)


def test_people_keep_their_numbers_and_walk_on(video):
    for number, direction in ((1, -1), (2, 1)):
        middles = [
            entry["bbox"][0] + entry["bbox"][2] / 2
            for _, people in video
            for entry in people
            if entry["track_id"] == number and entry["num_keypoints"] > 8
        ]
        assert len(middles) > 6
        assert direction * (middles[-1] - middles[0]) > 10
    assert {entry["track_id"] for _, people in video for entry in people} == {1, 2}


def test_the_background_rests(video):
    first, last = video[0][0].astype(int), video[1][0].astype(int)
    corner = np.abs(first - last)[:10]  # the sky
    assert corner.mean() < 6  # grain


def test_legs_alternate_and_arms_swing_against_them():
    shape = sample_proportions(np.random.default_rng(0))
    points = walking_pose(shape, np.pi / 2).points
    left, right = points["left_ankle"][2], points["right_ankle"][2]
    assert left - right > 0.2 * shape.stature
    assert points["left_wrist"][2] < points["right_wrist"][2]
    opposite = walking_pose(shape, 3 * np.pi / 2).points
    np.testing.assert_allclose(opposite["right_ankle"][1:], points["left_ankle"][1:], atol=1e-9)


@pytest.mark.parametrize(
    "arguments",
    [{"num_frames": 0}, {"fps": 0}, {"num_people": 0}, {"seed": -1}, {"image_size": (0, 10)}],
)
def test_arguments_are_checked(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"Received: {name}="):
        next(walking_people(**arguments))
