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
from keras_shufflenet.litert.schema import read_operators
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


def test_the_file_says_how_boxes_are_decoded(file, mediapipe):
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
    assert lite.main([str(file), str(photo), "--score-threshold", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(photo), "  no object"]


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


def test_mediapipe_finds_the_same_boxes(detector, images, tmp_path, mediapipe):
    """An image of the size of the input needs no resizing, which MediaPipe does its own way.

    It suppresses boxes regardless of their class, and its coordinates are integers.
    """
    path, photo = tmp_path / "a.tflite", tmp_path / "photo.png"
    Image.fromarray(images[0].astype(np.uint8)).save(photo)
    report = ks.export.litert(detector, path, target="mediapipe")
    assert (report.delegate_partitions, report.undelegated_ops) == (1, ())
    assert [output.name for output in report.outputs] == ["location", "score"]
    with pytest.raises(ValueError, match=r"raw one; boxes .* for MediaPipe alone\. Received: a "):
        Detector.load(path)
    ours = Detector.load(detector, iou_threshold=1.0, max_detections=300)
    (expected,) = ours.detect([photo])
    found = [row for row in mediapipe("detect", path, photo) if row[1] > 0.1]
    assert len(found) > 3
    for name, score, *box in found:
        same = np.abs(expected.scores - score) < 1e-4
        same &= expected.classes == NAMES.index(name)
        assert np.abs(expected.boxes[same] - box).max(axis=-1).min() < 2


def test_boxes_are_decoded_in_float(detector, images, tmp_path):
    path = tmp_path / "a.tflite"
    report = ks.export.litert(detector, path, "int8", images, target="mediapipe")
    assert (report.delegate_partitions, report.undelegated_ops) == (1, ())
    assert min(error.correlation for error in report.errors) > 0.9
    softmax, dense = (
        next(operator for operator in read_operators(path.read_bytes()) if operator.name == name)
        for name in ("SOFTMAX", "FULLY_CONNECTED")
    )
    assert (softmax.inputs[0].dtype, dense.inputs[0].dtype) == ("float32", "float32")


def test_what_mediapipe_cannot_run(classifier, detector, images, tmp_path):
    with pytest.raises(ValueError, match=r"NanoDet-Plus, .* Received: target='mediapipe' for"):
        ks.export.litert(classifier, tmp_path / "a.tflite", target="mediapipe")
    for arguments in ({"precision": "int16x8"}, {"precision": "int8", "output_dtype": "int8"}):
        with pytest.raises(
            ValueError, match="for target='mediapipe', and `output_dtype` 'float32'"
        ):
            ks.export.litert(
                detector,
                tmp_path / "a.tflite",
                representative_dataset=images,
                target="mediapipe",
                **arguments,
            )
    with pytest.raises(ValueError, match="`target` must be one of 'mediapipe'"):
        ks.export.litert(detector, tmp_path / "a.tflite", target="tpu")
