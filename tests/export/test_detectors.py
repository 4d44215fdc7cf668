"""Files of detectors: raw outputs, and what the file says about them."""

import json
import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

import keras_shufflenet as ks
from keras_shufflenet.detection.priors import NANODET, NANODET_PLUS
from keras_shufflenet.inference import Detector, Predictor, lite
from keras_shufflenet.litert.metadata import ModelMetadata
from tests.export.test_metadata import mediapipe  # noqa: F401
from tests.noise import assert_exact

SIZE = (64, 64)
NAMES = ("cat", "dog", "Löwe")


@pytest.fixture(scope="module")
def detector(shallow, randomize) -> keras.Model:
    """Several objects in every image; NanoDet-Plus has all kinds of layers."""
    with shallow():
        model = ks.NanoDetPlus(
            backbone="shufflenet_v2_x0_25", classes=NAMES, input_shape=(*SIZE, 3)
        )
    return randomize(model)


@pytest.fixture(scope="module")
def file(detector, tmp_path_factory):
    path = tmp_path_factory.mktemp("detector") / "detector.tflite"
    report = ks.export.litert(detector, path)
    assert (report.optimized, report.delegate_partitions) == ("yes", 1)
    return path


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    coarse = np.random.default_rng(0).integers(0, 256, (9, 8, 3), np.uint8)
    Image.fromarray(coarse).resize((80, 90), Image.Resampling.BICUBIC).save(path)
    return path


def test_the_file_has_the_outputs_of_the_model(detector, file, images):
    found = Predictor.load(file).predict(images[:2])
    assert_exact(found, detector, images[:2])


def test_the_file_says_how_boxes_are_decoded(file, mediapipe):  # noqa: F811
    metadata = ModelMetadata.read(file)
    assert metadata.design == NANODET_PLUS
    assert metadata.labels == NAMES
    facts = mediapipe("metadata", file)
    assert facts["output_files"] == []  # the last axis has 32 channels more
    assert facts["files"] == ["labels.txt", "detector.json"]
    with zipfile.ZipFile(file) as archive:
        facts = json.loads(archive.read("detector.json"))
    assert (facts["strides"], facts["offset"], facts["bins"]) == ([8, 16, 32, 64], 0, 8)
    assert (facts["score_threshold"], facts["iou_threshold"]) == (0.35, 0.4)


def test_detections_are_those_of_the_model(detector, file, photo, tmp_path, capsys):
    (expected,) = Detector.load(detector, score_threshold=0.6).detect([photo])
    (found,) = Detector.load(file, score_threshold=0.6).detect([photo])
    assert len(found.boxes) > 3
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)
    folder = tmp_path / "drawn"
    words = [str(file), str(photo), "--score-threshold", "0.6", "--output-dir", str(folder)]
    assert lite.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    (left, top, right, bottom), score = found.boxes[0], found.scores[0]
    name = NAMES[found.classes[0]]
    assert lines[1] == f"  {score:.3f}  {name}  {left:.1f} {top:.1f} {right:.1f} {bottom:.1f}"
    assert (folder / "photo.png").is_file()


def test_the_design_is_that_of_the_file_rather_than_that_of_the_rows():
    def stated(design):
        return Predictor(
            lambda images: {"output": np.zeros((len(images), 85, 35), np.float32)},
            name="stated",
            input_size=SIZE,
            output_shapes={"output": (85, 35)},
            metadata=ModelMetadata(NAMES, design=design),
        )

    other = replace(NANODET_PLUS, offset=0.5, keep_ratio=True)
    assert Detector.load(stated(other)).design == other
    assert Detector.load(stated(None)).design == NANODET_PLUS
    with pytest.raises(ValueError, match=r"84 rows, as the metadata .*Received: 85 rows"):
        Detector.load(stated(NANODET))


def test_int8_in_one_partition_without_requantization(detector, images, tmp_path):
    report = ks.export.litert(detector, tmp_path / "a.tflite", "int8", images)
    assert (report.delegate_partitions, report.undelegated_ops) == (1, ())
    assert report.requantizes == 0
    assert report.error.correlation > 0.95


def test_labels_of_ones_own(detector, tmp_path):
    with pytest.raises(ValueError, match="Received: 2 names for a model with outputs of shape"):
        ks.export.litert(detector, tmp_path / "a.tflite", labels=["a", "b"])
