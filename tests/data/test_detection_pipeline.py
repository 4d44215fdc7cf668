"""The detection pipeline is reproducible; images and boxes stay in agreement."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_shufflenet as ks
from keras_shufflenet._layer_names import CLASS_NAMES
from keras_shufflenet.data.pipeline import file_errors, shuffled
from keras_shufflenet.detection import fit_image
from keras_shufflenet.inference.image_io import to_array
from keras_shufflenet.models._model_data import attach_data
from tests.data.odd_images import odd_images
from tests.data.rectangles import CLASSES, MOST, SCENES, coco_boxes, mirrored, write_scenes
from tests.rounding import EPSILON32

SIZE = (64, 96)
ARGUMENTS = {"input_size": SIZE, "class_names": list(CLASSES), "batch_size": 2}
COLORLESS = replace(ks.data.NANODET_PLUS_AUGMENTATION, color_prob=0)
NOTHING = replace(COLORLESS, scale=(1, 1), stretch=(1, 1), translate=0, flip_prob=0)
STEP = 255 / 32  # between the quantized positions of a warp


@pytest.fixture(scope="module")
def boxed(tmp_path_factory):
    """(annotations, image folder) of five images with rectangles."""
    folder = tmp_path_factory.mktemp("rectangles")
    return write_scenes(folder), folder


def taken(stream, count):
    """Return batches of images, boxes and labels."""
    return [
        (images, boxes["boxes"], boxes["labels"])
        for images, boxes in stream.take(count).as_numpy_iterator()
    ]


def batches(boxed, count, **arguments):
    return taken(ks.data.detection(*boxed, **ARGUMENTS | arguments), count)


@pytest.fixture(scope="module")
def training(boxed):
    """Seven batches of a training: 14 samples of 5 images."""
    return batches(boxed, 7, training=True)


@pytest.fixture(scope="module")
def plain_data(boxed):
    return ks.data.detection(*boxed, **ARGUMENTS)


@pytest.fixture(scope="module")
def stretched(plain_data):
    """All batches without training."""
    return taken(plain_data, 9)


@pytest.fixture(scope="module")
def letterboxed(boxed):
    """All batches without training that keep the aspect ratio."""
    return batches(boxed, 9, keep_ratio=True)


def assert_same(left, right):
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_shapes_and_types(plain_data, stretched, training):
    images, boxes = plain_data.element_spec
    assert (images.shape[1:], images.dtype) == ((*SIZE, 3), tf.float32)
    assert (boxes["boxes"].shape[1:], boxes["boxes"].dtype) == ((MOST, 4), tf.float32)
    assert (boxes["labels"].shape[1:], boxes["labels"].dtype) == ((MOST,), tf.int32)
    text = "annotations (5 images, 1 without a box as negatives): read 6 of 6 boxes"
    assert str(plain_data.report) == text
    assert [len(images) for images, *_ in stretched] == [2, 2, 1]
    assert [array.shape for array in training[0]] == [(2, *SIZE, 3), (2, MOST, 4), (2, MOST)]


def test_start_step_resumes_the_full_run(boxed, training):
    """2 batches are 4 of 5 images: the third has images of two epochs."""
    assert_same(training[2:], batches(boxed, 5, start_step=2, training=True))


def test_every_epoch_has_all_images_in_the_order_of_the_seed(boxed, stretched, caplog):
    plain = np.concatenate([images for images, *_ in stretched])
    names = [*CLASSES, "person", "cat"]
    made = batches(
        boxed, 4, batch_size=5, augmentation=NOTHING, training=True, seed=3, class_names=names
    )
    orders = []
    for images, *_ in made:
        same = (images[:, None] == plain).all(axis=(2, 3, 4))
        assert (same.sum(axis=0) == 1).all()
        orders += same.argmax(axis=1).tolist()
    numbers = tf.range(20, dtype=tf.int64)
    assert orders == [int(shuffled(number, 5, 3)) for number in numbers]
    assert "2 of the 4 classes have no box, and images of their objects count as" in caplog.text
    assert caplog.text.endswith("images without them: person, cat\n")


@pytest.mark.parametrize("keep_ratio", [True, False])
def test_without_training_images_are_those_of_prediction(boxed, letterboxed, stretched, keep_ratio):
    made = letterboxed if keep_ratio else stretched
    images, boxes, labels = (np.concatenate(parts) for parts in zip(*made, strict=True))
    for index, (name, _, objects) in enumerate(SCENES):
        expected, matrix = fit_image(to_array(boxed[1] / name), SIZE, keep_ratio)
        np.testing.assert_array_equal(images[index], expected)
        count = len(objects)
        assert labels[index].tolist() == [label for label, *_ in objects] + [-1] * (MOST - count)
        corners = np.reshape([each[1:] for each in objects], (-1, 2))
        points = corners @ matrix[:, :2].T + matrix[:, 2]
        found = boxes[index, :count].reshape(-1, 2)
        np.testing.assert_allclose(found, points, atol=EPSILON32 * max(SIZE))
        assert not boxes[index, count:].any()


def test_pixels_of_odd_files_are_those_of_prediction(tmp_path):
    files = list(odd_images())
    for name, contents, _ in files:
        (tmp_path / name).write_bytes(contents)
    scenes = [(name, pixels.shape[:2], [(0, 1, 1, 20, 20)]) for name, _, pixels in files]
    made = batches((coco_boxes(scenes), tmp_path), 99, class_names=["red thing"])
    images = np.concatenate([images for images, *_ in made])
    for (name, *_), image in zip(files, images, strict=True):
        expected, _ = fit_image(to_array(tmp_path / name), SIZE, keep_ratio=False)
        np.testing.assert_array_equal(image, expected, err_msg=name)


@pytest.mark.parametrize("keep_ratio", [True, False])
def test_boxes_are_where_the_rectangles_are(boxed, keep_ratio):
    compared = 0
    for images, boxes, labels in batches(
        boxed, 5, training=True, augmentation=COLORLESS, keep_ratio=keep_ratio, batch_size=8
    ):
        for sample, place in np.argwhere(labels >= 0):
            shows = images[sample, ..., (0, 2)[labels[sample, place]]] > 255 / 2
            columns, rows = np.flatnonzero(shows.any(axis=0)), np.flatnonzero(shows.any(axis=1))
            bounds = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            assert np.abs(boxes[sample, place] - bounds).max() <= 1
            compared += 1
    assert compared > 30


def test_a_flipped_image_is_the_image_in_a_mirror(boxed, tmp_path):
    """Whatever else is done to it."""
    mirror = write_scenes(tmp_path, mirrored()), tmp_path
    views = replace(COLORLESS, flip_prob=0)
    flipped = batches(boxed, 3, training=True, augmentation=replace(views, flip_prob=1))
    plain = batches(mirror, 3, training=True, augmentation=views)
    for one, other in zip(flipped, plain, strict=True):
        difference = np.abs(one[0] - other[0])  # where a position is rounded up in one of them
        assert difference.max() <= STEP + 1
        assert (difference > 0).mean() < 0.01
        np.testing.assert_allclose(one[1], other[1], atol=2 * EPSILON32 * max(SIZE))
        np.testing.assert_array_equal(one[2], other[2])


def test_what_a_model_decides(boxed, letterboxed):
    x = inputs = keras.Input((*SIZE, 1))
    x = attach_data(x, CLASS_NAMES, list(CLASSES))
    x = keras.layers.Dense(126 * 34)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, keras.layers.Reshape((126, 34))(x), name="finder")  # NanoDet's
    by_model = {"model": model, "class_names": None, "input_size": None}
    ((luma, boxes, labels),) = batches(boxed, 1, **by_model)
    assert_same([letterboxed[0][1:]], [(boxes, labels)])
    gray = letterboxed[0][0] @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(luma[..., 0], gray, atol=4 * EPSILON32 * 255)
    with pytest.raises(ValueError, match=r"must be the 2 classes of finder\. Received: 1 names"):
        ks.data.detection(*boxed, model=model, class_names=["person"])
    variable = keras.Sequential([keras.Input((None, 96, 3)), keras.layers.Conv2D(34, 1)])
    with pytest.raises(ValueError, match=r"variable input size\. Received: input_size=None"):
        ks.data.detection(*boxed, model=variable)


def test_a_broken_image_is_named(tmp_path):
    content = write_scenes(tmp_path)
    path = tmp_path / SCENES[1][0]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"complete file of .*Received: \S*b\.png$"), file_errors():
        batches((content, tmp_path), 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"start_step": -1}, "Received: start_step=-1"),
        ({"input_size": (96,)}, r"Received: input_size=\(96,\)"),
        ({"keep_ratio": "yes"}, "Received: keep_ratio='yes'"),
        ({"class_names": "red"}, "Received: class_names='red'"),
        ({"filter_empty_images": 1}, "Received: filter_empty_images=1"),
        ({"image_dir": None}, "Received: image_dir=None"),
    ],
)
def test_invalid_arguments(boxed, changes, message):
    arguments = {"annotations": boxed[0], "image_dir": boxed[1], "class_names": list(CLASSES)}
    with pytest.raises(ValueError, match=message):
        ks.data.detection(**arguments | changes)


def test_a_dataset_instead_of_files(boxed, stretched):
    dataset = ks.data.load_detection_dataset(*boxed, class_names=list(CLASSES))
    assert_same(stretched[1:], batches((dataset,), 9, class_names=None, start_step=1))
    with pytest.raises(ValueError, match=r"the classes of the detector, cat\. Received: red thing"):
        ks.data.detection(dataset, class_names=["cat"])
