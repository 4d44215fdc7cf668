"""Skeletons: the published tables are consistent, own ones are completed, checked and filed."""

import json

import numpy as np
import pytest

from keras_shufflenet.keypoints import Skeleton, read_coco, read_skeleton, save_skeleton, skeletons
from keras_shufflenet.keypoints.keypoint_names import find_flip_pairs, plain_name
from tests.rounding import EPSILON64

BOTH = pytest.mark.parametrize("skeleton", [skeletons.COCO, skeletons.MPII], ids=lambda s: s.name)


@BOTH
def test_every_table_has_one_entry_per_keypoint(skeleton):
    count = len(skeleton)
    assert len(set(skeleton.keypoint_names)) == count
    assert len(skeleton.sigmas) == len(skeleton.keypoint_weights) == count
    assert sorted(skeleton.upper_body + skeleton.lower_body) == list(range(count))


@BOTH
def test_pairs_join_left_and_right(skeleton):
    for pair in skeleton.flip_pairs:
        sides = {skeleton.keypoint_names[index].split("_")[0] for index in pair}
        parts = {skeleton.keypoint_names[index].split("_", 1)[1] for index in pair}
        assert sides == {"left", "right"}
        assert len(parts) == 1
    sided = [
        i for i, name in enumerate(skeleton.keypoint_names) if name.startswith(("left", "right"))
    ]
    assert sorted(np.ravel(skeleton.flip_pairs)) == sided


@BOTH
def test_flip_permutation_is_its_own_inverse(skeleton):
    permutation = skeleton.flip_permutation
    np.testing.assert_array_equal(permutation[permutation], np.arange(len(skeleton)))
    assert (permutation != np.arange(len(skeleton))).sum() == 2 * len(skeleton.flip_pairs)


@BOTH
def test_symmetric_keypoints_have_the_same_constants(skeleton):
    for left, right in skeleton.flip_pairs:
        assert skeleton.sigmas[left] == skeleton.sigmas[right]
        assert skeleton.keypoint_weights[left] == skeleton.keypoint_weights[right]


@BOTH
def test_limbs_form_a_connected_graph(skeleton):
    reached = {skeleton.limbs[0][0]}
    for _ in skeleton.limbs:
        reached |= {index for limb in skeleton.limbs if reached & set(limb) for index in limb}
    assert reached == set(range(len(skeleton)))


def test_coco_sigmas_are_those_of_pycocotools():
    from pycocotools.cocoeval import Params

    expected = Params("keypoints").kpt_oks_sigmas
    np.testing.assert_allclose(skeletons.COCO.sigmas, expected, rtol=EPSILON64)


def test_get_takes_names_lists_and_skeletons():
    assert skeletons.get("mpii") is skeletons.MPII
    assert skeletons.get(skeletons.COCO) is skeletons.COCO
    assert skeletons.get(["a", "b"]) == Skeleton("keypoints", ["a", "b"])
    with pytest.raises(ValueError, match=r"one of 'coco', 'mpii', a .*Received: skeleton='hand'$"):
        skeletons.get("hand")


HAND = ("wrist", "thumb", "index")


@pytest.mark.parametrize("count", [1, 2, 133])
def test_names_suffice(count):
    own = Skeleton("own", [f"point {index}" for index in range(count)])
    assert len(own) == count
    assert own.flip_pairs == own.limbs == own.upper_body == own.lower_body == ()
    assert own.sigmas == (pytest.approx(np.mean(skeletons.COCO.sigmas), rel=1e-12),) * count
    assert own.has_mean_sigmas
    assert own.keypoint_weights == (1.0,) * count
    np.testing.assert_array_equal(own.flip_permutation, np.arange(count))


@BOTH
def test_pairs_are_found_by_name(skeleton):
    found = find_flip_pairs(skeleton.keypoint_names)
    assert {frozenset(pair) for pair in found} == {frozenset(pair) for pair in skeleton.flip_pairs}


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (("left_eye", "right_eye"), [(0, 1)]),
        (("RightEye", "nose", "LeftEye"), [(0, 2)]),
        (("eye.L", "eye.R"), [(0, 1)]),
        (("l eye", "r ear", "r eye"), [(0, 2)]),
        (("lefteye", "righteye"), [(0, 1)]),
        (("right-eye-1", "right-eye-2", "left-eye-2"), [(1, 2)]),
        (("left_eye", "right_ear"), []),
        (("left_to_right", "right_to_left"), []),
        (("thumb", "lr", "bright_eye"), []),
        (("LWrist", "RWrist", "Nose"), [(0, 1)]),
        (("RBigToe", "WristL", "LBigToe", "WristR"), [(0, 2), (1, 3)]),
        (("leftWrist", "rightWrist", "R_Hip", "LHip"), [(0, 1), (2, 3)]),
        (("rwrist", "lwrist", "lhip", "rear"), [(0, 1)]),
        (("lwrist2", "rwrist1", "rwrist2"), [(0, 2)]),
        (("hipl", "hipr", "kneeleft", "kneeright"), [(0, 1), (2, 3)]),
        (("lip", "rip", "leaf", "tail", "1", "2"), []),
        (("LED", "RED", "light", "right"), []),
    ],
)
def test_pairs_differ_in_left_and_right_alone(names, pairs):
    assert find_flip_pairs(names) == pairs
    sides = Skeleton("own", names).sides
    for pair in pairs:
        assert {sides[index] for index in pair} == {"left", "right"}


@pytest.mark.parametrize(
    "name", ["left_eye", "Left Eye", "LeftEye", "leftEye", "LEye", "eye.l", "lefteye", "L-EYE"]
)
def test_writings_of_a_side(name):
    assert plain_name(name) == "left_eye"


def test_names_in_camel_case_are_those_of_coco():
    names = [name.title().replace("_", "") for name in skeletons.COCO.keypoint_names]
    short = [name.replace("Left", "L").replace("Right", "R") for name in names]
    for each in (names, short, names[::-1]):
        assert skeletons.known(each) is skeletons.COCO
    assert skeletons.known(["neck", *names[1:]]) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"keypoint_names": []},
            r"`keypoint_names` must be a list .*Received: keypoint_names=\[\]",
        ),
        ({"keypoint_names": "wrist"}, r"Received: keypoint_names='wrist'"),
        ({"keypoint_names": ["a", "b", "a"]}, r"differ from each other\. Received: a twice"),
        ({"keypoint_names": ["a", 2, "c"]}, r"lines of text.*Received: 2 in keypoint_names"),
        ({"keypoint_names": ["a", "b\nc", ""]}, r"Received: 'b\\nc' in keypoint_names"),
        ({"name": ""}, r"`name` must be a line of text\. Received: name=''"),
        ({"limbs": [(0, 3)]}, r"`limbs` must be pairs .* from 0 to 2\. Received: \(0, 3\)"),
        ({"limbs": [(1, 1)]}, r"indices of two of the 3 .*Received: \(1, 1\)"),
        ({"limbs": 3}, r"`limbs` must be a list of pairs of indices\. Received: limbs=3"),
        ({"flip_pairs": [(0, 1), (1, 2)]}, r"`flip_pairs` must name each keypoint at most once"),
        ({"sigmas": [0.1]}, r"`sigmas` must be 3 positive numbers, .*Received: sigmas=\[0.1\]"),
        ({"sigmas": [0.1, 0, 0.1]}, r"`sigmas` must be 3 positive numbers"),
        ({"keypoint_weights": [1, 1, float("nan")]}, r"`keypoint_weights` must be 3 positive"),
        ({"upper_body": [0, 0]}, r"`upper_body` must be distinct indices of the 3 keypoints"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Skeleton(**{"name": "hand", "keypoint_names": HAND, **arguments})


@pytest.mark.parametrize(
    "skeleton",
    [
        skeletons.COCO,
        skeletons.MPII,
        Skeleton("hand", HAND),
        Skeleton("eyes", ("left", "right", "Mitte"), (), [0.1, 0.2, 0.3], [(0, 2)], [0], [1]),
    ],
    ids=lambda skeleton: skeleton.name,
)
def test_files_keep_every_field(skeleton, tmp_path):
    path = tmp_path / "made" / "own.json"
    save_skeleton(skeleton, path)
    assert read_skeleton(path) == skeletons.get(path) == skeletons.get(str(path)) == skeleton
    with pytest.raises(ValueError, match=r"`path` must end in \.json"):
        save_skeleton(skeleton, tmp_path / "own.txt")


def category(**fields):
    return {"id": 7, "name": "hand", "keypoints": list(HAND), "skeleton": [[1, 2], [1, 3]]} | fields


def test_categories_count_from_one():
    hand = Skeleton("hand", HAND, limbs=[(0, 1), (0, 2)])
    assert read_skeleton(category()) == hand
    by_name = category(skeleton=[["wrist", "thumb"], ["wrist", "index"]])
    assert read_skeleton(by_name) == hand
    for numbers in ([[1.0, 2.0], [1.0, 3]], [["1", "2"], ["1", "3"]]):
        assert read_skeleton(category(skeleton=numbers)) == hand
    for numbers in ([[0, 1], [0, 2]], [["0", 1.0], [0.0, "2"]]):
        with pytest.warns(UserWarning, match="numbers are taken to count from 0"):
            assert read_skeleton(category(skeleton=numbers)) == hand
    numbered = category(keypoints=["2", "1", "0"], skeleton=[["2", "1"], ["2", "0"]])
    assert read_skeleton(numbered).limbs == hand.limbs


def test_keys_may_be_null():
    keys = ("skeleton", "flip_pairs", "sigmas", "keypoint_weights", "upper_body", "lower_body")
    assert read_skeleton(category(**dict.fromkeys(keys))) == Skeleton("hand", HAND)
    assert read_skeleton(category(name=None)).name == "keypoints"
    person = category(keypoints=list(skeletons.COCO.keypoint_names), sigmas=None)
    assert read_skeleton(person) is skeletons.COCO


@pytest.mark.parametrize("limbs", [[[32, 33], [1, 2]], [[1, 1]], "1-2", [["wrist", "palm"]]])
def test_malformed_limbs_of_an_annotation_file_are_left_out(limbs):
    with pytest.warns(UserWarning, match=r"'skeleton' must .*Received: .*No limbs are drawn\."):
        hand = read_skeleton({"categories": [category(skeleton=limbs)]})
    assert hand == Skeleton("hand", HAND)


def test_the_category_of_an_annotation_file(tmp_path):
    bare = {"id": 1, "name": "person"}
    path = tmp_path / "hands.json"
    path.write_text(json.dumps({"images": [], "categories": [bare, category()]}))
    assert read_skeleton(path).keypoint_names == HAND
    two = {"categories": [category(), category(id=8, name="foot")]}
    assert read_skeleton(two, "foot").name == read_skeleton(two, 8).name == "foot"
    with pytest.raises(
        ValueError, match=r"`category` must be .* 7 'hand', 8 'foot'\. Received: category=None"
    ):
        read_skeleton(two)
    with pytest.raises(ValueError, match=r"Received: none with keypoints$"):
        read_skeleton({"categories": [bare]})


def test_published_names_have_the_published_skeleton():
    person = category(name="person", keypoints=list(skeletons.COCO.keypoint_names))
    assert read_skeleton(person) is skeletons.COCO
    spaced = [name.replace("_", " ").title() for name in skeletons.MPII.keypoint_names]
    assert read_skeleton({"keypoints": spaced}) is skeletons.MPII
    assert read_skeleton(person | {"sigmas": [0.1] * 17}).sigmas == (0.1,) * 17


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"keypoints": 3}, r"^keypoints: 'keypoints' must be a list .*Received: .*3$"),
        ({"keypoints": ["a", "a"]}, r"'keypoints' must differ from each other"),
        (
            {"skeleton": [[1, 4]]},
            r"^keypoints: 'skeleton' must have names .* 1 to 3\. Received: 4$",
        ),
        ({"skeleton": 4}, r"'skeleton' must be a list of pairs\. Received: 4$"),
        ({"skeleton": [[2, 2]]}, r"'skeleton' must be pairs of two keypoints\. Received: \[2, 2\]"),
        ({"lower_body": 2}, r"'lower_body' must be a list\. Received: 2$"),
        ({"flip_pairs": [["wrist", "palm"]]}, r"'flip_pairs' must have names.*Received: 'palm'$"),
        ({"sigmas": [1]}, r"'sigmas' must be 3 positive numbers"),
    ],
)
def test_mistakes_in_files_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        read_skeleton(category(**fields))


def test_the_keypoints_of_coco_in_another_order_are_those_of_coco():
    names = list(skeletons.COCO.keypoint_names)[::-1]
    file = {"categories": [{"id": "3", "name": "person", "keypoints": names}]}
    assert read_skeleton(file, "3") is read_skeleton(file, "person") is skeletons.COCO
    own = read_skeleton({"categories": [category(keypoints=names, sigmas=[0.1] * 17)]})
    assert list(own.keypoint_names) == names


def test_a_category_without_names_needs_the_skeleton():
    labels = [5, 6, 2] * 3
    person = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 9, 9], "keypoints": labels}
    image = {"id": 1, "file_name": "a.jpg", "height": 20, "width": 20}
    bare = {"images": [image], "annotations": [person], "categories": [{"id": 7, "name": "hand"}]}
    with pytest.raises(ValueError, match=r"`skeleton` must be the 3 .*'hand'.*Received: 'coco'"):
        read_coco(bare)
    assert read_coco(bare, HAND).skeleton.keypoint_names == HAND
