"""Tracking: ids stay with persons who walk, cross, are missed, enter and leave."""

import numpy as np
import pytest

from keras_shufflenet.inference.tracking import Tracker, assign
from keras_shufflenet.keypoints.skeletons import COCO
from keras_shufflenet.metrics.mot import TrackedBoxes, evaluate_tracking
from keras_shufflenet.synthetic_people.rendering import Camera
from keras_shufflenet.synthetic_people.walking import sample_walkers, walking_people

CAMERA = Camera(240, 320, 350.0)
FPS = 15


def walk(seed, num_people, num_frames=60):
    """Persons (ids, boxes, keypoints) of each frame who are in the image, seen through others."""
    walkers = sample_walkers(num_people, num_frames / FPS, CAMERA, np.random.default_rng(seed))
    frames = []
    for frame in range(num_frames):
        ids, boxes, poses = [], [], []
        for number, walker in enumerate(walkers, start=1):
            person = walker.at(frame / FPS)
            body = CAMERA.project(person.place(list(person.posed.points)))
            points = CAMERA.project(person.place(list(COCO.keypoint_names)))
            if 0 < body[:, 0].mean() < CAMERA.width:
                ids.append(number)
                boxes.append([*body.min(axis=0), *body.max(axis=0)])
                poses.append(np.column_stack([points, np.full(len(points), 0.8)]))
        frames.append((ids, np.array(boxes).reshape(-1, 4), np.array(poses).reshape(-1, 17, 3)))
    return frames


def noisy(frames, seed, miss=0.1, false_positives=0.3, noise=0.03):
    """The frames as a detector sees them: (boxes, scores, keypoints)."""
    rng = np.random.default_rng(seed)
    for _, boxes, poses in frames:
        seen = rng.random(len(boxes)) >= miss
        found, points = boxes[seen], poses[seen].copy()
        size = np.sqrt((found[:, 2:] - found[:, :2]).prod(-1))
        found = found + noise * size[:, None] * rng.normal(size=found.shape)
        points[..., :2] += noise * size[:, None, None] * rng.normal(size=(*points.shape[:2], 2))
        scores = rng.uniform(0.4, 0.9, len(found))
        for _ in range(rng.poisson(false_positives)):
            corner, (width, height) = rng.uniform(0, 200, 2), rng.uniform(30, 120, 2)
            spread = corner + rng.uniform(0, 1, (17, 2)) * (width, height)
            found = np.vstack([found, [*corner, *np.add(corner, (width, height))]])
            points = np.concatenate([points, np.column_stack([spread, np.full(17, 0.4)])[None]])
            scores = np.append(scores, rng.uniform(0.3, 0.7))
        yield found, scores, points


def track(frames, detections, tracker):
    pairs = []
    for (ids, boxes, _), (found, scores, points) in zip(frames, detections, strict=True):
        tracks = tracker.update(found, scores, points)
        known = tracks > 0
        pairs.append((TrackedBoxes(ids, boxes), TrackedBoxes(tracks[known], found[known])))
    return evaluate_tracking(pairs)


@pytest.mark.parametrize("num_people", [2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_people_who_walk_past_each_other_keep_their_ids(seed, num_people):
    frames = walk(seed, num_people)
    clean = track(frames, ((boxes, np.ones(len(boxes)), p) for _, boxes, p in frames), Tracker())
    assert (clean.id_switches, clean.false_positives) == (0, 0)
    assert clean.misses <= 2 * num_people  # who enters gets an id in the third frame
    found = track(frames, noisy(frames, seed), Tracker())
    assert found.id_switches == 0
    assert found.idf1 > 0.85  # 10 % are missed


def test_boxes_alone_are_tracked_where_people_do_not_cross():
    frames = walk(3, 1)
    tracker = Tracker(similarity="iou")
    ids = [tracker.update(boxes, np.ones(len(boxes))).tolist() for _, boxes, _ in frames]
    assert {number for each in ids for number in each if number > 0} == {1}


def test_rendered_people_who_occlude_each_other():
    """Boxes and keypoints of what is visible only: persons vanish behind others."""
    tracker, pairs = Tracker(), []
    for _, people in walking_people(30, fps=10, image_size=(96, 128), num_people=3, seed=3):
        people = [entry for entry in people if entry["num_keypoints"] > 2]
        boxes = np.array([entry["bbox"] for entry in people], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        points = np.array([entry["keypoints"] for entry in people], float).reshape(-1, 17, 3)
        points[..., 2] = points[..., 2] > 0
        ids = tracker.update(boxes, np.ones(len(boxes)), points)
        known = ids > 0
        truth = TrackedBoxes([entry["track_id"] for entry in people], boxes)
        pairs.append((truth, TrackedBoxes(ids[known], boxes[known])))
    metrics = evaluate_tracking(pairs)
    assert metrics.id_switches == 0
    assert metrics.idf1 > 0.95


def person(x, y=100.0, height=80.0):
    """A standing person: (box, keypoints)."""
    rng = np.random.default_rng(0)
    points = [x, y] + rng.uniform(-0.4, 0.4, (17, 2)) * (height / 2, height)
    box = [x - height / 4, y - height / 2, x + height / 4, y + height / 2]
    return box, np.column_stack([points, np.full(17, 0.9)])


def update(tracker, *people, scores=None):
    boxes = np.array([box for box, _ in people]).reshape(-1, 4)
    points = np.array([each for _, each in people]).reshape(-1, 17, 3)
    return tracker.update(boxes, scores or np.ones(len(people)), points).tolist()


def test_a_track_survives_missing_frames_and_then_ends():
    tracker = Tracker(max_age=5)
    for step in range(6):
        assert update(tracker, person(20 + 8 * step)) == [1]
    for _ in range(5):
        assert update(tracker) == []
    assert update(tracker, person(20 + 8 * 11)) == [1]  # where it would be by now
    for _ in range(6):
        update(tracker)
    assert tracker.tracks == []
    assert update(tracker, person(20 + 8 * 18)) == [-1]


def test_a_new_person_gets_an_id_in_its_third_frame():
    tracker = Tracker()
    for _ in range(4):
        assert update(tracker, person(50)) == [1]
    assert [update(tracker, person(50), person(200)) for _ in range(3)] == [
        [1, -1],
        [1, -1],
        [1, 2],
    ]


def test_what_is_seen_in_one_frame_gets_no_id():
    tracker = Tracker()
    for _ in range(4):
        update(tracker, person(50))
    assert update(tracker, person(50), person(250)) == [1, -1]
    for _ in range(3):
        assert update(tracker, person(50)) == [1]
    assert update(tracker, person(50), person(250)) == [1, -1]


def test_low_scores_continue_tracks_and_start_none():
    tracker = Tracker(start_score=0.5)
    update(tracker, person(50))
    assert update(tracker, person(52), person(200), scores=[0.2, 0.2]) == [1, -1]
    assert len(tracker.tracks) == 1


def test_ids_do_not_depend_on_the_order_of_the_persons():
    tracker = Tracker()
    assert update(tracker, person(50), person(200)) == [1, 2]
    assert update(tracker, person(202), person(52)) == [2, 1]
    assert [track.track_id for track in tracker.assigned] == [2, 1]


def test_the_optimal_assignment_beats_the_greedy_one():
    similarity = np.array([[0.9, 0.8], [0.8, 0.1]])
    assert assign(similarity, 0.3) == [(0, 1), (1, 0)]
    assert assign(similarity, 0.85) == [(0, 0)]
    assert assign(np.zeros((0, 3)), 0.3) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"similarity": "appearance"}, "`similarity` must be one of 'iou\\+oks', 'iou', 'oks'"),
        ({"match_threshold": 2}, "between 0 and 1. Received: match_threshold=2"),
        ({"start_score": -1}, "between 0 and 1. Received: start_score=-1"),
        ({"max_age": -1}, "max_age=-1"),
        ({"min_hits": 0}, "min_hits=0"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        Tracker(**arguments)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r'unless the similarity is "iou"\. Received: None'):
        Tracker().update([[0, 0, 1, 1]], [1])
    with pytest.raises(ValueError, match=r"\(D, 4\), \(D,\) and .*Received: \(1, 4\), \(2,\)"):
        Tracker(similarity="iou").update([[0, 0, 1, 1]], [1, 1])
