"""From an image to skeletons: a detector before the pose estimator."""

import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.inference import Detector, PersonDetector, PosePredictor, Predictor
from keras_shufflenet.inference.keras_models import is_model_name
from tests.detection.test_decoding import put, raw

SIZE = (64, 96)
CROP = (64, 48)
IMAGE = np.zeros((128, 192, 3), np.uint8)  # twice the input of the detector
CAT = 15
BOXES = [[0, 0, 40, 56], [80, 64, 64, 64]]  # x, y, width, height


def find_two_persons(images):
    """A detector that sees two persons and a cat in dark images, and nothing in bright ones."""
    outputs = []
    for image in images:
        output = raw(126, classes=80)
        if image.mean() < 128:
            put(output, 13, 0.9, (1, 1, 2, 3))  # row 1, column 1 of level 0
            put(output, 71, 0.5, (2, 2, 2, 2))  # row 5, column 11
            put(output, 3, 0.8, (1, 1, 1, 1), CAT)
            put(output, 90, 0.2, (1, 1, 1, 1))
        outputs.append(output)
    return np.stack(outputs)


def brightest(crops):
    """A pose net whose keypoints all lie at the brightest of the crop's cells."""
    count, height, width, _ = crops.shape
    cells = crops.reshape(count, height // 4, 4, width // 4, 4, 3).mean(axis=(2, 4, 5))
    return np.repeat(cells[..., None] / 255, 17, axis=-1)


@pytest.fixture
def detector():
    return Detector.load(find_two_persons, input_size=SIZE, score_threshold=0.3)


@pytest.fixture
def pose(detector):
    return PosePredictor.load(brightest, detector=detector, input_size=CROP, flip_test=False)


def test_all_persons_of_an_image_in_one_call(pose):
    image = IMAGE.copy()
    image[30:34, 18:22] = 255
    image[98:102, 110:114] = 255
    found = pose.predict(image)
    np.testing.assert_allclose(found.bboxes, [[8, 8, 48, 64], [152, 56, 40, 64]], atol=1e-6)
    np.testing.assert_allclose(found.scores, [0.9, 0.5], atol=1e-6)
    assert found.keypoints.shape == (2, 17, 3)
    np.testing.assert_array_equal(
        found.keypoints, ks.inference.predict_pose(pose, image, found.bboxes)
    )
    np.testing.assert_array_equal(found.keypoints, ks.inference.predict_pose(pose, image))


def test_boxes_take_the_place_of_the_detector(pose):
    found = pose.predict(IMAGE, BOXES)
    np.testing.assert_array_equal(found.bboxes, BOXES)
    np.testing.assert_array_equal(found.scores, [1, 1])
    assert pose.predict(IMAGE, []).keypoints.shape == (0, 17, 3)


def test_images_in_batches_give_what_each_gives_alone(pose):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 200, (*size, 3), np.uint8) for size in ((90, 70), (60, 120))]
    images.insert(1, np.full((50, 40, 3), 255, np.uint8))  # no person
    together = pose.predict_batch(images, batch_size=3)
    assert [len(each.scores) for each in together] == [1, 0, 2]  # one is in a black bar
    for image, each in zip(images, together, strict=True):
        for ours, alone in zip(each, pose.predict(image), strict=True):
            np.testing.assert_array_equal(ours, alone)
    assert pose.predict_batch([]) == []
    with pytest.raises(ValueError, match=r"each of the 3 images.*Received: 1"):
        pose.predict_batch(images, [BOXES])


def test_without_a_detector_the_whole_image_is_one_person():
    pose = PosePredictor.load(brightest, input_size=CROP)
    found = pose.predict(IMAGE)
    np.testing.assert_array_equal(found.bboxes, [[0, 0, 192, 128]])
    np.testing.assert_array_equal(found.scores, [1])


def test_the_class_is_chosen_by_name(detector):
    (cats,) = PersonDetector.load(detector, category="cat").detect([IMAGE])
    np.testing.assert_allclose(cats.scores, [0.8], atol=1e-6)
    with pytest.raises(ValueError, match=r"80 classes .*: handbag, .*\.\.\.\. Received: .*'hand'"):
        PersonDetector.load(detector, category="hand")
    numbers = Predictor.load(lambda images: np.stack([raw(126)] * len(images)), SIZE)
    with pytest.raises(ValueError, match=r"2 classes of .*: 0, 1\. Received: category='person'"):
        PosePredictor.load(brightest, detector=numbers, input_size=CROP)


def test_thresholds_of_the_detector():
    pose = PosePredictor.load(
        brightest,
        detector=Predictor.load(find_two_persons, SIZE),
        detector_score_threshold=0.6,
        input_size=CROP,
    )
    np.testing.assert_allclose(pose.predict(IMAGE).scores, [0.9], atol=1e-6)


def test_names_of_published_models(monkeypatch, tmp_path):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert is_model_name("nanodet_plus_m_416")
    assert not any(map(is_model_name, ("folder", "a/b", "model.keras")))
    with pytest.raises(ValueError, match="Received: name='nanodet_plus_x'"):
        Detector.load("nanodet_plus_x")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_SHUFFLENET_MIRROR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="The weights 'shufflenet_v2_x0_5"):
        Predictor.load("shufflenet_v2_x0_5")


def test_a_single_image_is_no_list(pose, detector):
    for method in (pose.predict_batch, detector.detect):
        with pytest.raises(ValueError, match=r"a list of images.*shape \(128, 192, 3\)"):
            method(IMAGE)
        with pytest.raises(ValueError, match=r"a list of images.*Received: .* photo\.jpg"):
            method("photo.jpg")
    assert detector.detect([]) == []


@pytest.mark.parametrize(
    "options", [{"score_threshold": 35}, {"iou_threshold": -0.1}, {"max_detections": 0}]
)
def test_wrong_thresholds(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=rf"`{name}` must be .*Received: {name}={value}"):
        Detector.load(find_two_persons, input_size=SIZE, **options)


def test_a_misspelled_class_is_suggested(detector):
    for name, right in (("Person", "person"), ("hairdryer", "hair drier"), ("ski", "skis")):
        with pytest.raises(ValueError, match=rf"80 classes of .*: {right}, "):
            detector.of_category(name)
