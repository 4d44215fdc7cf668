import contextlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_shufflenet as ks
from keras_shufflenet import _requirements
from keras_shufflenet._requirements import (
    GIGABYTE,
    check_free_space,
    check_installed,
    check_memory,
)
from keras_shufflenet.cli import main as command_line


def test_a_missing_package_is_named_with_its_extra():
    check_installed("The demo", "export", ("ai_edge_litert", "numpy"))
    message = (
        r"Quick work requires numpy and no-such-thing: `pip install 'keras-shufflenet\[fast\]'`. "
        r"Received: no no_such_thing"
    )
    with pytest.raises(ImportError, match=message):
        check_installed("Quick work", "fast", ("numpy", "no_such_thing"))


def test_a_full_disk_is_named_before_the_work(tmp_path):
    folder = tmp_path / "not" / "yet"
    free = shutil.disk_usage(tmp_path).free
    check_free_space(folder, free // 2, "The demo")
    with pytest.raises(OSError, match=r"The demo requires \d+ MB of .* Received: \d+ MB for .*yet"):
        check_free_space(folder, 2 * free, "The demo")
    assert not folder.exists()


def test_work_beyond_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(_requirements, "_memory_size", lambda: 2 * GIGABYTE)
    check_memory("size", 3, 2 * GIGABYTE)
    message = r"`size` must be .* has 2\.0 GB, and at least 2\.5 GB are required. Received: size=3"
    with pytest.raises(ValueError, match=message):
        check_memory("size", 3, 5 * GIGABYTE // 2)
    monkeypatch.setattr(_requirements, "_memory_size", lambda: None)
    check_memory("size", 3, 10**30)


def test_the_memory_of_a_container(monkeypatch, tmp_path):
    monkeypatch.setattr(_requirements, "CGROUP", tmp_path / "memory.max")
    size = _requirements._memory_size()
    assert size > GIGABYTE // 2
    for text, expected in (("max\n", size), (f"{1 << 20}\n", 1 << 20), (f"{1 << 70}\n", size)):
        _requirements.CGROUP.write_text(text)
        assert _requirements._memory_size() == expected


HUGE = 10**7
BEYOND = {
    "resize_size": lambda image: ks.inference.ImageClassifier.load(_model(), resize_size=HUGE),
    "crop_size": lambda image: ks.data.classification(image.parent, crop_size=HUGE),
    "classes": lambda image: ks.ShuffleNetV2(0.5, classes=10**12),
    "input_size": lambda image: ks.inference.Predictor.load(np.ones, (HUGE, HUGE)),
    "batch_size": lambda image: ks.export.litert(
        _model(), image.parent / "a.tflite", batch_size=HUGE**2
    ),
    "num_calibration_samples": lambda image: ks.export.litert(
        _model(),
        image.parent / "a.tflite",
        precision="int8",
        representative_dataset=tf.data.Dataset.from_tensors(np.ones((1, 8, 8, 3))).repeat(),
        num_calibration_samples=HUGE**2,
    ),
}


def _model():
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D()])


@pytest.mark.parametrize("name", BEYOND)
def test_arguments_beyond_the_memory(tmp_path, name):
    image = tmp_path / "a.png"
    keras.utils.save_img(image, np.zeros((8, 8, 3)))
    with pytest.raises(
        ValueError, match=rf"`{name}` must be small enough .*Received: {name}="
    ) as error:
        BEYOND[name](image)
    assert float(error.value.args[0].split("at least ")[1].split()[0]) > 1000


def test_the_command_line_refuses_it_in_one_line(tmp_path, capsys):
    _model().save(tmp_path / "a.keras")
    keras.utils.save_img(tmp_path / "a.png", np.zeros((8, 8, 3)))
    words = ["predict", "classify", "a.keras", "a.png", "--resize-size", str(HUGE)]
    with pytest.raises(SystemExit), contextlib.chdir(tmp_path):
        command_line.run(words)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: --resize-size must be small enough for the memory")
