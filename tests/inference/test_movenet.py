"""MoveNet files as predictors of keypoints in crops."""

import numpy as np
import pytest
import tensorflow as tf

from keras_shufflenet.inference.movenet import MoveNet

SIZE = 64


@pytest.fixture(scope="module")
def movenet(tmp_path_factory):
    """A file that finds all keypoints at the center of brightness, with score 0.5."""

    @tf.function(input_signature=[tf.TensorSpec((1, SIZE, SIZE, 3), tf.int32)])
    def network(image):
        brightness = tf.reduce_sum(tf.cast(image[0], tf.float32), axis=-1)
        grid = (tf.range(SIZE, dtype=tf.float32) + 0.5) / SIZE
        total = tf.reduce_sum(brightness)
        y = tf.reduce_sum(brightness * grid[:, None]) / total
        x = tf.reduce_sum(brightness * grid[None]) / total
        return tf.tile(tf.stack([y, x, 0.5])[None], (17, 1))[None, None]

    concrete = network.get_concrete_function()
    path = tmp_path_factory.mktemp("movenet") / "movenet.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert())
    return path


@pytest.mark.parametrize("flip_test", [False, True])
def test_keypoints_are_mapped_to_the_image(movenet, flip_test):
    network = MoveNet.load(movenet, flip_test)
    assert network.codec.input_size == (SIZE, SIZE)
    crops = np.zeros((2, SIZE, SIZE, 3), np.float32)
    crops[0, 10, 20] = crops[1, 50, 7] = 255
    # Boxes of 100 × 100 pixels around (60, 80), without padding; scales are in units of 200.
    centers, scales = np.full((2, 2), (60, 80)), np.full((2, 2), 0.5)
    found = network.predict_crops(crops, centers, scales)
    assert found.shape == (2, 17, 3)
    expected = np.array([60, 80]) - 50 + np.array([[20, 10], [7, 50]]) * 100 / SIZE
    np.testing.assert_allclose(found[..., :2], expected[:, None].repeat(17, axis=1), atol=1e-3)
    np.testing.assert_allclose(found[..., 2], 0.5)


def test_other_files_are_refused(tmp_path):
    function = tf.function(lambda x: x + 1.0).get_concrete_function(tf.TensorSpec((1, 8, 8, 3)))
    path = tmp_path / "other.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())
    with pytest.raises(ValueError, match=r"must be a single-pose MoveNet\. Received: .*other"):
        MoveNet.load(path)
