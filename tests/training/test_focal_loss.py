"""RetinaNet's criterion: equality with a plain implementation in NumPy, and with torchvision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_shufflenet.detection import decode
from keras_shufflenet.detection.box_codes import decode_deltas
from keras_shufflenet.detection.priors import RETINANET
from keras_shufflenet.training.criteria import CRITERIA, FocalLossCriterion
from keras_shufflenet.training.detection_recipes import DETECTION_RECIPES
from keras_shufflenet.training.focal_loss import assign_anchors, encode_deltas
from tests.rounding import EPSILON32

SIZE, CLASSES = (96, 128), 3
ROUNDING = 64 * EPSILON32  # of sums of some thousand terms


@pytest.fixture(scope="module")
def criterion() -> FocalLossCriterion:
    return FocalLossCriterion(RETINANET, SIZE)


@pytest.fixture(scope="module")
def batch(criterion) -> tuple[np.ndarray, ...]:
    """Boxes, labels and outputs: six boxes in the last image, some of them small, else fewer."""
    draw = np.random.default_rng(0)
    centers, sizes = draw.uniform(0, [128, 96], (4, 6, 2)), draw.uniform(6, 90, (4, 6, 2))
    boxes = np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=-1)
    boxes = boxes.clip(0, [128, 96, 128, 96]).astype(np.float32)
    labels = draw.integers(0, CLASSES, (4, 6)).astype(np.int32)
    for image, count in enumerate((4, 2, 1)):
        labels[image, count:] = -1
    boxes[labels < 0] = 0
    outputs = draw.normal(0, 1, (4, len(criterion.priors), CLASSES + 4)).astype(np.float32)
    outputs[..., :CLASSES] -= 2
    return boxes, labels, outputs


def area(box) -> np.float32:
    return (box[2] - box[0]) * (box[3] - box[1])


def iou(box, other) -> np.float32:
    sides = [min(box[axis + 2], other[axis + 2]) - max(box[axis], other[axis]) for axis in (0, 1)]
    if min(sides) <= 0:
        return np.float32(0)
    shared = sides[0] * sides[1]
    return shared / (area(box) + area(other) - shared)


def plain_assignment(priors, boxes, labels) -> np.ndarray:
    """Index of the box, -1 for background, -2 for none; as mmdet's MaxIoUAssigner."""
    halves = priors[:, 2:] / 2
    anchors = np.concatenate([priors[:, :2] - halves, priors[:, :2] + halves], axis=1)
    real = np.flatnonzero(labels >= 0)
    ious = np.array([[iou(boxes[index], anchor) for index in real] for anchor in anchors])
    assigned = np.full(len(anchors), -1)
    for row, values in enumerate(ious):
        if values.max() >= 0.5:
            assigned[row] = real[values.argmax()]
        elif values.max() >= 0.4:
            assigned[row] = -2
    for column, index in enumerate(real):
        assigned[ious[:, column] == ious[:, column].max()] = index
    return assigned


def test_assignment_equals_a_plain_one(criterion, batch):
    boxes, labels, _ = batch
    anchors = decode_deltas(np.zeros((len(criterion.priors), 4)), criterion.priors)
    found = np.asarray(assign_anchors(anchors.astype(np.float32), boxes, labels))
    for image in range(len(boxes)):
        expected = plain_assignment(criterion.priors, boxes[image], labels[image])
        np.testing.assert_array_equal(found[image], expected)
    # The numbers of torchvision 0.28, `Matcher(0.5, 0.4, allow_low_quality_matches=True)`.
    np.testing.assert_array_equal((found >= 0).sum(axis=1), [12, 4, 27, 139])
    np.testing.assert_array_equal((found == -2).sum(axis=1), [15, 6, 50, 260])


def test_losses_equal_plain_ones(criterion, batch):
    boxes, labels, outputs = batch
    focal, l1, positives = 0.0, 0.0, 0
    for image, rows in enumerate(outputs.astype(np.float64)):
        assigned = plain_assignment(criterion.priors, boxes[image], labels[image])
        for prior, row, index in zip(criterion.priors, rows, assigned, strict=True):
            if index == -2:
                continue
            for number in range(CLASSES):
                score = 1 / (1 + np.exp(-row[number]))
                if index >= 0 and labels[image, index] == number:
                    focal -= 0.25 * (1 - score) ** 2 * np.log(score)
                else:
                    focal -= 0.75 * score**2 * np.log(1 - score)
            if index >= 0:
                positives += 1
                left, top, right, bottom = boxes[image, index].astype(np.float64)
                x, y, width, height = prior.astype(np.float64)
                target = [
                    ((left + right) / 2 - x) / width,
                    ((top + bottom) / 2 - y) / height,
                    np.log((right - left) / width),
                    np.log((bottom - top) / height),
                ]
                l1 += np.abs(row[CLASSES:] - target).sum()
    found = criterion(boxes, labels, [keras.ops.convert_to_tensor(outputs)])
    assert list(found) == criterion.parts(1)
    assert float(found["focal"]) == pytest.approx(focal / positives, rel=ROUNDING)
    assert float(found["l1"]) == pytest.approx(l1 / positives, rel=ROUNDING)


@pytest.mark.parametrize(
    ("image", "focal", "l1"),
    [(0, 103.1493988, 38.39327145), (1, 101.20590973, 10.03810692), (2, 108.85052204, 88.10079432)],
)
def test_sums_of_an_image_equal_torchvision(criterion, batch, image, focal, l1):
    """RetinaNetClassificationHead and RetinaNetRegressionHead of torchvision 0.28.

    Of the last image an anchor is the closest one of a box that overlaps it less than another,
    which has the anchor in torchvision.
    """
    boxes, labels, outputs = (array[image : image + 1] for array in batch)
    found = criterion(boxes, labels, [keras.ops.convert_to_tensor(outputs)])
    positives = (12, 4, 27)[image]
    assert float(found["focal"]) * positives == pytest.approx(focal, rel=ROUNDING)
    assert float(found["l1"]) * positives == pytest.approx(l1, rel=ROUNDING)


def test_an_image_without_boxes_is_background(criterion, batch):
    _, _, outputs = batch
    boxes, labels = np.zeros((1, 2, 4), np.float32), np.full((1, 2), -1, np.int32)
    found = criterion(boxes, labels, [keras.ops.convert_to_tensor(outputs[:1])])
    scores = 1 / (1 + np.exp(-outputs[0, :, :CLASSES].astype(np.float64)))
    expected = -(0.75 * scores**2 * np.log(1 - scores)).sum()
    assert float(found["focal"]) == pytest.approx(expected, rel=ROUNDING)
    assert float(found["l1"]) == 0


def test_deltas_are_the_inverse_of_decoding(criterion):
    draw = np.random.default_rng(1)
    priors = criterion.priors[draw.integers(0, len(criterion.priors), 20)]
    low = draw.uniform(0, 60, (20, 2))
    boxes = np.concatenate([low, low + draw.uniform(8, 60, (20, 2))], axis=1)
    deltas = np.asarray(encode_deltas(boxes.astype(np.float32), priors), np.float64)
    np.testing.assert_allclose(decode_deltas(deltas, priors), boxes, atol=256 * EPSILON32)


def test_outputs_without_loss_are_decoded_to_the_boxes():
    """Gradients of the losses alone lead there."""
    criterion = CRITERIA[RETINANET](RETINANET, (64, 64))
    boxes = np.array([[[4, 8, 36, 40], [30, 20, 62, 60], [0, 0, 0, 0]]], np.float32)
    labels = np.array([[1, 0, -1]], np.int32)
    start = np.zeros((1, len(criterion.priors), 2 + 4), np.float32)
    start[..., :2] = -4.6
    outputs = tf.Variable(start)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.3, 100))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = sum(criterion(boxes, labels, [outputs]).values())
        optimizer.apply([tape.gradient(loss, outputs)], [outputs])

    optimizer.build([outputs])
    for _ in range(100):
        step()
    found = decode(outputs[0].numpy(), (64, 64), score_threshold=0.7)
    np.testing.assert_allclose(found.boxes[np.argsort(found.classes)], boxes[0, [1, 0]], atol=1)


def test_the_recipe_divides_the_rate_twice():
    schedule = DETECTION_RECIPES["retinanet"](epochs=9).make_optimizer(90_000)._learning_rate
    rates = [float(schedule(step)) for step in (0, 500, 59_999, 60_000, 80_000)]
    assert rates == pytest.approx([1e-2 / 3, 1e-2, 1e-2, 1e-3, 1e-4])
