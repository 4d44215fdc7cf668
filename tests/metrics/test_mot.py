"""Tracking metrics, against cases that are small enough to be counted."""

import pytest

from keras_shufflenet.metrics.mot import TrackedBoxes, evaluate_tracking

LEFT, RIGHT, FAR = [0, 0, 10, 20], [50, 0, 60, 20], [200, 0, 210, 20]


def frames(*pairs):
    """Frames of (annotated, tracked), each {id: box}."""
    return [tuple(TrackedBoxes(list(each), list(each.values())) for each in pair) for pair in pairs]


def test_a_perfect_track():
    metrics = evaluate_tracking(frames(*[({1: LEFT, 2: RIGHT}, {7: LEFT, 8: RIGHT})] * 3))
    assert metrics == (1, 1, 0, 0, 0, 6)


def test_two_persons_who_exchange_their_ids():
    metrics = evaluate_tracking(
        frames(
            *[({1: LEFT, 2: RIGHT}, {7: LEFT, 8: RIGHT})] * 3,
            ({1: LEFT, 2: RIGHT}, {7: RIGHT, 8: LEFT}),
        )
    )
    assert metrics.id_switches == 2
    assert metrics.mota == 1 - 2 / 8
    assert metrics.idf1 == 6 / 8


def test_a_new_id_after_a_gap_is_a_switch():
    metrics = evaluate_tracking(
        frames(({1: LEFT}, {7: LEFT}), ({1: LEFT}, {}), ({1: LEFT}, {8: LEFT}), ({}, {8: FAR}))
    )
    assert metrics.id_switches == 1
    assert (metrics.misses, metrics.false_positives, metrics.objects) == (1, 1, 3)
    assert metrics.mota == 0
    assert metrics.idf1 == pytest.approx(2 * 1 / (3 + 3))


def test_a_match_is_kept_while_it_overlaps_enough():
    """The track that a person had is taken, even where another fits better."""
    metrics = evaluate_tracking(
        frames(({1: LEFT}, {7: LEFT}), ({1: LEFT}, {7: [2, 0, 12, 20], 8: LEFT}))
    )
    assert (metrics.id_switches, metrics.false_positives) == (0, 1)


def test_nothing_annotated():
    with pytest.raises(ValueError, match=r"at least one annotated person\. Received: none"):
        evaluate_tracking(frames(({}, {1: LEFT})))
