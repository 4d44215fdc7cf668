"""Persons from frame to frame: when the detector runs, and what becomes of those it misses.

The detector and the pose estimator are stand-ins that see rectangles on a black canvas.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_shufflenet.inference.person_boxes import PersonBoxes
from keras_shufflenet.inference.pose import Poses
from keras_shufflenet.inference.track_drawing import draw_tracks
from keras_shufflenet.inference.video import TrackedPoses, VideoPosePredictor
from keras_shufflenet.inference.video_reader import Frame
from keras_shufflenet.keypoints.skeletons import COCO

SIZE = (120, 200)
OFFSETS = np.random.default_rng(0).uniform(-0.4, 0.4, (17, 2))


class Detector:
    """Finds every block of a brightness of its own, unless told to miss it."""

    def __init__(self):
        self.calls, self.missed = 0, set()

    def detect(self, images):
        self.calls += 1
        (pixels,) = images
        found = []
        for value in np.unique(pixels[pixels > 0]):
            rows, columns = np.nonzero(pixels[..., 0] == value)
            if value not in self.missed:
                x, y = columns.min(), rows.min()
                found.append([x, y, columns.max() + 1 - x, rows.max() + 1 - y])
        return [PersonBoxes(np.array(found, float).reshape(-1, 4), np.full(len(found), 0.9))]


class Pose:
    """Seventeen points spread over the block that covers most of a box; their scores are low
    where there is none."""

    skeleton = COCO
    predictor = SimpleNamespace(name="pose")

    def __init__(self):
        self.detector, self.persons = Detector(), 0

    def predict(self, pixels, bboxes):
        self.persons += len(bboxes)
        poses = []
        for x, y, width, height in np.rint(bboxes).astype(int):
            part = pixels[max(y, 0) : y + height, max(x, 0) : x + width, 0]
            counts = np.bincount(part.ravel(), minlength=256)
            counts[0] = 0
            if counts.sum() == 0:
                poses.append(np.column_stack([(x, y) + 0.0 * OFFSETS, np.full(17, 0.05)]))
                continue
            rows, columns = np.nonzero(pixels[..., 0] == counts.argmax())
            middle, size = (columns.mean(), rows.mean()), (np.ptp(columns), np.ptp(rows))
            poses.append(np.column_stack([middle + OFFSETS * size, np.full(17, 0.8)]))
        return Poses(np.array(poses), np.asarray(bboxes, float), np.ones(len(bboxes)))


def canvas(*blocks):
    """Blocks (x, y, brightness) of 20 x 50 pixels."""
    pixels = np.zeros((*SIZE, 3), np.uint8)
    for x, y, value in blocks:
        pixels[max(y, 0) : y + 50, max(x, 0) : max(x + 20, 0)] = value
    return pixels


def run(video, pictures, start=0):
    numbered = enumerate(pictures, start)
    return list(video.predict(Frame(n, n / 30, pixels) for n, pixels in numbered))


def test_the_detector_runs_every_few_frames_and_boxes_follow():
    pose = Pose()
    video = VideoPosePredictor(pose, detection_interval=4, smoothing=False)
    found = run(video, [canvas((20 + 5 * n, 40, 90), (150 - 3 * n, 30, 200)) for n in range(13)])
    assert [each.detected for each in found] == ([True] + [False] * 3) * 3 + [True]
    assert pose.detector.calls == 4
    for n, each in enumerate(found):
        assert dict(zip(each.track_ids.tolist(), each.bboxes[:, 0], strict=True)) == {
            1: pytest.approx(20 + 5 * n, abs=2),
            2: pytest.approx(150 - 3 * n, abs=2),
        }
        assert each.keypoints.shape == (2, 17, 3)
        np.testing.assert_allclose(each.bboxes[:, 2:], [[20, 50]] * 2, atol=2)


def test_detection_in_every_frame():
    pose = Pose()
    found = run(VideoPosePredictor(pose, detection_interval=1), [canvas((50, 40, 90))] * 5)
    assert all(each.detected for each in found)
    assert pose.detector.calls == 5


def test_a_person_who_is_lost_is_looked_for_in_the_same_frame():
    video = VideoPosePredictor(Pose(), detection_interval=50, smoothing=False)
    still, away = canvas((20, 40, 90), (80, 40, 200)), canvas((20, 40, 90), (160, 40, 200))
    found = run(video, [still] * 4 + [away] * 4)
    assert [each.detected for each in found] == [True, False, False, False, True] + [False] * 3
    assert found[3].track_ids.tolist() == [1, 2]
    assert 1 in found[4].track_ids
    assert len(found[-1].track_ids) == 2  # the jump of 80 pixels in a frame is a new person


def test_without_persons_the_detector_waits_for_one():
    video = VideoPosePredictor(Pose(), detection_interval=50)
    found = run(video, [canvas()] * 3 + [canvas((60, 40, 90))] * 4)
    assert [each.detected for each in found] == [True] * 4 + [False] * 3
    assert [len(each.track_ids) for each in found] == [0] * 5 + [1] * 2
    assert found[0].keypoints.shape == (0, 17, 3)


def test_a_person_whom_the_detector_misses_is_followed_for_a_while():
    pose = Pose()
    video = VideoPosePredictor(pose, detection_interval=1)
    pictures = [canvas((20 + n, 40, 90), (120, 40, 200)) for n in range(12)]
    first = run(video, pictures[:4])
    pose.detector.missed = {200}
    later = run(video, pictures[4:], start=4)
    assert first[-1].track_ids.tolist() == [1, 2]
    assert [sorted(each.track_ids.tolist()) for each in later[:3]] == [[1, 2]] * 3
    assert later[-1].track_ids.tolist() == [1]


def test_two_boxes_on_one_person_become_one():
    """Behind the other, a person's box holds the other alone."""
    video = VideoPosePredictor(Pose(), detection_interval=50, smoothing=False)
    pictures = [canvas((40 + 6 * n, 40, 90), (100, 40, 200)) for n in range(24)]
    found = run(video, pictures)
    assert max(len(each.track_ids) for each in found) == 2
    hidden = [n for n in range(24) if 96 <= 40 + 6 * n <= 104]
    assert all(len(found[n].track_ids) == 1 for n in hidden)
    assert len(found[-1].track_ids) == 2
    assert 2 in found[-1].track_ids


def test_a_person_who_leaves_is_dropped():
    video = VideoPosePredictor(Pose(), detection_interval=3)
    found = run(video, [canvas((60 - 8 * n, 40, 90), (150, 40, 200)) for n in range(14)])
    assert found[0].track_ids.tolist() == [1, 2]
    assert found[-1].track_ids.tolist() == [2]


def test_keypoints_are_smoothed_and_the_box_is_not():
    rng = np.random.default_rng(1)
    jitter = [canvas((80 + rng.integers(-1, 2), 40 + rng.integers(-1, 2), 90)) for _ in range(60)]
    raw, smooth = (
        np.array(
            [each.keypoints[0] for each in run(VideoPosePredictor(Pose(), smoothing=on), jitter)]
        )
        for on in (False, True)
    )
    assert smooth[10:, :, :2].std(axis=0).mean() < 0.6 * raw[10:, :, :2].std(axis=0).mean()
    np.testing.assert_array_equal(smooth[..., 2], raw[..., 2])
    np.testing.assert_array_equal(smooth[0], raw[0])


def test_tracks_are_drawn_with_their_ids():
    (found,) = run(VideoPosePredictor(Pose()), [canvas((60, 50, 90), (120, 50, 200))])
    pixels = canvas((60, 50, 90), (120, 50, 200))
    drawn = draw_tracks(pixels, found)
    assert drawn.shape == pixels.shape
    assert (drawn[20:49] != pixels[20:49]).any()  # the ids are above the boxes
    swapped = found._replace(track_ids=found.track_ids[::-1])
    assert (draw_tracks(pixels, swapped) != drawn).any()
    empty = TrackedPoses(
        0, 0.0, np.zeros((0, 17, 3)), np.zeros((0, 4)), *[np.zeros(0, int)] * 2, True
    )
    np.testing.assert_array_equal(draw_tracks(pixels, empty), pixels)


def test_arguments_are_checked():
    pose = Pose()
    with pytest.raises(ValueError, match="detection_interval=0"):
        VideoPosePredictor(pose, detection_interval=0)
    with pytest.raises(ValueError, match="min_cutoff=0"):
        VideoPosePredictor(pose, min_cutoff=0)
    pose.detector = None
    with pytest.raises(ValueError, match=r"`pose` must have a detector.*Received: pose=pose"):
        VideoPosePredictor(pose)


def test_arrays_are_no_frames():
    message = r"must be a Frame\(frame_id, time, pixels\).* Received: ndarray"
    with pytest.raises(ValueError, match=message):
        VideoPosePredictor(Pose()).predict_frame(np.zeros((*SIZE, 3), np.uint8))
