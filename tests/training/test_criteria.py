"""The losses of detectors: the reference's values and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_shufflenet.detection.priors import NANODET, NANODET_PLUS
from keras_shufflenet.training import criteria
from keras_shufflenet.training.criteria import CRITERIA, DynamicSoftLabelCriterion, find_criterion
from keras_shufflenet.training.label_assignment import Assignment

DESIGNS = {"nanodet_m": NANODET, "nanodet_plus_m": NANODET_PLUS}
NAMES = {"loss_qfl": "qfl", "loss_bbox": "giou", "loss_dfl": "dfl"}


def reference_assignment(golden, name, points):
    """The reference's own assignment, with a row of padding before the boxes."""
    index = np.full((3, points), -1, np.int32)
    iou = np.zeros((3, points), np.float32)
    for image, found in enumerate(golden[name]["assignment"]):
        for point, box, value in found:
            index[image, point], iou[image, point] = box + 1, value
    return Assignment(tf.constant(index), tf.constant(iou))


@pytest.mark.parametrize("name", DESIGNS)
def test_losses_and_gradient_equal_the_reference(golden_losses, synth, name, monkeypatch):
    golden, boxes, labels = golden_losses
    arrays = {key: synth.synth_input(*given) for key, given in golden[name]["inputs"].items()}
    outputs = [
        np.concatenate([arrays[prefix + "cls"], arrays[prefix + "reg"]], axis=-1)
        for prefix in ("", "aux_")
        if f"{prefix}cls" in arrays
    ]
    if name == "nanodet_m":  # whose candidates depend on the order of points equally far
        given = reference_assignment(golden, name, outputs[0].shape[1])
        monkeypatch.setattr(criteria, "atss", lambda *_: given)
    criterion = CRITERIA[DESIGNS[name]](DESIGNS[name], (320, 320))
    main, *others = map(tf.Variable, outputs)
    with tf.GradientTape() as tape:
        parts = criterion(tf.constant(boxes), tf.constant(labels), [main, *others])
        loss = sum(parts.values())
    expected = golden[name]
    assert list(parts) == criterion.parts(len(outputs))
    for theirs, value in expected["states"].items():
        ours = NAMES[theirs.removeprefix("aux_")]
        key = f"auxiliary_{ours}" if theirs.startswith("aux_") else ours
        assert float(parts[key]) == pytest.approx(value, rel=1e-4), key
    assert float(loss) == pytest.approx(expected["loss"], rel=1e-4)
    gradient = tape.gradient(loss, main).numpy()
    assert gradient.sum() == pytest.approx(expected["grad_sum"], rel=1e-4)
    assert np.abs(gradient).sum() == pytest.approx(expected["grad_abs_sum"], rel=1e-4)


@pytest.mark.parametrize("name", DESIGNS)
def test_a_batch_without_boxes_trains_the_classes_alone(name):
    design = DESIGNS[name]
    criterion = CRITERIA[design](design, (64, 64))
    output = tf.Variable(np.random.default_rng(0).normal(size=(2, len(criterion.priors), 35)))
    output = tf.Variable(tf.cast(output, tf.float32))
    with tf.GradientTape() as tape:
        parts = criterion(np.zeros((2, 1, 4), np.float32), np.full((2, 1), -1, np.int32), [output])
        loss = sum(parts.values())
    assert float(parts["giou"]) == float(parts["dfl"]) == 0
    assert float(parts["qfl"]) > 0
    gradient = tape.gradient(loss, output).numpy()
    assert np.isfinite(gradient).all()
    assert (gradient[..., 3:] == 0).all()
    assert (gradient[..., :3] > 0).all()


def test_logits_far_from_zero_are_no_infinities():
    criterion = CRITERIA[NANODET_PLUS](NANODET_PLUS, (64, 64))
    for logit in (-1e4, 1e4):
        output = tf.Variable(np.full((1, 85, 35), logit, np.float32))
        with tf.GradientTape() as tape:
            parts = criterion(np.float32([[[0, 0, 40, 40]]]), np.int32([[1]]), [output])
            loss = sum(parts.values())
        assert np.isfinite(float(loss))
        assert np.isfinite(tape.gradient(loss, output).numpy()).all()


@pytest.mark.parametrize(
    ("size", "priors", "message"),
    [
        ((64, 64), 85, None),
        ((64, 64), 86, "must have .* rows.*Received: 86 rows"),
        ((None, None), 85, r"fixed input size.*Received: tiny with .*\(None, None, None, 3\)"),
    ],
)
def test_the_output_decides(size, priors, message):
    image = keras.Input((*size, 3))
    x = keras.layers.GlobalAveragePooling2D()(image)
    x = keras.layers.RepeatVector(priors)(x)
    model = keras.Model(image, keras.layers.Dense(34)(x), name="tiny")
    if message is None:
        assert isinstance(find_criterion(model), DynamicSoftLabelCriterion)
    else:
        with pytest.raises(ValueError, match=message):
            find_criterion(model)


def test_a_classifier_is_no_detector():
    image = keras.Input((64, 64, 3))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image), name="tiny")
    with pytest.raises(ValueError, match=r"must be a detector.*output shape \(None, 3\)"):
        find_criterion(model)
