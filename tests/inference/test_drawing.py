import numpy as np
import pytest

from keras_shufflenet.inference.visualization import COLORS, draw_skeletons
from keras_shufflenet.keypoints import Skeleton, skeletons

LEFT_ELBOW, LEFT_WRIST = 7, 9
RIGHT_ELBOW, RIGHT_WRIST = 8, 10
LEFT_SHOULDER, RIGHT_SHOULDER = 5, 6


def person(**keypoints):
    """A COCO person with only the given keypoints seen."""
    found = np.zeros((17, 3))
    for keypoint, (x, y) in keypoints.items():
        found[skeletons.COCO.keypoint_names.index(keypoint)] = x, y, 0.9
    return found


@pytest.fixture
def black():
    return np.zeros((100, 120, 3), np.uint8)


def test_without_persons_the_image_stays_as_it_was(black):
    black[3, 4] = 200
    drawn = draw_skeletons(black, np.zeros((0, 17, 3)))
    np.testing.assert_array_equal(drawn, black)
    assert drawn is not black


@pytest.mark.parametrize(
    ("keypoints", "side"),
    [
        (("left_elbow", "left_wrist"), "left"),
        (("right_elbow", "right_wrist"), "right"),
        (("left_shoulder", "right_shoulder"), "center"),
        (("nose", "left_eye"), "left"),
    ],
)
def test_a_limb_has_the_color_of_its_side(black, keypoints, side):
    drawn = draw_skeletons(black, person(**{keypoints[0]: (20, 50), keypoints[1]: (100, 50)}))
    assert tuple(drawn[50, 60]) == COLORS[side]
    assert (drawn[20] == 0).all()


def test_a_limb_needs_both_joints_above_the_threshold(black):
    people = person(left_elbow=(20, 50), left_wrist=(100, 50))
    people[LEFT_WRIST, 2] = 0.25
    assert (draw_skeletons(black, people)[50, 60] == 0).all()
    assert draw_skeletons(black, people, score_threshold=0.2)[50, 60].any()


def test_joints_are_dots_with_a_white_centre(black):
    drawn = draw_skeletons(black, person(nose=(60, 50)), line_width=8)
    assert tuple(drawn[50, 60]) == (255, 255, 255)
    assert tuple(drawn[50, 65]) == COLORS["center"]


def test_lines_are_smooth(black):
    drawn = draw_skeletons(black, person(left_elbow=(10, 20), left_wrist=(110, 70)))
    assert len(np.unique(drawn[:, :, 2])) > 8  # black, outline, blue, white and shares of them


def test_the_line_width_follows_the_person():
    image = np.full((800, 800, 3), 255, np.uint8)

    def thickness(length):
        people = person(left_elbow=(20, 400), left_wrist=(20 + length, 400))
        column = draw_skeletons(image, people)[:, 20 + length // 2]
        return (column == COLORS["left"]).all(axis=-1).sum()

    assert thickness(700) == pytest.approx(2 * thickness(350), abs=2)


def test_the_caller_can_set_the_line_width(black):
    people = person(left_elbow=(20, 50), left_wrist=(100, 50))
    column = draw_skeletons(black, people, line_width=10)[:, 60]
    assert (column == COLORS["left"]).all(axis=-1).sum() == pytest.approx(10, abs=1)


def test_joints_outside_the_image_or_undefined_are_no_trouble(black):
    people = np.stack(
        [
            person(left_elbow=(-50, 50), left_wrist=(60, 50)),
            person(left_elbow=(500, 500), left_wrist=(600, 600)),
            person(left_elbow=(np.nan, 50), left_wrist=(60, 90)),
        ]
    )
    drawn = draw_skeletons(black, people)
    assert tuple(drawn[50, 30]) == COLORS["left"]
    assert drawn.shape == black.shape
    assert not drawn[70].any()


def test_one_person_needs_no_axis_of_people(black):
    one = person(left_elbow=(20, 50), left_wrist=(100, 50))
    np.testing.assert_array_equal(draw_skeletons(black, one), draw_skeletons(black, one[None]))


def test_a_big_person_is_drawn_on_a_bounded_canvas():
    image = np.zeros((3000, 4000, 3), np.uint8)
    drawn = draw_skeletons(image, person(left_elbow=(10, 10), left_wrist=(3990, 2990)))
    assert tuple(drawn[1500, 2000]) == COLORS["left"]


def test_mpii_has_sides_too():
    drawn = draw_skeletons(np.zeros((64, 64, 3)), np.zeros((2, 16, 3)), skeleton="mpii")
    assert not drawn.any()
    sides = list(skeletons.MPII.sides)
    assert sides.count("left") == sides.count("right") == 6
    assert sides.count("center") == 4


def test_without_sides_every_keypoint_has_its_own_color(black):
    fingers = [f"finger {index}" for index in range(12)]
    star = Skeleton("star", ["palm", *fingers], limbs=[(0, index) for index in range(1, 13)])
    angles = np.arange(12) * np.pi / 6
    tips = 60 + 40 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = np.column_stack([[[60, 60], *tips], np.ones(13)])
    drawn = draw_skeletons(np.zeros((120, 120, 3)), points, star, line_width=4)
    middles = np.rint((points[1:, :2] + 60) / 2).astype(int)
    colors = {tuple(drawn[y, x].tolist()) for x, y in middles}
    assert len(colors) == 12
    assert (0, 0, 0) not in colors


@pytest.mark.parametrize("count", [1, 2, 133])
def test_without_limbs_keypoints_alone_are_drawn(count):
    own = Skeleton("own", [f"point {index}" for index in range(count)])
    points = np.array(
        [(8 + 14 * (index % 17), 8 + 14 * (index // 17), 1) for index in range(count)]
    )
    drawn = draw_skeletons(np.zeros((240, 240, 3)), points, own)
    is_drawn = drawn.any(axis=-1)
    assert is_drawn[points[:, 1], points[:, 0]].all()
    assert not is_drawn[points[:, 1], points[:, 0] + 7].any()


def test_people_of_another_skeleton_are_refused(black):
    with pytest.raises(ValueError, match=r"\(persons, 17, 3\).*Received: shape \(2, 16, 3\)"):
        draw_skeletons(black, np.zeros((2, 16, 3)))
