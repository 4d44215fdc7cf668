"""Sigmas of the OKS from two annotations of each instance."""

import json

import numpy as np
import pytest

from keras_shufflenet.keypoints import COCOFile, Skeleton, estimate_sigmas, evaluate_keypoints

SIGMAS = np.array([0.02, 0.05, 0.1])
SKELETON = Skeleton("own", ["a", "b", "c"])
COUNT = 400


def annotated(seed, sigmas=SIGMAS, count=COUNT):
    """Annotations of fixed instances by somebody with an error of his own."""
    points = np.random.default_rng(0).uniform(100, 900, (count, 3, 2))
    sizes = np.random.default_rng(1).uniform(50, 300, count)
    # sigma is that of the distance, which has two components
    noise = np.random.default_rng(seed).normal(size=points.shape) / np.sqrt(2)
    points = points + noise * sigmas[:, None] * sizes[:, None, None]
    return {
        "images": [
            {"id": n, "file_name": f"{n}.jpg", "height": 1000, "width": 1000} for n in range(count)
        ],
        "categories": [{"id": 1, "name": "own", "keypoints": ["a", "b", "c"]}],
        "annotations": [
            {
                **{"id": n, "image_id": n, "category_id": 1, "bbox": [0, 0, 999, 999]},
                "area": sizes[n] ** 2,
                "keypoints": np.column_stack([points[n], np.full(3, 2)]).ravel().tolist(),
            }
            for n in range(count)
        ],
    }


def test_sigmas_of_the_annotators_are_found(tmp_path):
    path = tmp_path / "second.json"
    path.write_text(json.dumps(annotated(3)))
    found = estimate_sigmas(annotated(2), path)
    # d² has two degrees of freedom for each of 400 instances: 4 standard errors of 2.5 %
    np.testing.assert_allclose(found, SIGMAS, rtol=0.1)
    assert Skeleton("own", ["a", "b", "c"], sigmas=found).sigmas == found


def test_unlabeled_keypoints_do_not_count():
    one, two = annotated(2), annotated(3)
    for n, entry in enumerate(two["annotations"]):
        if n % 2:
            entry["keypoints"][:3] = 0, 0, 0
    found = estimate_sigmas(one, two)
    np.testing.assert_allclose(found, SIGMAS, rtol=0.15)
    assert found[1:] == estimate_sigmas(one, annotated(3))[1:]


def test_sigmas_of_the_evaluated_file_count_if_the_skeleton_has_none():
    content = annotated(2, count=9)
    content["categories"][0] |= {"keypoints": ["c", "a", "B"], "sigmas": [0.3, 0.1, 0.2]}
    own = Skeleton("own", ["a", "b", "c"], sigmas=[0.4, 0.5, 0.6])
    assert COCOFile(content).skeleton.sigmas == (0.3, 0.1, 0.2)
    file = COCOFile(content, skeleton=SKELETON)
    assert file.skeleton.sigmas == (0.1, 0.2, 0.3)
    assert COCOFile(content, skeleton=own).skeleton == COCOFile.open(file, skeleton=own).skeleton
    assert COCOFile.open(file, skeleton=own).skeleton == own
    assert COCOFile.open(file, skeleton=SKELETON).skeleton == file.skeleton
    results = [
        {"image_id": n, "category_id": 1, "keypoints": entry["keypoints"], "score": 1.0}
        for n, entry in enumerate(content["annotations"])
    ]
    assert evaluate_keypoints(content, results, SKELETON)["AP"] == 1  # and no warning


def test_other_instances_and_copies_are_refused():
    with pytest.raises(ValueError, match=r"`second` must have .*Received: 399 .* has 400 in 400$"):
        estimate_sigmas(annotated(2), annotated(3, count=COUNT - 1))
    with pytest.raises(ValueError, match=r"not always in the same place. Received: a, b, c$"):
        estimate_sigmas(annotated(2), annotated(2))
