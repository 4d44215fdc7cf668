"""Workers that share batches: the parts of all of them are the batches of one process."""

import numpy as np
import pytest
import tensorflow as tf

import keras_shufflenet as ks
from keras_shufflenet.data.class_folders import LABELS_FILE
from keras_shufflenet.data.corrupt_images import CorruptImages, skip_corrupt_images
from keras_shufflenet.data.pipeline import sample_numbers
from tests.data.rectangles import CLASSES, write_scenes

WORKERS = 2
TASKS = ("classification", "keypoints", "detection")


@pytest.fixture(scope="module")
def pipelines(people, tmp_path_factory):
    """A function for each task, from arguments to its dataset."""
    folder = tmp_path_factory.mktemp("boxed")
    boxes = write_scenes(folder)
    names = [image["file_name"] for image in boxes["images"]]
    rows = [f"{name},{index}" for index, name in enumerate(names)]
    (folder / LABELS_FILE).write_text("\n".join(["filename,class_index", *rows]))
    return {
        "classification": lambda **more: ks.data.classification(
            folder / LABELS_FILE, folder, crop_size=16, **more
        ),
        "keypoints": lambda **more: ks.data.keypoints(*people, input_size=(64, 32), **more),
        "detection": lambda **more: ks.data.detection(
            boxes, folder, input_size=(32, 32), class_names=list(CLASSES), **more
        ),
    }


def joined(parts):
    """Return the batch that the parts of all workers are."""
    return tf.nest.map_structure(lambda *rows: np.concatenate(rows), *parts)


def assert_same(left, right):
    for a, b in zip(tf.nest.flatten(left), tf.nest.flatten(right), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("task", TASKS)
def test_parts_of_all_workers_are_the_batches_in_training(pipelines, task):
    arguments = {"training": True, "batch_size": 4, "seed": 3, "start_step": 2}
    whole = pipelines[task](**arguments).take(2).as_numpy_iterator()
    parts = [
        pipelines[task](**arguments, shard=(index, WORKERS)).take(2).as_numpy_iterator()
        for index in range(WORKERS)
    ]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert {len(rows) for share in shares for rows in tf.nest.flatten(share)} == {2}
        assert_same(joined(shares), batch)


@pytest.mark.parametrize("task", TASKS)
def test_parts_of_all_workers_are_one_pass_without_training(pipelines, task):
    [batch] = pipelines[task](batch_size=10).as_numpy_iterator()
    count = len(tf.nest.flatten(batch)[0])
    parts = [pipelines[task](batch_size=10, shard=(index, WORKERS)) for index in range(WORKERS)]
    lengths = [len(list(part)) for part in parts]
    assert lengths == [1, int(count > 5)]
    shares = [next(part.as_numpy_iterator()) for part in parts[: sum(lengths)]]
    assert_same(joined(shares), batch)


@pytest.mark.parametrize("task", TASKS)
def test_datasets_know_their_length(pipelines, task):
    data = pipelines[task](batch_size=2)
    assert len(data) == len(list(data)) > 1
    assert len(pipelines[task](batch_size=2, start_step=1)) == len(data) - 1
    endless = pipelines[task](batch_size=2, training=True)
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
    with skip_corrupt_images(CorruptImages(1)):
        assert len(pipelines[task](batch_size=2)) == len(data)


@pytest.mark.parametrize("task", TASKS)
def test_a_batch_beyond_the_memory(pipelines, task):
    message = r"`batch_size` must be small .* [\d.]+ GB, and at least [\d.]+ GB .*Received: batch_s"
    with pytest.raises(ValueError, match=message):
        pipelines[task](batch_size=1 << 40)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 10, 11, None])
@pytest.mark.parametrize("start_step", [0, 1, 5])
def test_numbers_of_workers(count, start_step):
    expected = range(4 * start_step, 12 if count is None else count)
    found = [
        number.tolist()
        for index in range(WORKERS)
        for number in sample_numbers(4, start_step, (index, WORKERS), count)
        .take_while(lambda number: number < 12)
        .as_numpy_iterator()
    ]
    assert sorted(found) == list(expected)


def test_numbers_of_a_worker_are_its_half_of_every_batch():
    numbers = sample_numbers(4, 1, (1, WORKERS)).batch(2).take(2)
    assert [batch.tolist() for batch in numbers.as_numpy_iterator()] == [[6, 7], [10, 11]]


@pytest.mark.parametrize("shard", [0, (0,), (2, 2), (-1, 2), (0, 0), (0.0, 2)])
def test_invalid_workers(pipelines, shard):
    with pytest.raises(ValueError, match=r"`shard` must be \(index, count\).*Received: shard="):
        pipelines["keypoints"](shard=shard)


@pytest.mark.parametrize("task", TASKS)
def test_a_batch_that_workers_cannot_share_evenly(pipelines, task):
    with pytest.raises(ValueError, match=r"a multiple of the 2 workers.*Received: batch_size=5"):
        pipelines[task](batch_size=5, shard=(0, WORKERS))
