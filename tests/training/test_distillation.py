"""Targets of a teacher: mixed with labels, alone where there is no label."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_shufflenet.keypoints import HeatmapCodec, skeletons
from keras_shufflenet.models._model_data import attach_encoding, attach_skeleton
from keras_shufflenet.training import Teacher, recipes, train_pose
from keras_shufflenet.training.distillation import with_teacher
from tests.rounding import EPSILON32
from tests.shortcuts import eager_training

NAMES = skeletons.get("coco").keypoint_names


def teacher_of_planes(images):
    """Predict what each crop shows: the mean of 4 × 4 pixels, the same for all keypoints."""
    count, height, width, _ = images.shape
    means = images.mean(axis=-1).reshape(count, height // 4, 4, width // 4, 4).mean(axis=(2, 4))
    return np.repeat(means[..., None], 17, axis=-1) / 255


@pytest.fixture
def batch():
    random = np.random.default_rng(0)
    crops = random.uniform(0, 255, (2, 32, 24, 3)).astype("float32")
    heatmaps = random.uniform(0, 1, (2, 8, 6, 17)).astype("float32")
    weights = np.ones((2, 1, 1, 17), "float32")
    weights[0, ..., :5] = 0
    weights[1, ..., 3] = 1.5
    return crops, heatmaps, weights


CODEC = HeatmapCodec((32, 24))


def mixed(batch, teacher):
    dataset = with_teacher(tf.data.Dataset.from_tensors(batch), teacher, NAMES, CODEC)
    return [part.numpy() for part in next(iter(dataset))]


@pytest.mark.parametrize("flip_test", [False, True])
def test_labels_and_predictions_are_mixed(batch, flip_test):
    crops, heatmaps, weights = batch
    images, targets, found = mixed(batch, Teacher(teacher_of_planes, 0.7, flip_test))
    np.testing.assert_array_equal(images, crops)
    predicted = teacher_of_planes(crops)
    if flip_test:  # mirrored heatmaps are shifted by a pixel, as in mmpose
        mirrored = np.concatenate([predicted[:, :, :1], predicted[:, :, :-1]], axis=2)
        predicted = (predicted + mirrored) / 2
    is_labeled = weights > 0
    np.testing.assert_array_equal(found, np.where(is_labeled, weights, np.float32(0.7)))
    expected = np.where(is_labeled, 0.3 * heatmaps + 0.7 * predicted, predicted)
    np.testing.assert_allclose(targets, expected, rtol=0, atol=8 * EPSILON32)


def test_a_teacher_of_another_size_is_resized(batch):
    image = keras.Input((64, 48, 3))
    x = keras.layers.AveragePooling2D(4)(image)
    x = keras.layers.Conv2D(17, 1, kernel_initializer="ones", use_bias=False)(x)
    teacher = keras.Model(image, x / 765, name="teacher")
    crops = np.full_like(batch[0], 102)
    _, targets, _ = mixed((crops, *batch[1:]), Teacher(teacher, 1.0))
    np.testing.assert_allclose(targets, 0.4, rtol=0, atol=8 * EPSILON32)


@pytest.mark.parametrize(
    ("size", "encoding"),
    [
        *(((32, 24), "msra"), ((64, 48), "msra"), ((48, 36), "unbiased"), ((96, 72), "msra")),
        ((29, 21), "udp"),  # four pixel intervals of the crop are one of the heatmap
    ],
)
@pytest.mark.parametrize("axis", [1, 2])
def test_keypoints_stay_where_they_are(batch, size, encoding, axis):
    """A teacher that reads a ramp at its pixels; scaled about a corner, it would be 0.5 off."""
    image = keras.Input((*size, 3))
    x = keras.layers.Conv2D(17, 1, 4, kernel_initializer="ones", use_bias=False)(image)
    teacher = Teacher(keras.Model(image, attach_encoding(x, encoding) / 3), 1.0)
    crops, heatmaps, weights = batch
    ramp = np.moveaxis(np.arange(crops.shape[axis], dtype="float32")[:, None, None, None], 0, axis)
    _, targets, _ = mixed((np.zeros_like(crops) + ramp, heatmaps, weights), teacher)
    wanted = np.zeros_like(targets) + 4 * ramp.take(np.arange(targets.shape[axis]), axis)
    inside = np.s_[:, 2:-2, 2:-2]  # not what is beyond the crop
    np.testing.assert_allclose(targets[inside], wanted[inside], rtol=0, atol=0.03)


def test_a_teacher_of_another_aspect_ratio(batch):
    image = keras.Input((32, 32, 3))
    teacher = keras.Model(image, keras.layers.Conv2D(17, 4, 4)(image), name="square")
    with pytest.warns(
        UserWarning, match=r"square sees .* stretched.* 32 × 32 for crops of 32 × 24"
    ):
        _, targets, _ = mixed(batch, Teacher(teacher))
    assert targets.shape == batch[1].shape


def test_errors(batch, tmp_path):
    with pytest.raises(ValueError, match=r"between 0 and 1\. Received: weight=1\.5"):
        Teacher(teacher_of_planes, 1.5)
    with pytest.raises(ValueError, match=r"`flip_test` must be .*Received: flip_test='no'"):
        Teacher(teacher_of_planes, flip_test="no")
    with pytest.raises(FileNotFoundError, match="Received"):
        mixed(batch, Teacher(tmp_path / "none.onnx"))
    with pytest.raises(ValueError, match=r"keypoints a, b\. Received: teacher_of_planes"):
        with_teacher(
            tf.data.Dataset.from_tensors(batch), Teacher(teacher_of_planes), ("a", "b"), CODEC
        )


def test_a_training_learns_from_its_teacher(people, tmp_path):
    image = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(17, 4, 4, name="head_heatmaps")(image)
    student = keras.Model(image, attach_skeleton(x, skeletons.get("coco")))
    recipe = recipes.distill(1, 12, 1e-3)
    with eager_training():
        (row,) = train_pose(
            student, [people], tmp_path, recipe, teacher=Teacher(teacher_of_planes), verbose=0
        )
        assert np.isfinite(row["loss"])
        with pytest.raises(ValueError, match=r"teacher\.weight was 0\.5 and is 0\.6"):
            train_pose(student, [people], tmp_path, recipe, teacher=Teacher(teacher_of_planes, 0.6))
