"""What exported files say about themselves, read by MediaPipe's own classes."""

import csv
import json
import warnings
import zipfile

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.export.source import preprocesses
from keras_shufflenet.inference import ImageClassifier, PosePredictor, Predictor
from keras_shufflenet.keypoints import HeatmapCodec, Skeleton
from keras_shufflenet.litert import schema


def test_normalized_images_cannot_be_described(shallow, tmp_path):
    with shallow():
        model = ks.ShuffleNetV2(
            width=0.25, input_shape=(64, 64, 3), classes=10, include_preprocessing=False
        )
    normal = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("float32")
    for arguments in ({}, {"precision": "int8", "representative_dataset": [normal]}):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            report = ks.export.litert(
                model, tmp_path / "a.tflite", labels=list("abcdefghij"), **arguments
            )
        assert not report.takes_pixels
        assert any("include_preprocessing=True" in str(warning.message) for warning in said)
    pixels = ks.export.litert(model, tmp_path / "a.tflite", comparison_images=np.abs(normal) * 50)
    assert pixels.takes_pixels
    assert "normalized values" in report.to_markdown()


@pytest.mark.parametrize("preprocessing", [True, False])
def test_networks_of_pixels_that_are_not_normalized(preprocessing):
    model = ks.ShuffleNetV1(
        width=0.5,
        variant="megvii",
        input_shape=(32, 32, 3),
        include_preprocessing=preprocessing,
    )
    assert preprocesses(model) is preprocessing
    assert preprocesses(keras.Sequential([model])) is preprocessing


def test_image_input_and_pixels(exported, mediapipe):
    path = exported("classifier", "int8").path
    facts = mediapipe("metadata", path)
    assert facts["is_image"]
    assert (facts["color_space"], facts["description"]) == (1, "RGB image")
    assert (facts["output"], facts["other_outputs"]) == ("output", [])
    assert facts["normalization"] == [[[0.0], [1.0]]]
    assert (facts["version"], facts["output"]) == ("1.0.0", "output")
    assert facts["output_files"] == []  # ten classes without names
    assert not zipfile.is_zipfile(path)


def test_normalized_inputs_are_not_called_pixels(tmp_path, mediapipe):
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    normalized = np.random.default_rng(0).normal(size=(4, 16, 16, 3))
    ks.export.litert(model, tmp_path / "a.tflite", "int8", [normalized])
    assert mediapipe("metadata", tmp_path / "a.tflite")["normalization"] == []


@pytest.mark.parametrize(
    ("channels", "color"), [(1, (2, "gray image")), (4, (None, "image with 4 channels"))]
)
def test_other_channels_and_several_outputs(channels, color, tmp_path, mediapipe):
    image = keras.Input((64, 64, channels))
    maps = [keras.layers.Conv2D(2, 3, name=name)(image) for name in ("second", "first")]
    x = np.linspace(0, 255, 64 * 64 * channels, dtype="float32").reshape(1, 64, 64, channels)
    path = tmp_path / "a.tflite"
    ks.export.litert(keras.Model(image, maps), path, comparison_images=x)
    facts = mediapipe("metadata", path)
    assert (facts["color_space"], facts["description"]) == color
    assert facts["normalization"] == [[[0.0], [1.0]]]
    assert (facts["output"], facts["other_outputs"]) == ("second", ["first"])


def test_joints_and_codec_of_a_pose_estimator(exported, mediapipe):
    path = exported("pose_light").path
    facts = mediapipe("metadata", path)
    assert facts["output_files"] == [["keypoints.txt", "axis labels"]]
    assert facts["files"] == ["pose.json"]
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("keypoints.txt").decode().split("\n")[:2] == ["nose", "left_eye"]
        pose = json.loads(archive.read("pose.json"))
    assert (pose["padding"], pose["stride"]) == (1.25, [4.0, 4.0])
    assert pose["codec"]["heatmap_size"] == [16, 16]
    assert [5, 6] in pose["skeleton"]["flip_pairs"]


def test_the_estimator_is_made_of_what_the_file_says(tmp_path):
    """Five keypoints with a codec of their own come back from the file alone."""
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(5, 4, strides=4)(inputs))
    hand = Skeleton(
        name="hand",
        keypoint_names=("wrist", "thumb", "index", "ring", "little"),
        flip_pairs=((1, 4),),
        sigmas=(0.1,) * 5,
        limbs=((0, 1), (0, 4)),
        upper_body=(1, 2),
        lower_body=(0,),
        keypoint_weights=(1.0,) * 5,
    )
    codec = HeatmapCodec((32, 32), encoding="udp", sigma=1.5)
    path = tmp_path / "hand.tflite"
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3))
    ks.export.litert(model, path, comparison_images=pixels, codec=codec, skeleton=hand)
    estimator = PosePredictor.load(path)
    assert estimator.codec == codec
    assert estimator.skeleton == hand
    assert PosePredictor.load(path, codec=HeatmapCodec((32, 32))).codec.encoding == "msra"


def test_labels_of_ones_own(exported, mediapipe):
    labels = tuple(f"class {n} ü" for n in range(10))
    file = exported("classifier", labels=labels)
    assert Predictor.load(file.path).metadata.labels == labels
    assert mediapipe("metadata", file.path)["output_files"] == [["labels.txt", "axis labels"]]


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        ("classifier", {"labels": ["a"] * 9}, "a name for each class.*Received: 9 names"),
        ("classifier", {"labels": "abcdefghij"}, "a name for each class"),
        (
            "classifier",
            {"labels": ["a"] * 9 + ["b\nc"]},
            r"lines of text, not empty. Received: 'b\\nc'",
        ),
        ("classifier", {"labels": ["a"] * 9 + [" "]}, "lines of text"),
        ("classifier", {"skeleton": "coco"}, "must output heatmaps.*Received"),
        (
            "pose_light",
            {"labels": ["a"] * 17},
            "Received: 17 names for a model with outputs of shape",
        ),
        ("pose_light", {"skeleton": "mpii"}, "requires a network with 16 heatmaps"),
        ("pose_light", {"codec": HeatmapCodec((32, 32))}, r"Received: input_size=\(32, 32\)"),
    ],
)
def test_descriptions_that_contradict_the_model(request, tmp_path, model, arguments, message):
    with pytest.raises(ValueError, match=message):
        ks.export.litert(request.getfixturevalue(model), tmp_path / "a.tflite", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_description_is_an_error(exported, tmp_path):
    path = tmp_path / "broken.tflite"
    content = exported("classifier", "int8").path.read_bytes()
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("pose.json", '{"codec": {"sigma": 2}, "skeleton": {}}')
    with pytest.raises(ValueError, match=r"pose\.json and .* as .*Received: .*broken\.tflite"):
        Predictor.load(path)
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "a\n" * (1 << 22))
    with pytest.raises(ValueError, match=r"more than .* bytes"):
        Predictor.load(path)
    path.write_bytes(exported("pose_light").path.read_bytes()[:-10])
    with pytest.raises(
        ValueError,
        match=r"must end in its associated files pose\.json; .*Received: .*broken\.tflite",
    ):
        Predictor.load(path)


def test_weights_lie_at_multiples_of_sixteen(exported):
    content = exported("classifier", "int8").path.read_bytes()
    model = schema.schema.Model.GetRootAs(content, 0)
    buffers = [model.Buffers(i).DataAsNumpy() for i in range(model.BuffersLength())]
    starts = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
    places = [b.__array_interface__["data"][0] - starts for b in buffers if np.size(b) > 1]
    assert len(places) > 30
    assert {place % 16 for place in places} == {0}


@pytest.fixture(scope="module")
def imagenet(shared):
    """A network with its weights, and sixteen photographs for the calibration."""
    weights = shared / "weights" / "shufflenetv2_x0.33_imagenet.pth"
    labels = shared / "data" / "imagenet_val" / "labels.csv"
    images, _ = next(iter(ks.data.classification(labels, batch_size=16)))
    return ks.create_model("shufflenet_v2_x0_33", weights=str(weights)), images.numpy()


@pytest.mark.parametrize("arguments", [{}, {"precision": "int8", "input_dtype": "uint8"}])
def test_mediapipe_finds_the_right_class(shared, imagenet, tmp_path, mediapipe, arguments):
    photographs = shared / "data" / "imagenet_val"
    with (photographs / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))[:60]
    model, images = imagenet
    path = tmp_path / "x0_33.tflite"
    ks.export.litert(model, path, representative_dataset=[images], **arguments)
    files = [photographs / "images" / row["filename"] for row in rows]
    ours, right = ImageClassifier.load(path), 0
    for file, row, best in zip(files, rows, mediapipe("classify", path, *files), strict=True):
        ((name, score),) = ours.predict(file, top=1)
        if score > 0.8:
            assert best[1] == name
            right += best[0] == int(row["class_index"])
    assert right >= 6
