"""The tables of each skeleton are consistent with each other."""

import numpy as np
import pytest

from keras_shufflenet.keypoints import skeletons
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


def test_get_takes_names_and_skeletons():
    assert skeletons.get("mpii") is skeletons.MPII
    assert skeletons.get(skeletons.COCO) is skeletons.COCO
    with pytest.raises(ValueError, match=r"one of 'coco', 'mpii' or.*Received: skeleton='hand'$"):
        skeletons.get("hand")
