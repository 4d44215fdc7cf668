"""Representative images in the forms in which people have them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_shufflenet as ks
from keras_shufflenet.export.qat.process import Targets, training_batches
from keras_shufflenet.export.representative import full_batch, read_images

SHAPE = (8, 6, 3)
LABELS = np.arange(5)


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, *SHAPE)).astype("float32")


class Pairs(keras.utils.PyDataset):
    """Images and labels in batches of two."""

    def __init__(self, images: np.ndarray) -> None:
        super().__init__()
        self.images = images

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = slice(2 * index, 2 * index + 2)
        return self.images[rows], LABELS[rows]


def generator_function(make):
    """A function without arguments that yields, as TensorFlow's converter wants it."""

    def generate():
        yield from make()

    return generate


FORMS = {
    "array": lambda x: x,
    "bytes": lambda x: x.astype(np.uint8),
    "tensor": tf.constant,
    "batches": lambda x: [x[:2], x[2:]],
    "single images": list,
    "images and labels": lambda x: zip(x, LABELS, strict=True),
    "batch and labels": lambda x: [(x, LABELS, np.ones(5))],
    "generator": lambda x: (image for image in x),
    "generator function": lambda x: generator_function(lambda: ([image[None]] for image in x)),
    "function that returns a list": lambda x: lambda: [x],
    "generator function of dictionaries": lambda x: generator_function(
        lambda: ({"camera": image[None]} for image in x)
    ),
    "dictionary": lambda x: {"images": x, "labels": LABELS},
    "list of dictionaries": lambda x: [{"image": image, "label": 1} for image in x],
    "dictionaries with labels": lambda x: [({"camera": x, "image": 0 * x}, LABELS)],
    "dataset": lambda x: tf.data.Dataset.from_tensor_slices(x),
    "dataset of pairs": lambda x: tf.data.Dataset.from_tensor_slices((x, LABELS)).batch(2),
    "dataset of dictionaries": lambda x: tf.data.Dataset.from_tensor_slices(
        {"image": x, "label": LABELS}
    ).batch(2),
    "dataset of bytes": lambda x: tf.data.Dataset.from_tensors(x.astype(np.uint8)),
    "infinite dataset": lambda x: tf.data.Dataset.from_tensor_slices(x).repeat(),
    "PyDataset": Pairs,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_forms(form, x):
    found = read_images(form(x), SHAPE, len(x), input_name="camera")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize("lacking_axis", [False, True])
def test_gray_images(x, lacking_axis):
    gray = x[..., :1]
    given = gray[..., 0] if lacking_axis else gray
    for form in (given, list(given), [given], {"image": given}):
        np.testing.assert_array_equal(read_images(form, (*SHAPE[:2], 1), 5), gray)


def test_no_more_is_read_than_wanted(x):
    def endless():
        while True:
            yield x[:2]

    assert len(read_images(endless, SHAPE, 3)) == 3


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("photos/", "or a function that returns one. Received: representative_dataset='photos/'"),
        (3, "Received: representative_dataset=3"),
        (lambda: 3, "or a function that returns one. Received: representative_dataset=<function"),
        ([], "at least one image. Received: none"),
        (lambda: iter(()), "at least one image. Received: none"),
        ([{"a": 1, "b": 2}], r"under one of 'camera', 'images', 'image'\. .*keys 'a', 'b'"),
        ([{"pixels": np.zeros((1, 8, 6, 3))}], r"'camera', 'images', 'image'\. .*key.* 'pixels'"),
        ([{"image": "cat.jpg"}], r"\(N, 8, 6, 3\)\. Received: the batch {'image': 'cat.jpg'}"),
        ([{}], "Received: "),
        ([np.zeros((8, 6))], r"Received: shape \(8, 6\)"),
        ([np.zeros((1, 3, 8, 6))], r"\(N, 8, 6, 3\)\. Received: shape \(1, 3, 8, 6\)"),
        ([np.zeros((1, 8, 6, 1))], r"\(N, 8, 6, 3\)\. Received: shape \(1, 8, 6, 1\)"),
    ],
)
def test_what_cannot_be_read(dataset, message):
    with pytest.raises(ValueError, match=message):
        read_images(dataset, SHAPE, 5, input_name="camera")


def test_no_name_of_images_is_listed_twice():
    with pytest.raises(ValueError, match=r"under one of 'image', 'images'\. Received"):
        read_images([{"a": 1}], SHAPE, 5, input_name="image")


def test_the_last_batch_is_filled_up(x):
    np.testing.assert_array_equal(full_batch(x, 3, 3), x[[3, 4, 4]])
    np.testing.assert_array_equal(full_batch(x, 0, 2), x[:2])


def test_export_takes_them(x, tmp_path):
    image = keras.Input(SHAPE, name="camera")
    model = keras.Model(image, keras.layers.Conv2D(2, 3)(image))
    written = []
    for index, name in enumerate(("array", "generator function", "dictionaries with labels")):
        path = tmp_path / f"{index}.tflite"
        report = ks.export.litert(model, path, representative_dataset=FORMS[name](x))
        assert (report.precision, report.error.images) == ("int8", 5)
        written.append(path.read_bytes())
    assert written[0] == written[1] == written[2]


def test_quantization_aware_training_takes_them(x):
    image = keras.Input(SHAPE, name="camera")
    scores = keras.layers.Dense(5, activation="softmax")(keras.layers.Flatten()(image))
    targets = Targets(keras.Model(image, scores), "labels")
    for form in ("batch and labels", "dictionaries with labels", "PyDataset"):
        batches = training_batches(FORMS[form](x), SHAPE, targets, "camera")
        found = [next(batches) for _ in range(4)]  # it is repeated
        np.testing.assert_array_equal(found[0]["images"], found[-1]["images"])
        assert found[0]["targets"].argmax(-1)[0] == 0
