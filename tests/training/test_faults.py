"""Disks that are full, images that cannot be read, data that have changed."""

import json
import os
import resource
import shutil
import signal
from functools import partial

import keras
import numpy as np
import pytest
from keras import layers

import keras_shufflenet as ks
from keras_shufflenet.data.corrupt_images import CorruptImages, skip_corrupt_images
from keras_shufflenet.training import Recipe, callbacks, train, train_pose
from tests.training.numbers_task import Numbers, network

RECIPE = Recipe(epochs=1, batch_size=4, peak_learning_rate=1e-3, warmup_steps=0)


def heatmaps():
    image = keras.Input((64, 64, 3))
    x = layers.AveragePooling2D(4)(layers.Rescaling(1 / 255)(image))
    return keras.Model(image, layers.Conv2D(17, 1)(x), name="heatmaps")


@pytest.fixture
def own_people(people, tmp_path):
    """A copy of the people: (json, folder of images)."""
    shutil.copytree(people[1], tmp_path / "images")
    return shutil.copy(people[0], tmp_path / "people.json"), tmp_path / "images"


@pytest.fixture
def full_disk():
    """A function that sets the largest size of a file."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, full_disk):
    class Full(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 6:
                full_disk(1000)

    run = partial(train, val_interval=2, loggers=[], verbose=0)
    with pytest.raises(OSError, match=r"(File too large|No space left).*last\.weights\.h5"):
        run(Numbers(network()), tmp_path / "run", checkpoint_minutes=0, callbacks=[Full()])
    full_disk(resource.RLIM_INFINITY)
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    resumed, whole = Numbers(network()), Numbers(network())
    run(resumed, tmp_path / "run")
    run(whole, tmp_path / "whole")
    for got, wanted in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(got, wanted)


def batches(source, images, steps=3, **arguments):
    with skip_corrupt_images(images):
        dataset = ks.data.keypoints(
            *source, input_size=(64, 64), training=True, batch_size=4, **arguments
        )
    return list(dataset.take(steps).as_numpy_iterator())


def test_corrupt_images_are_replaced_and_nothing_else(own_people, tmp_path):
    source, path = own_people, tmp_path / "corrupt_images.csv"
    whole = batches(source, CorruptImages(0))
    broken = sorted(source[1].iterdir())[2]
    broken.write_bytes(broken.read_bytes()[:100])
    images = CorruptImages(1, path)
    found = batches(source, images)
    assert list(images.reasons) == [str(broken)]
    assert str(broken) in path.read_text()
    replaced = 0
    for (got, *_), (wanted, *_) in zip(found, whole, strict=True):
        for row in range(4):
            if not np.array_equal(got[row], wanted[row]):
                following = [r % 4 for r in range(row + 1, row + 4)]
                assert any(np.array_equal(got[row], wanted[r]) for r in following)
                replaced += 1
    assert replaced >= 1
    for (got, *_), (wanted, *_) in zip(
        batches(source, CorruptImages(1, path), 2, start_step=1), found[1:], strict=True
    ):
        np.testing.assert_array_equal(got, wanted)


def test_too_many_corrupt_images_are_an_error(own_people, tmp_path):
    for each in sorted(own_people[1].iterdir())[1:3]:
        each.write_bytes(b"")
    attempt = partial(
        train_pose, heatmaps(), [own_people], tmp_path / "run", RECIPE, loggers=[], verbose=0
    )
    with pytest.raises(ValueError, match=r"At most 1 images may be corrupt .*Received: 2 corrupt"):
        attempt(max_corrupt_images=1)
    log = attempt(max_corrupt_images=2)
    assert np.isfinite(log[-1]["loss"])
    assert len((tmp_path / "run" / "corrupt_images.csv").read_text().splitlines()) == 3
    with pytest.raises(ValueError, match="Received: max_corrupt_images=-1"):
        attempt(max_corrupt_images=-1)


def test_changed_data_are_not_resumed(own_people, tmp_path):
    annotations, folder = own_people
    run = tmp_path / "run"
    attempt = partial(train_pose, heatmaps(), output_dir=run, recipe=RECIPE, loggers=[], verbose=0)
    log = attempt([own_people])
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    assert attempt([(annotations, moved)]) == log
    first = sorted(folder.iterdir())[0]
    size = os.stat(first).st_size
    with first.open("ab") as file:
        file.write(b"more")
    with pytest.raises(ValueError, match=r"another training: data was \w+ and is \w+"):
        attempt([own_people])
    os.truncate(first, size)
    content = json.loads(annotations.read_text())
    content["annotations"][0]["keypoints"][0] += 5
    annotations.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"another training: data was \w+ and is \w+"):
        attempt([own_people])
    # A folder of an earlier version does not say which data it was.
    begun = json.loads((run / "run.json").read_text())
    del begun["data"]
    (run / "run.json").write_text(json.dumps(begun))
    assert attempt([own_people]) == callbacks.read_log(run / "log.csv") == log
