import numpy as np
import pytest

from keras_shufflenet.detection import Detections
from keras_shufflenet.inference.visualization import (
    COLORS,
    distinct_color,
    draw_detections,
    draw_skeletons,
)
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
            person(left_shoulder=(-50, 50), right_shoulder=(60, 50)),
            person(left_elbow=(500, 500), left_wrist=(600, 600)),
            person(left_elbow=(np.nan, 50), left_wrist=(60, 90)),
        ]
    )
    drawn = draw_skeletons(black, people)
    assert tuple(drawn[50, 30]) == distinct_color(0)
    assert drawn.shape == black.shape
    assert not drawn[70].any()


def test_several_persons_differ_in_color_and_keep_it_by_their_ids(black):
    rows = (20, 50, 80)
    people = np.stack([person(left_hip=(20, y), right_hip=(100, y)) for y in rows])
    drawn = draw_skeletons(black, people)
    assert [tuple(drawn[y, 60]) for y in rows] == [distinct_color(number) for number in range(3)]
    drawn = draw_skeletons(black, people[::-1], person_ids=[7, 1, 0])
    assert [tuple(drawn[y, 60]) for y in rows] == [distinct_color(number) for number in (0, 1, 7)]
    with pytest.raises(ValueError, match=r"each of the 3 persons\. Received: 2"):
        draw_skeletons(black, people, person_ids=[0, 1])


def test_the_sides_of_one_of_several_are_lighter_and_darker(black):
    limbs = person(
        **{"left_elbow": (20, 20), "left_wrist": (100, 20)},
        **{"right_elbow": (20, 80), "right_wrist": (100, 80)},
    )
    drawn = draw_skeletons(black, limbs, person_ids=[0]).astype(int)
    assert drawn[20, 60].sum() > sum(distinct_color(0)) > drawn[80, 60].sum() > 0


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


def test_boxes_have_the_color_and_name_of_their_class():
    image = np.full((200, 300, 3), 90, np.uint8)
    found = Detections(
        np.array([[100, 60, 200, 160], [20, 0, 80, 40.0]]), np.array([0.9, 0.5]), np.array([1, 0])
    )
    drawn = draw_detections(image, found, ["cat", "dog"], line_width=3)
    assert tuple(drawn[110, 101]) == tuple(drawn[159, 150]) == distinct_color(1)
    assert tuple(drawn[20, 21]) == distinct_color(0)
    assert tuple(drawn[110, 150]) == (90, 90, 90)
    plate = (drawn[40:60, 100:200] == distinct_color(1)).all(axis=-1)
    assert 0.2 < plate.mean() < 0.95  # a label above the box, with a text
    assert tuple(draw_detections(image, found, ["", ""])[110, 101]) == distinct_color(1)


@pytest.mark.parametrize("number", range(80))
def test_class_colors_are_bright(number):
    color = np.array(distinct_color(number))
    assert color @ (0.299, 0.587, 0.114) >= 114
    assert np.ptp(color) > 100


def test_labels_of_one_place_do_not_cover_each_other():
    image = np.zeros((300, 300, 3), np.uint8)
    found = Detections(np.tile([100.0, 100, 200, 200], (4, 1)), np.full(4, 0.9), np.arange(4))
    drawn = draw_detections(image, found, [""] * 4)
    areas = [(drawn == distinct_color(number)).all(axis=-1).sum() for number in range(1, 4)]
    assert min(areas) > 200


def test_small_images_and_boxes_beyond_the_edge_are_no_trouble():
    found = Detections(np.array([[-5, -9, 30, 30.0], [8, 8, 8, 8]]), np.ones(2), np.zeros(2, int))
    assert draw_detections(np.zeros((16, 12, 3)), found, ["a long name"]).shape == (16, 12, 3)
