"""Pose estimation on video: persons with ids from frame to frame.

The detector, which takes longest, runs every few frames. In between, the box of a person follows
from the keypoints in the frame before, as in MediaPipe's pose tracking (Bazarevsky et al.,
arXiv 2006.10204). When a person is lost the detector looks for it in the same frame.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet._checks import check_integer
from keras_shufflenet.detection.decoding import iou
from keras_shufflenet.inference.pose import PosePredictor
from keras_shufflenet.inference.smoothing import BETA, MIN_CUTOFF, OneEuroFilter
from keras_shufflenet.inference.tracking import KEYPOINT_SCORE, NO_TRACK, Tracker, assign
from keras_shufflenet.inference.video_reader import Frame
from keras_shufflenet.keypoints.boxes import MIN_KEYPOINTS, follow_keypoints
from keras_shufflenet.keypoints.nms import oks, oks_nms

Array = NDArray[np.float64]

DETECTION_INTERVAL = 5
SEARCH_INTERVAL = 5  # while a person is missing
LOST = 0.6  # of the keypoints' mean score when the person was detected: below it, it is lost
SAME_BOX_IOU = 0.4  # of a detected box and one from keypoints that are the same person
SAME_POSE_OKS = 0.7  # of two poses that are the same person
MAX_UNCONFIRMED = 3  # detections in a row that may miss a person whose keypoints are found


class TrackedPoses(NamedTuple):
    """The N persons of a frame.

    Attributes:
        frame_id: Number of the frame, from 0.
        time: Its time in seconds.
        keypoints: float64 (N, K, 3): x, y in pixels (0-based) and score of each keypoint.
        bboxes: float64 (N, 4): x, y, width, height in pixels.
        scores: float64 (N,), 0..1: the detector's of each person, when it last found the person.
        track_ids: int64 (N,), from 1 on.
        detected: Whether the detector ran in this frame.
    """

    frame_id: int
    time: float
    keypoints: Array
    bboxes: Array
    scores: Array
    track_ids: NDArray[np.int64]
    detected: bool


@dataclass(frozen=True)
class _Person:
    """A person of a frame.

    Attributes:
        bbox: (4,): x, y, width, height in pixels.
        score: The detector's score, when it last found the person.
        keypoints: (K, 3); None before they are estimated.
        detected: The box and the keypoints when the detector last found the person; None if that
            is now.
        unconfirmed: Number of detections since then.
    """

    bbox: Array
    score: float
    keypoints: Array | None = None
    detected: tuple[Array, Array] | None = None
    unconfirmed: int = 0

    @property
    def corners(self) -> Array:
        return np.concatenate([self.bbox[:2], self.bbox[:2] + self.bbox[2:]])

    @property
    def keypoint_score(self) -> float:
        """The mean score of the keypoints."""
        return 0.0 if self.keypoints is None else float(self.keypoints[:, 2].mean())

    def with_keypoints(self, keypoints: Array) -> "_Person | None":
        """Return the person with its keypoints; None if they are not found, and it is lost."""
        if self.detected is None:
            return replace(self, keypoints=keypoints, detected=(self.bbox, keypoints))
        bbox, before = self.detected
        if (before[:, 2] >= KEYPOINT_SCORE).sum() < MIN_KEYPOINTS:  # the box goes on as it moved
            return replace(self, keypoints=keypoints)
        moved = follow_keypoints(bbox, before, keypoints, KEYPOINT_SCORE)
        if moved is None or keypoints[:, 2].mean() < LOST * before[:, 2].mean():
            return None
        return replace(self, bbox=moved, keypoints=keypoints)


class VideoPosePredictor:
    """Predicts the keypoints of the persons in a video, with ids.

    It keeps what it knows of the persons from frame to frame: one predictor for each video.
    """

    def __init__(
        self,
        pose: PosePredictor,
        *,
        detection_interval: int = DETECTION_INTERVAL,
        tracker: Tracker | None = None,
        smoothing: bool = True,
        min_cutoff: float = MIN_CUTOFF,
        beta: float = BETA,
    ) -> None:
        """Create a predictor for the frames of one video.

        Args:
            pose: A pose estimator with a detector: `PosePredictor.load(…, detector=…)`. For video
                `flip_test=False` halves its time.
            detection_interval: Number of frames from one detection to the next; 1 for detection in
                every frame. The detector also runs until there is a person, when one is lost, and
                then every fifth frame at least while its track is alive.
            tracker: Gives the ids. Defaults to `Tracker()`.
            smoothing: Whether to smooth the keypoints with a One-Euro filter.
            min_cutoff: Its cutoff frequency at rest in hertz; lower for less jitter.
            beta: Rise of the cutoff frequency with the speed in heights of the person's box per
                second; higher for less lag.

        Raises:
            ValueError: If the pose estimator has no detector, or an argument is out of range.
        """
        if pose.detector is None:
            raise ValueError(
                "`pose` must have a detector: PosePredictor.load(…, detector=…). "
                f"Received: pose={pose.predictor.name}"
            )
        check_integer("detection_interval", detection_interval)
        OneEuroFilter(min_cutoff, beta)  # checks its arguments
        self.pose = pose
        self.detector = pose.detector
        self.detection_interval = detection_interval
        self.tracker = tracker or Tracker(skeleton=pose.skeleton)
        self.smoothing = smoothing
        self._filter_options = (min_cutoff, beta)
        self._filters: dict[int, OneEuroFilter] = {}
        self._persons: list[_Person] = []
        self._since_detection = detection_interval

    def predict(self, frames: Iterable[Frame]) -> Iterator[TrackedPoses]:
        """Predict frame by frame.

        Args:
            frames: Frames such as those of `VideoReader`, all of one size.

        Yields:
            The persons of each frame.
        """
        for frame in frames:
            yield self.predict_frame(frame)

    def predict_frame(self, frame: Frame) -> TrackedPoses:
        """Predict the next frame.

        Persons whose track is not confirmed yet are left out.

        Args:
            frame: A frame of `VideoReader`, or `Frame(frame_id, time, pixels)` of your own.

        Raises:
            ValueError: If it is no frame, such as an array, which has no time.
        """
        if not isinstance(frame, Frame):
            raise ValueError(
                "`frame` must be a Frame(frame_id, time, pixels), such as those of VideoReader. "
                f"Received: {type(frame).__name__}"
            )
        pixels = frame.pixels
        carried = self._carry(pixels)
        self._since_detection += 1
        detected = not carried or self._since_detection >= self._interval()
        persons = self._detect(pixels, carried) if detected else carried
        found = self._estimate(pixels, persons)
        if len(found) < len(persons) and not detected:
            detected = True
            found = self._estimate(pixels, self._detect(pixels, found))
        if detected:
            self._since_detection = 0
        return self._track(frame, found, detected)

    def _interval(self) -> int:
        """Return the number of frames to the next detection: few while a person is missing."""
        missing = any(track.age > 0 for track in self.tracker.tracks)
        return min(self.detection_interval, SEARCH_INTERVAL if missing else self.detection_interval)

    def _carry(self, pixels: NDArray[np.uint8]) -> list[_Person]:
        """Return the persons of the frame before who are still in the image, moved on."""
        height, width = pixels.shape[:2]
        carried = []
        for person, track in zip(self._persons, self.tracker.assigned, strict=True):
            if track is None:
                continue
            bbox = person.bbox + np.append(track.velocity, (0, 0))
            middle = bbox[:2] + bbox[2:] / 2
            if (middle >= 0).all() and (middle < (width, height)).all():
                carried.append(replace(person, bbox=bbox, keypoints=None))
        return carried

    def _detect(self, pixels: NDArray[np.uint8], persons: list[_Person]) -> list[_Person]:
        """Return the detected persons, and of the others those that the detector may have missed.

        Persons with keypoints keep them where the detector finds them again.
        """
        (boxes,) = self.detector.detect([pixels])
        detections = [
            _Person(bbox, float(score))
            for bbox, score in zip(boxes.bboxes, boxes.scores, strict=True)
        ]
        missed = set(range(len(persons)))
        if persons and detections:
            corners = np.stack([each.corners for each in detections])
            overlaps = np.stack([iou(person.corners, corners) for person in persons])
            for row, column in assign(overlaps, SAME_BOX_IOU):
                missed.discard(row)
                detection, keypoints = detections[column], persons[row].keypoints
                detected = None if keypoints is None else (detection.bbox, keypoints)
                detections[column] = replace(detection, keypoints=keypoints, detected=detected)
        return detections + [
            replace(persons[row], unconfirmed=persons[row].unconfirmed + 1)
            for row in sorted(missed)
            if persons[row].unconfirmed < MAX_UNCONFIRMED
        ]

    def _estimate(self, pixels: NDArray[np.uint8], persons: list[_Person]) -> list[_Person]:
        """Estimate the keypoints of the persons that have none; leave out those who are lost."""
        new = [person for person in persons if person.keypoints is None]
        found: list[_Person | None] = [person for person in persons if person.keypoints is not None]
        if new:
            poses = self.pose.predict(pixels, [person.bbox for person in new])
            pairs = zip(new, poses.keypoints, strict=True)
            found += [person.with_keypoints(keypoints) for person, keypoints in pairs]
        return self._unique([person for person in found if person is not None])

    def _unique(self, persons: list[_Person]) -> list[_Person]:
        """Leave out all but one of the persons that have the same pose."""
        if len(persons) < 2:
            return persons
        keypoints = np.stack([each.keypoints for each in persons if each.keypoints is not None])
        areas = np.array([each.bbox[2:].prod() for each in persons])
        # a detected person is kept rather than one that the detector missed
        scores = np.array([each.keypoint_score - (each.unconfirmed > 0) for each in persons])
        kept = oks_nms(oks(keypoints, areas, self.pose.skeleton), scores, SAME_POSE_OKS)
        return [persons[row] for row in sorted(kept.tolist())]

    def _track(self, frame: Frame, persons: list[_Person], detected: bool) -> TrackedPoses:
        """Give ids to the persons, and smooth their keypoints."""
        count = len(self.pose.skeleton)
        keypoints = np.array([person.keypoints for person in persons]).reshape(-1, count, 3)
        bboxes = np.array([person.bbox for person in persons]).reshape(-1, 4)
        scores = np.array([person.score for person in persons])
        corners = np.concatenate([bboxes[:, :2], bboxes[:, :2] + bboxes[:, 2:]], axis=1)
        ids = self.tracker.update(corners, scores, keypoints)
        self._persons = persons
        known = ids != NO_TRACK
        shown = keypoints[known]
        if self.smoothing:
            shown = self._smooth(frame.time, ids[known], shown, bboxes[known])
        return TrackedPoses(
            frame.frame_id, frame.time, shown, bboxes[known], scores[known], ids[known], detected
        )

    def _smooth(
        self, time: float, ids: NDArray[np.int64], keypoints: Array, bboxes: Array
    ) -> Array:
        alive = {track.track_id for track in self.tracker.tracks}
        self._filters = {key: each for key, each in self._filters.items() if key in alive}
        smoothed = keypoints.copy()
        for row, key in enumerate(ids.tolist()):
            smooth = self._filters.setdefault(key, OneEuroFilter(*self._filter_options))
            points, seen = keypoints[row, :, :2], keypoints[row, :, 2:] >= KEYPOINT_SCORE
            scale = float(bboxes[row, 2:].max())
            smoothed[row, :, :2] = smooth(points, time, scale=scale, valid=seen)
        return smoothed
