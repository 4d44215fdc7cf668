"""Label assignment: the reference's choices, and what a batch may hold."""

import numpy as np
import pytest
import tensorflow as tf

from keras_shufflenet.detection.priors import NANODET, NANODET_PLUS, make_priors
from keras_shufflenet.training.box_losses import decode_boxes, pairwise_iou
from keras_shufflenet.training.label_assignment import atss, dynamic_soft_label

SIZE = (64, 64)
FOUND = 4 * np.finfo(np.float32).eps


def levels(design, size):
    return [-(-size[0] // stride) * -(-size[1] // stride) for stride in design.strides]


def by_atss(boxes, labels, size=SIZE):
    priors = make_priors(NANODET, size).astype(np.float32)
    is_box = tf.convert_to_tensor(labels) >= 0
    return atss(tf.convert_to_tensor(boxes), is_box, priors, levels(NANODET, size))


def by_soft_labels(boxes, labels, output=None):
    """Assign by an output (1, P, C + 32) of all images, random by default."""
    boxes, labels = tf.convert_to_tensor(boxes), tf.convert_to_tensor(labels)
    priors = make_priors(NANODET_PLUS, SIZE).astype(np.float32)
    if output is None:
        output = np.random.default_rng(0).normal(size=(1, len(priors), 3 + 32))
    output = tf.repeat(tf.constant(output, tf.float32), tf.shape(boxes)[0], axis=0)
    predicted = decode_boxes(output[..., -32:], priors)
    return dynamic_soft_label(boxes, labels, output[..., :-32], predicted, priors)


METHODS = {"atss": by_atss, "dynamic_soft_label": by_soft_labels}


@pytest.fixture(params=METHODS)
def assign(request):
    return METHODS[request.param]


def choices(assignment, image):
    """Return {point: (box, IoU)} of an image."""
    index, iou = assignment.index.numpy()[image], assignment.iou.numpy()[image]
    return {int(p): (int(index[p]), float(iou[p])) for p in np.flatnonzero(index >= 0)}


def reference(golden, name, image):
    found = golden[name]["assignment"][image]
    return {point: (box + 1, iou) for point, box, iou in found}  # a row of padding comes first


def test_soft_labels_equal_the_reference(golden_losses, synth):
    golden, boxes, labels = golden_losses
    inputs = golden["nanodet_plus_m"]["inputs"]
    logits, distributions = (synth.synth_input(*inputs[key]) for key in ("aux_cls", "aux_reg"))
    priors = make_priors(NANODET_PLUS, (320, 320)).astype(np.float32)
    predicted = decode_boxes(tf.constant(distributions), priors)
    found = dynamic_soft_label(
        tf.constant(boxes), tf.constant(labels), tf.constant(logits), predicted, priors
    )
    for image in range(3):
        ours, theirs = choices(found, image), reference(golden, "nanodet_plus_m", image)
        assert {point: box for point, (box, _) in ours.items()} == {
            point: box for point, (box, _) in theirs.items()
        }
        for point, (_, iou) in ours.items():
            assert iou == pytest.approx(theirs[point][1], rel=1e-4)


def test_atss_equals_the_reference_but_for_points_equally_far_from_a_center(golden_losses):
    """Of eight points around the center of the largest box the nine nearest take five."""
    golden, boxes, labels = golden_losses
    found = by_atss(boxes, labels, (320, 320))
    for image in range(3):
        ours, theirs = choices(found, image), reference(golden, "nanodet_m", image)
        for point in ours.keys() & theirs.keys():
            assert ours[point] == (theirs[point][0], pytest.approx(theirs[point][1], rel=1e-4))
        different = ours.keys() ^ theirs.keys()
        if image:
            assert not different
            continue
        priors = make_priors(NANODET, (320, 320))
        assert len(different) == 1
        for point in different:
            box, iou = (ours | theirs)[point]
            assert box == 4
            assert iou == pytest.approx(0.25)
            offset = np.abs(priors[point, :2] - 160)
            assert sorted(offset) == [16, 48]  # as the other seven


def test_images_without_boxes_are_background(assign):
    found = assign(np.zeros((2, 3, 4), np.float32), np.full((2, 3), -1, np.int32))
    assert (found.index.numpy() == -1).all()
    assert (found.iou.numpy() == 0).all()


def test_padding_changes_nothing(assign):
    boxes = np.float32([[[2, 3, 40, 60], [30, 30, 62, 50], [0, 0, 64, 64]]])
    labels = np.int32([[0, 2, 1]])
    plain = assign(boxes, labels)
    padded = assign(
        np.concatenate([boxes, np.zeros((1, 9, 4), np.float32)], axis=1),
        np.concatenate([labels, np.full((1, 9), -1, np.int32)], axis=1),
    )
    np.testing.assert_array_equal(padded.index, plain.index)
    np.testing.assert_array_equal(padded.iou, plain.iou)
    assert set(plain.index.numpy().ravel()) == {-1, 0, 1, 2}


def test_a_box_between_the_points_is_left_out(assign):
    boxes = np.float32([[[9.2, 9.2, 11.5, 11.5]]])  # points are multiples of 8, plus 4 of ATSS
    assert (assign(boxes, np.int32([[0]])).index.numpy() == -1).all()


def test_more_boxes_than_points(assign):
    random = np.random.default_rng(0)
    corners = random.uniform(0, 56, (1, 200, 2))
    sides = random.uniform(1, 60, (1, 200, 2))
    boxes = np.concatenate([corners, np.minimum(corners + sides, 64)], -1).astype(np.float32)
    found = assign(boxes, random.integers(0, 3, (1, 200)).astype(np.int32))
    index = found.index.numpy()
    assert ((index >= -1) & (index < 200)).all()
    assert (index >= 0).any()
    assert ((found.iou.numpy() >= 0) & (found.iou.numpy() <= 1 + FOUND)).all()


def test_equal_boxes_are_resolved_by_their_order(assign):
    boxes = np.float32([[[8, 8, 56, 56]] * 3])
    index = assign(boxes, np.int32([[1, 1, 1]])).index.numpy()
    assert set(index.ravel()) == {-1, 0}


def test_equal_costs_do_not_give_a_box_more_points():
    """All points predict the same: 4 pixels around them, and no class."""
    output = np.zeros((1, 85, 3 + 32), np.float32)
    box = np.float32([[[0, 0, 64, 64]]])
    found = by_soft_labels(box, np.int32([[0]]), output)
    priors = make_priors(NANODET_PLUS, SIZE).astype(np.float32)
    ious = pairwise_iou(tf.constant(box), decode_boxes(tf.constant(output[..., 3:]), priors))
    inside = (priors[:, :2] > 0).all(axis=1)
    assert len(np.unique(ious.numpy()[0, 0, inside])) < inside.sum() / 3
    best = np.sort(ious.numpy()[0, 0, inside])[-13:]
    assert (found.index.numpy() == 0).sum() == int(best.sum())


def test_the_same_in_a_traced_step_of_any_batch_size(assign):
    boxes = np.float32([[[2, 3, 40, 60], [30, 30, 62, 50]], [[5, 5, 50, 50], [0, 0, 0, 0]]])
    labels = np.int32([[0, 2], [1, -1]])
    eager = assign(boxes, labels)
    signature = [tf.TensorSpec((None, 2, 4), tf.float32), tf.TensorSpec((None, 2), tf.int32)]
    traced = tf.function(assign, input_signature=signature, autograph=False)(boxes, labels)
    np.testing.assert_array_equal(traced.index, eager.index)
    np.testing.assert_allclose(traced.iou, eager.iou, rtol=FOUND)
