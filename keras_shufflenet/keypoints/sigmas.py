"""The sigmas of COCO's OKS from images that were annotated twice.

COCO estimated its own in the same way, see http://cocodataset.org/#keypoints-eval: sigma² is the
mean of d² / s², with the distance d of an annotation from the true keypoint and the area s² of the
object. The distance of two annotations has twice this variance.
"""

import numpy as np

from keras_shufflenet.keypoints.annotations import PoseInstances
from keras_shufflenet.keypoints.coco_file import COCOFile, Source
from keras_shufflenet.keypoints.coco_reader import read_coco
from keras_shufflenet.keypoints.skeletons import Skeleton, SkeletonLike


def estimate_sigmas(
    first: Source | COCOFile,
    second: Source | COCOFile,
    skeleton: SkeletonLike | None = None,
    category: str | int | None = None,
) -> tuple[float, ...]:
    """Estimate the standard deviations of human annotations from two annotations of each instance.

    A hundred instances give a sigma with a standard error of about 5 %.

    Args:
        first: COCO keypoint file: path, content or a `COCOFile`.
        second: The same images, annotated independently: the same instances in the same order.
        skeleton: Keypoints of the files. Defaults to those of the category.
        category: Name or id of the category; by default the only one with annotations.

    Returns:
        K sigmas, relative to the square root of the instance's area, for `Skeleton`.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a file is malformed, the instances differ, or a keypoint was not labeled
            twice in different places.
    """
    file = COCOFile.open(first, category, skeleton)
    one = read_coco(file)
    two = read_coco(COCOFile.open(second, category, file.skeleton))
    _check_same(one, two)
    areas = (one.areas + two.areas) / 2
    offsets = one.keypoints.astype(np.float64) - two.keypoints
    variances = (offsets**2).sum(axis=-1) / areas[:, np.newaxis] / 2
    both = (one.keypoints_visible > 0) & (two.keypoints_visible > 0)
    sums, counts = np.where(both, variances, 0).sum(axis=0), both.sum(axis=0)
    _check_labeled(sums, file.skeleton)
    return tuple(np.sqrt(sums / counts).tolist())


def _check_same(one: PoseInstances, two: PoseInstances) -> None:
    if not np.array_equal(one.image_id, two.image_id):
        raise ValueError(
            "`second` must have the instances of `first`: as many, in the same images and order. "
            f"Received: {len(two)} instances in {len(set(two.image_id))} images, `first` has "
            f"{len(one)} in {len(set(one.image_id))}"
        )


def _check_labeled(sums: np.ndarray, skeleton: Skeleton) -> None:
    wrong = [name for name, total in zip(skeleton.keypoint_names, sums, strict=True) if total == 0]
    if wrong:
        raise ValueError(
            "Each keypoint must be labeled in both files and not always in the same place. "
            f"Received: {', '.join(wrong)}"
        )
