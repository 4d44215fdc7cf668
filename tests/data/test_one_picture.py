"""A picture is the same in training, evaluation, calibration, inference and the lite runner."""

import csv
import warnings

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageFile

import keras_shufflenet as ks
from keras_shufflenet.data.decode import decode_jpeg
from keras_shufflenet.data.random_crop import DRAWS, random_resized_crop
from keras_shufflenet.inference import ImageClassifier, PosePredictor
from keras_shufflenet.inference.image_io import to_array
from tests.data.dots import annotation, coco_file
from tests.data.odd_images import SIZE, broken_images, odd_images

ODD = {name: (contents, pixels) for name, contents, pixels in odd_images()}
BROKEN = broken_images()
IN_TRAINING = ("cut.jpeg", "no_end.jpg", "thumbnail.jpg", "cut.png")  # others take the same path
WHOLE = ks.data.Augmentation(
    shift_prob=0, flip_prob=0, half_body_prob=0, rotate_prob=0, scale_factor=0
)
CODEC = ks.keypoints.HeatmapCodec((SIZE, SIZE))
SQUARE = [SIZE / 2 * 0.2, SIZE / 2 * 0.2, SIZE * 0.8, SIZE * 0.8]  # padded, the whole image
KEYPOINTS = np.full((17, 2), SIZE / 2.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    for name, (contents, _) in ODD.items():
        (folder / name).write_bytes(contents)
    with (folder / "all.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("filename", "class_index"), *((name, 0) for name in ODD)])
    return folder


@pytest.fixture(scope="module")
def people(folder):
    numbered = list(enumerate(ODD, start=1))
    images = [(number, name, (SIZE, SIZE)) for number, name in numbered]
    persons = [annotation(number, KEYPOINTS, bbox=SQUARE) for number, _ in numbered]
    return coco_file(images, persons), folder


@pytest.fixture(scope="module")
def views(folder, people):
    """The pictures (N, 48, 48, 3) as each way into the package sees them, in the order of `ODD`."""
    evaluation = ks.data.classification(
        folder / "all.csv", folder, crop_size=SIZE, resize_size=SIZE, batch_size=len(ODD)
    )
    poses = {"input_size": CODEC.input_size, "batch_size": len(ODD), "codec": CODEC}
    training = ks.data.keypoints(*people, **poses, training=True, augmentation=WHOLE)
    order = ks.data.keypoints(*people, **poses)
    dataset = ks.data.load_keypoint_dataset(*people)
    seen = []

    def model(images):
        seen.append(images)
        return np.zeros((len(images), 2))

    classifier = ImageClassifier.load(ks.inference.Predictor.load(model, (48, 48)))
    classifier = ImageClassifier(classifier.predictor, (), lambda image: np.asarray(image))
    seen.clear()
    for name in ODD:
        classifier.predict(folder / name, top=1)
    return {
        "evaluation and calibration of classifiers": next(iter(evaluation))[0].numpy(),
        "pipeline of keypoints": next(iter(order))[0].numpy(),
        "training of keypoints": next(iter(training))[0].numpy(),
        "evaluation of keypoints": np.concatenate(
            list(ks.data.person_instances(dataset, CODEC).as_numpy_iterator())
        ),
        "inference and the lite runner": np.concatenate(seen),
        "inference of an opened image": np.stack([opened(folder / name) for name in ODD]),
    }


def opened(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about broken EXIF data
        return to_array(Image.open(path))


@pytest.mark.parametrize("name", ODD)
def test_every_way_sees_the_same_picture(views, name):
    index, (_, expected) = list(ODD).index(name), ODD[name]
    for way, images in views.items():
        image = images[index]
        if way.startswith("training"):  # in another order
            image = min(images, key=lambda image: np.abs(image - expected).sum())
        np.testing.assert_allclose(image, expected, rtol=0, atol=0.01, err_msg=way)


def test_training_of_classifiers(folder, tmp_path):
    """The same draws give the same crop of a file and of a lossless copy of its pixels."""
    draws = tf.constant(np.random.default_rng(1).uniform(size=DRAWS))
    crop = tf.function(
        lambda path: random_resized_crop(path, tf.io.read_file(path), draws, (32, 32))
    )
    for name, (_, pixels) in ODD.items():
        copy = tmp_path / f"{name}.bmp"
        Image.fromarray(pixels.astype(np.uint8)).save(copy)
        crops = [crop(tf.constant(str(path))).numpy() for path in (folder / name, copy)]
        np.testing.assert_array_equal(*crops, err_msg=name)


def test_windows_of_jpegs_have_no_seams(shared):
    """A window equals that part of the whole image, at the edges too."""
    path = sorted((shared / "data" / "coco" / "images").iterdir())[0]
    whole, contents = to_array(path), tf.io.read_file(str(path))
    size = tf.constant(whole.shape[:2])
    for top, left, height, width in ((32, 64, 50, 70), (0, 16, 1, 1), (17, 31, 64, 48)):
        window = ks.data.decode.Window(
            tf.constant([top, left, height, width]), tf.constant(0), size
        )
        expected = whole[top : top + height, left : left + width]
        np.testing.assert_array_equal(decode_jpeg(contents, window), expected)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_named_everywhere(tmp_path, name, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    (tmp_path / "labels.csv").write_text(f"filename,class_index\n{name},0\n")
    people = coco_file([(1, name, (SIZE, SIZE))], [annotation(1, KEYPOINTS, bbox=SQUARE)])
    named = rf"An image must be a complete file of .* \(.*\)\. Received: \S*{name}"
    with pytest.raises(ValueError, match=named):
        to_array(path)
    streams = [ks.data.classification(tmp_path, tmp_path, crop_size=32)]
    if name in IN_TRAINING:
        streams += [
            ks.data.classification(tmp_path, tmp_path, crop_size=32, training=True, batch_size=1),
            ks.data.keypoints(people, tmp_path, input_size=(64, 64), training=True, batch_size=1),
        ]
    for stream in streams:
        with pytest.raises(tf.errors.InvalidArgumentError, match=named):
            next(iter(stream))
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize(("size", "is_stored"), [((60, 40), True), ((40, 60), False)])
def test_the_size_in_annotations_decides_about_the_turn(tmp_path, size, is_stored):
    stored = np.zeros((60, 40, 3), np.uint8)
    stored[:20] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif)
    box = [0, 0, size[1], size[0]]
    people = coco_file([(1, "a.jpg", size)], [annotation(1, KEYPOINTS, bbox=box)])
    codec = PosePredictor.load(
        lambda images: np.zeros((len(images), 16, 16, 17)), input_size=(64, 64)
    ).codec
    dataset = ks.data.load_keypoint_dataset(people, tmp_path)
    stream = ks.data.person_instances(dataset, codec)
    if is_stored:
        with pytest.warns(UserWarning, match=r"as they are stored\. Received: \S*a\.jpg"):
            [image] = next(iter(stream)).numpy()
    else:
        [image] = next(iter(stream)).numpy()
    upright = ks.keypoints.warp(
        (stored if is_stored else np.rot90(stored, -1)).astype(np.float32),
        codec.crop_matrix(*dataset.instances.center_scale((64, 64)))[0],
        (64, 64),
    )
    assert np.abs(image - upright).max() < 5


def test_arrays_beyond_the_range_are_refused():
    with pytest.raises(ValueError, match=r"numbers 0\.\.255\. Received: 0 to 40000, dtype uint16"):
        to_array(np.array([[0, 40000]], np.uint16))
