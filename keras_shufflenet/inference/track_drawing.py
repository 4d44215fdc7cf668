"""Drawing of tracked persons: skeletons in the color of the person, with its id."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from keras_shufflenet.inference.video import TrackedPoses
from keras_shufflenet.inference.visualization import (
    BLACK,
    BRIGHT,
    SMALLEST_FONT,
    WHITE,
    distinct_color,
    draw_skeletons,
    luma,
)
from keras_shufflenet.keypoints.skeletons import SkeletonLike


def draw_tracks(
    image: NDArray[np.uint8],
    poses: TrackedPoses,
    skeleton: SkeletonLike = "coco",
    score_threshold: float = 0.3,
) -> NDArray[np.uint8]:
    """Draw the persons of a frame; every id has a color.

    Args:
        image: uint8 (H, W, 3), RGB.
        poses: The persons.
        skeleton: The keypoints.
        score_threshold: Minimum score of the keypoints that are drawn.

    Returns:
        A new uint8 array (H, W, 3). The id stands above the person's box.

    Raises:
        ValueError: If the keypoints are not those of the skeleton.
    """
    numbers = [track_id - 1 for track_id in poses.track_ids.tolist()]
    drawn = draw_skeletons(image, poses.keypoints, skeleton, score_threshold, person_ids=numbers)
    canvas = Image.fromarray(drawn)
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=max(SMALLEST_FONT, max(canvas.size) / 40))
    for number, (x, y, width, _) in zip(numbers, poses.bboxes.tolist(), strict=True):
        color, text = distinct_color(number), str(number + 1)
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font, anchor="mm")
        half = (right - left) / 2 + 4, (bottom - top) / 2 + 4
        middle = x + width / 2, max(y - half[1], half[1])
        corners = [middle[0] - half[0], middle[1] - half[1], middle[0] + half[0]]
        pen.rounded_rectangle([*corners, middle[1] + half[1]], radius=4, fill=color)
        ink = BLACK if luma(color) > BRIGHT else WHITE
        pen.text(middle, text, fill=ink, font=font, anchor="mm")
    return np.asarray(canvas)
