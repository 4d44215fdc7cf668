"""Images with classes from tf.data and other iterables: the batches of the same images in files."""

import functools
from itertools import cycle

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_shufflenet as ks
from keras_shufflenet.data.elements import labeled_elements, parts_of
from keras_shufflenet.data.pipeline import iterate_arrays
from keras_shufflenet.export.qat.process import training_batches

COUNT = 5
ARGUMENTS = {"crop_size": (24, 16), "resize_size": 28, "batch_size": 2}
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 40, 30, 3), np.uint8)
CLASSES = np.array([0, 0, 1, 2, 2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    for number, (image, index) in enumerate(zip(IMAGES, CLASSES, strict=True)):
        (folder / str(index)).mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / str(index) / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    """All batches of the files."""
    return list(ks.data.classification(folder, **ARGUMENTS).as_numpy_iterator())


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(2 * index, 2 * index + 2)
        return IMAGES[rows], CLASSES[rows]


def pairs():
    return list(zip(IMAGES, CLASSES, strict=True))


def tensors():
    return tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES))


def named():
    return tf.data.Dataset.from_tensor_slices({"image": IMAGES, "label": CLASSES, "id": CLASSES})


SOURCES = {
    "tf.data": (tensors, 3),
    "tf.data of batches": (lambda: tensors().batch(4).prefetch(1), 3),
    "tf.data of changed batches": (lambda: tensors().batch(4).map(lambda x, y: (x, y)), None),
    "tf.data of full batches": (lambda: tensors().take(4).batch(2, drop_remainder=True), 2),
    "tf.data of dictionaries": (named, 3),
    "tf.data of batches of dictionaries": (lambda: named().batch(3), 3),
    "tf.data of floats": (lambda: tensors().map(lambda x, y: (tf.cast(x, "float32"), y)), 3),
    "list": (pairs, 3),
    "list of dictionaries": (lambda: [{"image": x, "label": y} for x, y in pairs()], 3),
    "generator": (lambda: iter(pairs()), None),
    "generator function": (lambda: lambda: iter(pairs()), None),
    "arrays": (lambda: (IMAGES, CLASSES), 3),
    "list of batches": (lambda: [(IMAGES[:3], CLASSES[:3]), (IMAGES[3:], CLASSES[3:])], 3),
    "ragged tf.data": (lambda: tensors().ragged_batch(2), None),
    "PyDataset": (Batches, 3),
    "arrays of keras.datasets": (lambda: (IMAGES, CLASSES[:, None]), 3),
    "list of classes of shape (1,)": (lambda: list(zip(IMAGES, CLASSES[:, None], strict=True)), 3),
    "tf.data of classes of shape (1,)": (
        lambda: tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES[:, None])),
        3,
    ),
    "dictionary of arrays": (lambda: {"images": IMAGES, "labels": CLASSES}, 3),
}


@pytest.mark.parametrize("name", SOURCES)
def test_batches_are_those_of_files(expected, name):
    make, length = SOURCES[name]
    data = ks.data.classification(make(), **ARGUMENTS)
    if length is not None:
        assert len(data) == length
    found = list(data.as_numpy_iterator())
    for one, other in zip(found, expected[: len(found)], strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    assert len(found) >= 2


def test_a_dark_image_of_floats_is_no_fraction():
    dark = np.zeros((20, 20, 3), np.float32)
    dark[0, 0] = 1
    [(image, _)] = labeled_elements([(dark, 0)])
    np.testing.assert_array_equal(image, dark)


def test_images_of_different_sizes_and_of_gray():
    images = [np.full((20 + n, 30, 1 if n else 3), 9 * n, np.uint8) for n in range(3)]
    [(batch, classes)] = ks.data.classification(
        [(image, n) for n, image in enumerate(images)], crop_size=16
    ).as_numpy_iterator()
    assert batch.shape == (3, 16, 16, 3)
    assert batch[:, 8, 8].tolist() == [[0, 0, 0], [9, 9, 9], [18, 18, 18]]
    assert classes.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["tf.data", "generator function"])
def test_training_is_endless_and_repeatable(name):
    make, _ = SOURCES[name]

    def batches(**more):
        data = ks.data.classification(make(), training=True, seed=3, **ARGUMENTS, **more)
        assert data.cardinality() == tf.data.INFINITE_CARDINALITY
        return list(data.take(6).as_numpy_iterator())

    first, again, later = batches(), batches(), batches(start_step=2)
    assert first[0][0].shape == (2, 24, 16, 3)
    classes = np.concatenate([labels for _, labels in first])
    assert sorted(classes[:COUNT]) == sorted(CLASSES)  # an epoch has each once
    for one, other in zip([*first, *first[2:]], [*again, *later[:4]], strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


ONCE = iter(pairs())
WRONG = {
    "number": (3, "path of a csv file or a folder.*source of type int"),
    "nothing": (None, "source of type NoneType"),
    "empty": ([], "at least one image. Received: none"),
    "images alone": (tf.data.Dataset.from_tensors(IMAGES), r"Received: \(.*\(5, 40, 30, 3\)\)"),
    "array": (IMAGES, r"images with classes.*\(5, 40, 30, 3\)"),
    "no class": ([{"image": IMAGES[0]}], "a dictionary with 'image'"),
    "no image": ([("a", 1)], r"images \(H, W, 3\).*Received: \('a', 1\)"),
    "fractions": ([(IMAGES[0] / 255, 1)], r"images in 0\.\.255\. Received: 0 to 1"),
    "negative": ([(IMAGES[0] / 1.0 - 128, 1)], r"images in 0\.\.255\. Received: -128"),
    "one-hot": ([(IMAGES, np.eye(5))], r"an integer from 0; .*one-hot: use argmax.*\(5, 5\)"),
    "one-hot of one image": ([(IMAGES[0], np.eye(5)[0])], r"one-hot: use argmax.*\(5,\)"),
    "weights": ([(IMAGES[0], 1, 0.5)], r"without sample weights\. Received: .* 1, 0\.5\)"),
    "weights of arrays": ((IMAGES, CLASSES, np.ones(5)), r"sample weights.*\(5,\), ndarray \(5,\)"),
    "text": ([(IMAGES[0], "cat")], "class for each image"),
    "channels": ([(IMAGES[0, :, :, :2], 1)], r"\(40, 30, 2\)"),
    "unknown class": ([(IMAGES[0], -1)], r"an integer from 0\. Received: .*-1"),
    "huge class": ([(IMAGES[0], 2**63)], r"an integer from 0\. Received: .*9223372036854775808"),
    "no pixels": ([(IMAGES[0, :0], 1)], r"\(0, 30, 3\)"),
    "sizes in a batch": ([([IMAGES[0], IMAGES[1, :9]], [0, 1])], "images of one size in a batch"),
    "no new iterator": (functools.partial(next, cycle([ONCE])), "a new iterator whenever it is"),
    "fewer classes": ([(IMAGES, CLASSES[:3])], "of a batch. Received: 5 images and 3 classes"),
    "more classes": (
        lambda: tensors().ragged_batch(5).map(lambda x, y: (x, tf.concat([y, y], 0))),
        "of a batch. Received: 5 images and 10 classes",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_types_are_told_in_our_words(name):
    source, reason = WRONG[name]
    with pytest.raises(ValueError, match=rf"`source` must .*{reason}"):
        ks.data.classification(source, **ARGUMENTS)


def test_a_wrong_element_later_on_is_told_in_our_words():
    data = ks.data.classification([*pairs(), (IMAGES[0], "cat")], **ARGUMENTS)
    with pytest.raises(ValueError, match=r"^`source` must yield a class .* 'cat'\)$"):
        list(iterate_arrays(data))


@pytest.mark.parametrize("error", [KeyError("no 'b'"), ValueError("bad"), OSError(5, "disk")])
def test_an_error_of_the_source_is_raised_as_it_is(error):
    def broken():
        yield from pairs()
        raise error

    data = ks.data.classification(broken, **ARGUMENTS)
    with pytest.raises(type(error)) as caught:
        list(iterate_arrays(data))
    assert caught.value is error
    with pytest.raises(type(error)) as caught:
        ks.metrics.imagenet(lambda x: x.mean((1, 2)), broken, crop_size=24, verbose=False)
    assert caught.value is error


def test_what_can_be_read_once_is_not_read_twice():
    data = ks.data.classification(iter(pairs()), **ARGUMENTS)
    assert len(list(iterate_arrays(data.take(1)))) == 1
    with pytest.raises(ValueError, match=r"at least one image whenever it is read.*is exhausted"):
        list(iterate_arrays(data))
    with pytest.raises(ValueError, match=r"at least one image .*that is empty"):
        list(iterate_arrays(ks.data.classification(iter([]), **ARGUMENTS)))


def test_batches_of_odd_sizes_are_counted():
    class Odd(Batches):
        def __getitem__(self, index):
            return IMAGES[: index + 1], CLASSES[: index + 1]

    with pytest.raises(ValueError, match=r"of one size but for the last. Received: 6 images"):
        list(iterate_arrays(ks.data.classification(Odd(), **ARGUMENTS)))


@pytest.mark.parametrize("name", ["tf.data", "tf.data of batches", "tf.data of changed batches"])
def test_a_dataset_without_end(name):
    endless = SOURCES[name][0]().repeat()
    data = ks.data.classification(endless, **ARGUMENTS)
    assert data.cardinality() == tf.data.INFINITE_CARDINALITY
    with pytest.raises(ValueError, match=r"`source` must have an end.*which is infinite"):
        ks.metrics.imagenet(lambda x: x, endless, crop_size=24, verbose=False)


def test_what_only_files_have():
    with pytest.raises(ValueError, match=r"`shard` must be \(0, 1\)"):
        ks.data.classification(pairs(), shard=(0, 2), **ARGUMENTS)
    with pytest.raises(ValueError, match="`image_dir` must not be given"):
        ks.data.classification(pairs(), "images", **ARGUMENTS)
    with pytest.raises(ValueError, match="iterable again and again for training"):
        ks.data.classification(iter(pairs()), training=True, **ARGUMENTS)
    mixing = ks.data.ClassificationAugmentation(mixup_alpha=0.2)
    with pytest.raises(ValueError, match="must neither mix nor repeat"):
        ks.data.classification(pairs(), training=True, augmentation=mixing, **ARGUMENTS)
    with pytest.raises(ValueError, match="source of type list"):
        ks.data.load_classification_dataset(pairs())


@pytest.mark.parametrize("name", ["tf.data of batches", "list", "generator"])
def test_evaluation(folder, name):
    def model(images):
        return images.mean((1, 2))  # the class is the channel that is brightest on average

    metrics = ks.metrics.imagenet(model, SOURCES[name][0](), crop_size=24, verbose=False)
    files = ks.metrics.imagenet(model, folder, crop_size=24, verbose=False)
    assert metrics == files
    assert metrics["count"] == COUNT
    with pytest.raises(ValueError, match=r"one of the 3 of model, .*Received: class 7"):
        ks.metrics.imagenet(model, [(IMAGES[0], 7)], crop_size=24, verbose=False)


@pytest.mark.parametrize("name", ["tf.data", "tf.data of dictionaries", "tf.data of batches"])
def test_labels_of_quantization_aware_training(name):
    def targets(images, labels):
        return {"count": len(images), "labels": labels[0].tolist()}

    batches = training_batches(SOURCES[name][0](), IMAGES.shape[1:], targets)
    first = next(batches)
    assert first["labels"] == CLASSES[: first["count"]].tolist()


def test_parts_of_elements():
    assert parts_of({"image": 1, "label": 2}) == [1, 2]
    assert parts_of({"input": 1}) == [{"input": 1}]
    assert parts_of((1, 2, 3)) == [1, 2, 3]
    assert parts_of(1) == [1]
    assert [index for _, index in labeled_elements((IMAGES, CLASSES))] == CLASSES.tolist()
