"""Both sides of the benchmark make the same samples, and the result is recorded."""

import csv
import random
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import torch
from PIL import Image
from scipy.special import ndtri

import benchmark_pipeline
import keras_shufflenet as ks
import opencv_pipeline
import pillow_pipeline
from keras_shufflenet._results import append_row, processor_name
from keras_shufflenet.data import augmentation
from keras_shufflenet.data.keypoint_pipeline import shuffled

SIZE = (256, 192)
ROUNDING = 0.25  # mean error of OpenCV's crops, whose pixels are whole numbers; the largest is 0.5
EPSILON = np.finfo(np.float32).eps


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Three smooth images, so that ways of decoding and downscaling differ little."""
    folder = tmp_path_factory.mktemp("people")
    random = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(3):
        noise = Image.fromarray(random.integers(0, 256, (12, 10, 3), np.uint8))
        picture = noise.resize((300, 360), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number}.jpg", quality=98, subsampling=0)
        points = random.uniform([60, 50], [240, 320], (17, 2))
        keypoints = np.column_stack([points, np.full(17, 2)])
        keypoints[number] = 0
        images.append({"id": number, "file_name": f"{number}.jpg", "height": 360, "width": 300})
        annotations.append(
            {"id": number, "image_id": number, "category_id": 1, "bbox": [50, 40, 200, 290],
             "area": 30000, "num_keypoints": 16, "keypoints": keypoints.ravel().tolist()}
        )  # fmt: skip
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1}]}
    return ks.data.load_keypoint_dataset(content, folder)


@pytest.fixture(scope="module")
def opencv(samples):
    return opencv_pipeline.samples_of(samples.instances, samples.paths, SIZE)


def assert_agree(ours, expected):
    image, heatmaps, weights = ours
    crop, opencv_heatmaps, opencv_weights = expected
    assert (image.dtype, crop.dtype, crop.shape) == (np.float32, np.float32, image.shape)
    errors = np.abs(image - crop)
    assert errors.mean() <= 4 * ROUNDING
    assert np.quantile(errors, 0.98) <= 4 * 2 * ROUNDING
    assert errors.mean() < np.abs(np.diff(crop, axis=1)).mean() / 2  # of a shift by one pixel
    np.testing.assert_allclose(
        heatmaps, opencv_heatmaps.transpose(1, 2, 0), rtol=0, atol=4 * EPSILON
    )
    np.testing.assert_array_equal(weights.ravel(), opencv_weights.ravel())


def test_same_samples_without_augmentation(samples, opencv):
    batch = next(ks.data.keypoints(samples, input_size=SIZE).as_numpy_iterator())
    for row, ours in enumerate(zip(*batch, strict=True)):
        expected = opencv_pipeline.make_sample(opencv, row, opencv_pipeline.UNCHANGED)
        assert_agree(ours, expected)


def test_same_samples_from_the_same_draws(samples, opencv):
    count, seed = 12, 3
    data = ks.data.keypoints(samples, input_size=SIZE, training=True, batch_size=count, seed=seed)
    batch = next(data.as_numpy_iterator())
    rotated = 0
    for number, ours in enumerate(zip(*batch, strict=True)):
        index = tf.constant(number, tf.int64)
        uniform = augmentation.Draws(*augmentation.uniform_draws(seed, index).numpy())._asdict()
        uniform["half_body_normal"] = uniform.pop("upper_body_gate")
        draws = {name: ndtri(u) if "normal" in name else u for name, u in uniform.items()}
        row = int(shuffled(index, len(samples), seed))
        assert_agree(ours, opencv_pipeline.make_sample(opencv, row, opencv_pipeline.Draws(**draws)))
        rotated += draws["rotation_gate"] <= 0.6
    assert 0 < rotated < count


def test_random_batches_of_opencv(opencv):
    images, heatmaps, weights = opencv_pipeline.make_batch(
        opencv, np.array([0, 1, 2, 0]), np.random.default_rng(0)
    )
    assert (images.shape, heatmaps.shape) == ((4, 256, 192, 3), (4, 17, 64, 48))
    assert weights.shape == (4, 17, 1)
    assert np.abs(images[0] - images[3]).mean() > 1  # the same instance, augmented differently


def test_a_small_run(samples, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark_pipeline, "BATCH", 4)
    numbers = benchmark_pipeline.compare(samples, iterations=1, num_samples=8, workers=1)
    assert (numbers["crops"], numbers["rounds"], numbers["workers"]) == (8, 1, 1)
    assert all(value > 0 for value in numbers.values())
    benchmark_pipeline.show(numbers)
    assert "OpenCV, 1 process" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["benchmark_pipeline.py", "--iterations", "1"])
    file = tmp_path / "results" / "pipeline.csv"
    for _ in range(2):
        append_row(file, numbers, benchmark_pipeline.PROGRAM)
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert len(rows) == 2
    assert rows[0]["processor"] == processor_name() != ""
    assert rows[0]["command"] == f"{benchmark_pipeline.PROGRAM} --iterations 1"
    assert float(rows[0]["ratio"]) == pytest.approx(numbers["ratio"], rel=1e-4)
    with pytest.raises(
        ValueError, match=r"must have the columns date.*Received: .*pipeline\.csv with date"
    ):
        append_row(file, {"something": 1})


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Images of two classes: red increases to the right, green downwards."""
    folder = tmp_path_factory.mktemp("photos")
    rows, columns = np.indices((90, 120))
    pixels = np.stack([2 * columns, 2 * rows, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        Image.fromarray(pixels).save(folder / name / "1.jpg", quality=98)
    return folder


def test_crops_of_pillow_are_random_flipped_and_normalized(photos):
    path = str(photos / "cat" / "1.jpg")
    crops = [pillow_pipeline.make_sample(path, 32, is_normalized=False) for _ in range(40)]
    assert {(crop.shape, crop.dtype) for crop in crops} == {((3, 32, 32), torch.float32)}
    to_the_right = sum(float(crop[0, :, -1].mean() - crop[0, :, 0].mean()) > 0 for crop in crops)
    assert 5 < to_the_right < 35
    assert all(crop[1, -1].mean() > crop[1, 0].mean() for crop in crops)
    assert all(crop.min() >= 0 and crop.max() <= 1 for crop in crops)
    assert pillow_pipeline.make_sample(path, 32).min() < -1


def test_boxes_of_pillow():
    random.seed(0)
    boxes = np.array([pillow_pipeline.random_box(400, 300) for _ in range(500)])
    left, top, right, bottom = boxes.T
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (right <= 400).all()
    assert (bottom <= 300).all()
    area = (right - left) * (bottom - top) / (400 * 300)
    assert 0.07 < area.min() < 0.12
    assert 0.4 < area.mean() < 0.55  # the largest fit less often
    assert pillow_pipeline.random_box(400, 20) == (186, 0, 213, 20)


def test_a_small_run_of_classification(photos, tmp_path):
    """As a program: the processes of a DataLoader have ended a worker of these tests."""
    results = tmp_path / "results.csv"
    options = ["--iterations", "1", "--num-samples", "32", "--workers", "1"]
    command = [sys.executable, benchmark_pipeline.__file__, "--data", photos, *options]
    done = subprocess.run(
        [*command, "--results-csv", results], capture_output=True, text=True, check=True
    )
    assert "DataLoader and Pillow, 1 process" in done.stdout
    with results.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["crops"], row["rounds"], row["workers"]) == ("32", "1", "1")
    assert float(row["pillow_cpu_ms_per_crop"]) > 0


@pytest.mark.parametrize("wrong", [{"iterations": 0}, {"num_samples": 0}, {"workers": 0}])
def test_wrong_numbers(samples, wrong):
    with pytest.raises(
        ValueError, match=rf"`{next(iter(wrong))}` must be a positive integer\. Received: "
    ):
        benchmark_pipeline.compare(samples, **wrong)


def test_without_opencv(samples, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.delitem(sys.modules, opencv_pipeline.__name__)
    with pytest.raises(ImportError, match=r"pip install 'keras-shufflenet\[dev\]'"):
        benchmark_pipeline.compare(samples)
