"""Tracking: the same person keeps the same id from frame to frame.

Every track predicts where its person is now, and an optimal assignment matches the predictions with
the persons that were found in the frame.

Sources: SORT (Bewley et al., arXiv 1602.00763) for the prediction at constant velocity, matching by
IoU, `max_age` and `min_hits`, with an alpha-beta filter in place of its Kalman filter; ByteTrack
(Zhang et al., arXiv 2110.06864) for the second round, in which persons of low scores continue
tracks; mmpose's tracking demo for OKS in place of IoU.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_shufflenet._checks import check_choice, check_integer, check_number
from keras_shufflenet.detection.decoding import iou
from keras_shufflenet.keypoints.boxes import MIN_KEYPOINTS
from keras_shufflenet.keypoints.nms import oks
from keras_shufflenet.keypoints.skeletons import SkeletonLike

Array = NDArray[np.float64]

SIMILARITIES = ("iou+oks", "iou", "oks")
MATCH_THRESHOLD = 0.3
START_SCORE = 0.5
MAX_AGE = 30
MIN_HITS = 3
POSITION_GAIN, VELOCITY_GAIN, SIZE_GAIN = 0.7, 0.2, 0.3
NO_TRACK = -1
KEYPOINT_SCORE = 0.3  # minimum of keypoints that count


@dataclass
class Track:
    """A person that is followed.

    Attributes:
        track_id: The id, from 1 on; 0 until the track is confirmed.
        center: float64 (2,): x and y of the box, in pixels.
        velocity: float64 (2,), in pixels per frame.
        size: float64 (2,): width and height of the box.
        keypoints: float64 (K, 3) of the last frame in which the person was found, moved along with
            the box; None for boxes alone.
        hits: Frames in which the person was found.
        age: Frames since the person was last found, 0 if it was in this one.
    """

    track_id: int
    center: Array
    velocity: Array
    size: Array
    keypoints: Array | None
    hits: int = 1
    age: int = 0

    @property
    def box(self) -> Array:
        """The box (4,): left, top, right and bottom, in pixels."""
        return np.concatenate([self.center - self.size / 2, self.center + self.size / 2])

    def predict(self) -> None:
        """Move on by a frame at constant velocity."""
        self.age += 1
        self.center = self.center + self.velocity
        if self.keypoints is not None:
            self.keypoints = self.keypoints + np.append(self.velocity, 0)

    def correct(self, box: Array, keypoints: Array | None) -> None:
        """Take over what was found in the frame."""
        error = self._error(box, keypoints)
        # two positions measure the velocity; those after them correct it
        gain = 1 / self.age if self.hits == 1 else VELOCITY_GAIN
        self.velocity = self.velocity + gain * error
        self.center = self.center + POSITION_GAIN * ((box[:2] + box[2:]) / 2 - self.center)
        self.size = self.size + SIZE_GAIN * (box[2:] - box[:2] - self.size)
        self.keypoints = keypoints
        self.hits, self.age = self.hits + 1, 0

    def _error(self, box: Array, keypoints: Array | None) -> Array:
        """Return how far (2,) the person is from where it was predicted.

        Keypoints tell it better than the box, whose sides move when the person is occluded.
        """
        if keypoints is not None and self.keypoints is not None:
            seen = (keypoints[:, 2] >= KEYPOINT_SCORE) & (self.keypoints[:, 2] >= KEYPOINT_SCORE)
            if seen.sum() >= MIN_KEYPOINTS:
                moved = keypoints[seen, :2] - self.keypoints[seen, :2]
                return np.asarray(np.median(moved, axis=0))
        return (box[:2] + box[2:]) / 2 - self.center


class Tracker:
    """Gives persons ids that are stable over the frames of a video.

    Attributes:
        tracks: The tracks that are alive, in the order in which they began.
        assigned: The track of each person of the last frame, also where it is not confirmed yet;
            None for persons without a track.
    """

    def __init__(
        self,
        *,
        similarity: str = SIMILARITIES[0],
        match_threshold: float = MATCH_THRESHOLD,
        start_score: float = START_SCORE,
        max_age: int = MAX_AGE,
        min_hits: int = MIN_HITS,
        skeleton: SkeletonLike = "coco",
    ) -> None:
        """Create a tracker without tracks.

        Args:
            similarity: What matches persons with tracks: "iou" of the boxes, "oks" of the keypoints
                that are seen in the frame, or "iou+oks", the mean of both. OKS tells persons apart
                who cross; IoU holds where keypoints are uncertain.
            match_threshold: Minimum similarity of a match, 0..1.
            start_score: Minimum score of a person that starts a track, 0..1. Persons of lower
                scores continue tracks.
            max_age: Number of frames that a track survives without being found.
            min_hits: Number of frames in a row in which a new person must be found to get an id,
                which keeps out what a detector sees in a frame alone. In the first `min_hits`
                frames of a video ids are given at once.
            skeleton: The keypoints; their sigmas define the OKS.

        Raises:
            ValueError: If an argument is out of range.
        """
        check_choice("similarity", similarity, SIMILARITIES)
        for name, value in (("match_threshold", match_threshold), ("start_score", start_score)):
            check_number(name, value)
            if not 0 <= value <= 1:
                raise ValueError(f"`{name}` must be between 0 and 1. Received: {name}={value}")
        check_integer("max_age", max_age, minimum=0)
        check_integer("min_hits", min_hits)
        self.similarity = similarity
        self.match_threshold = match_threshold
        self.start_score = start_score
        self.max_age = max_age
        self.min_hits = min_hits
        self.skeleton = skeleton
        self.tracks: list[Track] = []
        self.assigned: list[Track | None] = []
        self._frames = 0
        self._last_id = 0

    def update(
        self, boxes: ArrayLike, scores: ArrayLike, keypoints: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """Match the persons of the next frame with the tracks.

        Args:
            boxes: (D, 4): left, top, right and bottom in pixels, each of an area above 0.
            scores: (D,), 0..1.
            keypoints: (D, K, 3): x, y in pixels and score; required but for "iou".

        Returns:
            int64 (D,): the id of each person, from 1 on; -1 for persons without a track, and those
            whose track is not confirmed yet.

        Raises:
            ValueError: If the shapes do not fit each other.
        """
        found, confidence, poses = self._checked(boxes, scores, keypoints)
        self._frames += 1
        for track in self.tracks:
            track.predict()
        tracks = self.assigned = [None] * len(found)
        strong = confidence >= self.start_score
        for group in (strong, ~strong):
            self._match(tracks, np.flatnonzero(group), found, poses)
        for person in np.flatnonzero(strong).tolist():
            if tracks[person] is None:
                tracks[person] = self._start(found[person], _row(poses, person))
        for track in self.tracks:
            self._confirm(track)
        self.tracks = [track for track in self.tracks if self._survives(track)]
        return np.array([(track and track.track_id) or NO_TRACK for track in tracks], np.int64)

    def _checked(
        self, boxes: ArrayLike, scores: ArrayLike, keypoints: ArrayLike | None
    ) -> tuple[Array, Array, Array | None]:
        found = np.asarray(boxes, np.float64).reshape(-1, 4)
        confidence = np.asarray(scores, np.float64)
        poses = None if keypoints is None else np.asarray(keypoints, np.float64)
        if self.similarity != "iou" and poses is None:
            raise ValueError(
                f'`keypoints` must be given unless the similarity is "iou". Received: None, with '
                f"similarity={self.similarity!r}"
            )
        if confidence.shape != (len(found),) or (poses is not None and len(poses) != len(found)):
            shapes = [np.shape(array) for array in (boxes, scores, keypoints) if array is not None]
            raise ValueError(
                "`boxes`, `scores` and `keypoints` must have the shapes (D, 4), (D,) and (D, K, 3)."
                f" Received: {', '.join(map(str, shapes))}"
            )
        return found, confidence, poses

    def _match(
        self,
        tracks: list[Track | None],
        persons: NDArray[np.int64],
        boxes: Array,
        poses: Array | None,
    ) -> None:
        """Match some of the persons with the tracks that have none in this frame yet."""
        free = [track for track in self.tracks if track.age > 0]
        if not free or not len(persons):
            return
        similarity = self._similarities(free, boxes[persons], _row(poses, persons))
        for row, column in assign(similarity, self.match_threshold):
            person = int(persons[column])
            free[row].correct(boxes[person], _row(poses, person))
            tracks[person] = free[row]

    def _similarities(self, tracks: list[Track], boxes: Array, poses: Array | None) -> Array:
        """Return the similarity of every track with every person."""
        predicted = np.stack([track.box for track in tracks])
        overlaps = np.stack([iou(box, boxes) for box in predicted])
        if self.similarity == "iou" or poses is None:
            return overlaps
        known = [track.keypoints for track in tracks if track.keypoints is not None]
        every = np.concatenate([np.stack(known), poses])
        corners = np.concatenate([predicted, boxes])
        areas = (corners[:, 2:] - corners[:, :2]).prod(-1)
        similarity = oks(every, areas, self.skeleton, KEYPOINT_SCORE)[: len(tracks), len(tracks) :]
        return similarity if self.similarity == "oks" else (similarity + overlaps) / 2

    def _start(self, box: Array, keypoints: Array | None) -> Track:
        center, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        self.tracks.append(Track(0, center, np.zeros(2), size, keypoints))
        return self.tracks[-1]

    def _confirm(self, track: Track) -> None:
        """Give a track its id once it has been found often enough."""
        if not track.track_id and (track.hits >= self.min_hits or self._frames <= self.min_hits):
            self._last_id += 1
            track.track_id = self._last_id

    def _survives(self, track: Track) -> bool:
        return track.age <= (self.max_age if track.track_id else 0)


def assign(similarity: Array, threshold: float) -> list[tuple[int, int]]:
    """Match rows with columns so that the sum of the similarities is as large as possible.

    Args:
        similarity: (N, M), 0..1.
        threshold: Minimum similarity of a match.

    Returns:
        Pairs of a row and a column, each in one pair at most.
    """
    from scipy.optimize import linear_sum_assignment

    allowed = np.where(similarity >= threshold, similarity, 0)
    pairs = zip(*linear_sum_assignment(-allowed), strict=True)
    return [(int(row), int(column)) for row, column in pairs if allowed[row, column] > 0]


def _row(array: Array | None, index: int | NDArray[np.int64]) -> Array | None:
    return None if array is None else array[index]
