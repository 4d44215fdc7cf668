"""Exported files compute in a browser what they do in Python."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_shufflenet as ks
from keras_shufflenet.benchmark import networks
from keras_shufflenet.inference.predictor import Predictor
from tools.browser_outputs import CORE, browser_outputs, find_browser

SIZE = (64, 32)
PACKAGES = Path(__file__).parents[2] / ".venv" / "litertjs" / "node_modules"
FLOAT_ERROR = 1e-6  # of the largest output: XNNPACK's WebAssembly kernels add in another order
QUANTIZATION_STEP = 1 / 128


@pytest.fixture(scope="module")
def browser():
    if not (PACKAGES / CORE).is_dir():
        pytest.skip(f"{CORE} is not here: `make .venv/litertjs/.installed` downloads it")
    if find_browser() is None:
        pytest.skip("neither Chromium nor Chrome is installed")
    return find_browser()


def test_files_compute_the_same_in_a_browser(browser, shallow, tmp_path):
    people = ks.synthetic_people.create_dataset(
        tmp_path / "people", 4, image_size=(128, 96), people_per_image=(1, 1), verbose=False
    )
    photos = [Image.open(path).resize(SIZE[::-1]) for path in sorted(people.image_dir.iterdir())]
    photos[0].save(tmp_path / "photo.png")
    images = np.stack([np.asarray(photo, np.float32) for photo in photos])
    with shallow():
        model = ks.PoseEstimator("shufflenet_v2_x0_25", head="light", input_size=SIZE)
    networks.normalize(model, images)
    data = {"representative_dataset": images}
    ks.export.litert(model, tmp_path / "float32.tflite")
    ks.export.litert(model, tmp_path / "int8.tflite", **data)
    ks.export.litert(model, tmp_path / "uint8.tflite", **data, input_dtype="uint8")
    files = [tmp_path / f"{name}.tflite" for name in ("float32", "int8", "uint8")]
    found = browser_outputs(browser, PACKAGES, files, tmp_path / "photo.png")
    errors = []
    for path, output in zip(files, found, strict=True):
        expected = Predictor.load(path).predict(images[:1])
        assert output.shape == expected.shape
        errors.append(np.abs(output - expected).max() / np.abs(expected).max())
    assert errors[0] <= 16 * FLOAT_ERROR
    assert max(errors[1:]) <= QUANTIZATION_STEP


def test_an_error_of_the_page_is_told(browser, tmp_path):
    (tmp_path / "broken.tflite").write_bytes(b"no model")
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    with pytest.raises(RuntimeError, match=r"in http://127\.0\.0\.1"):
        browser_outputs(browser, PACKAGES, [tmp_path / "broken.tflite"], tmp_path / "photo.png")
