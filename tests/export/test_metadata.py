"""What exported files say about themselves, read by MediaPipe's own classes."""

import csv
import json
import zipfile

import keras
import mediapipe
import numpy as np
import pytest
from mediapipe.tasks.metadata import metadata_schema_py_generated as schema
from mediapipe.tasks.python import BaseOptions, vision

import keras_shufflenet as ks
from keras_shufflenet.export import flatbuffer
from keras_shufflenet.inference import Classifier, Predictor, TopDown
from keras_shufflenet.keypoints import HeatmapCodec, Skeleton


def metadata(path):
    """The file's `ModelMetadata`, as an object of the schema."""
    model = flatbuffer.schema.Model.GetRootAs(path.read_bytes(), 0)
    entries = [model.Metadata(i) for i in range(model.MetadataLength())]
    (entry,) = [entry for entry in entries if entry.Name() == b"TFLITE_METADATA"]
    content = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
    assert schema.ModelMetadata.ModelMetadataBufferHasIdentifier(content, 0)
    return schema.ModelMetadataT.InitFromObj(schema.ModelMetadata.GetRootAs(content, 0))


def test_image_input_and_pixels(exported):
    facts = metadata(exported("classifier", "int8").path)
    (graph,) = facts.subgraphMetadata
    (source,), (target,) = graph.inputTensorMetadata, graph.outputTensorMetadata
    assert source.content.contentPropertiesType == schema.ContentProperties.ImageProperties
    assert source.content.contentProperties.colorSpace == schema.ColorSpaceType.RGB
    (unit,) = source.processUnits
    assert unit.optionsType == schema.ProcessUnitOptions.NormalizationOptions
    assert (list(unit.options.mean), list(unit.options.std)) == ([0.0], [1.0])
    assert (facts.minParserVersion, target.name) == (b"1.0.0", b"output")
    assert not target.associatedFiles  # ten classes whose names nobody gave
    assert not zipfile.is_zipfile(exported("classifier", "int8").path)


def test_normalised_inputs_are_not_called_pixels(tmp_path):
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    normalised = np.random.default_rng(0).normal(size=(4, 16, 16, 3))
    ks.export.litert(model, tmp_path / "a.tflite", "int8", [normalised])
    (graph,) = metadata(tmp_path / "a.tflite").subgraphMetadata
    assert not graph.inputTensorMetadata[0].processUnits


def test_joints_and_codec_of_a_pose_estimator(exported):
    path = exported("pose_light").path
    facts = metadata(path)
    (names,) = facts.subgraphMetadata[0].outputTensorMetadata[0].associatedFiles
    assert (names.name, names.type) == (
        b"keypoints.txt",
        schema.AssociatedFileType.TENSOR_AXIS_LABELS,
    )
    assert [file.name for file in facts.associatedFiles] == [b"pose.json"]
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("keypoints.txt").decode().split("\n")[:2] == ["nose", "left_eye"]
        pose = json.loads(archive.read("pose.json"))
    assert (pose["padding"], pose["stride"]) == (1.25, [4.0, 4.0])
    assert pose["codec"]["heatmap_size"] == [16, 16]
    assert [5, 6] in pose["skeleton"]["flip_pairs"]


def test_the_estimator_is_made_of_what_the_file_says(tmp_path):
    """Five joints with a codec of their own come back from the file alone."""
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(5, 4, strides=4)(inputs))
    hand = Skeleton(
        name="hand",
        joints=("wrist", "thumb", "index", "ring", "little"),
        flip_pairs=((1, 4),),
        sigmas=(0.1,) * 5,
        limbs=((0, 1), (0, 4)),
        upper_body=(1, 2),
        lower_body=(0,),
        joint_weights=(1.0,) * 5,
    )
    codec = HeatmapCodec((32, 32), encoding="udp", sigma=1.5)
    path = tmp_path / "hand.tflite"
    ks.export.litert(model, path, codec=codec, skeleton=hand)
    estimator = TopDown.load(path)
    assert estimator.codec == codec
    assert estimator.skeleton == hand
    assert TopDown.load(path, codec=HeatmapCodec((32, 32))).codec.encoding == "msra"


def test_labels_of_ones_own(exported):
    labels = tuple(f"class {n} ü" for n in range(10))
    file = exported("classifier", labels=labels)
    assert Predictor.load(file.path).description.labels == labels
    (names,) = metadata(file.path).subgraphMetadata[0].outputTensorMetadata[0].associatedFiles
    assert names.name == b"labels.txt"


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        ("classifier", {"labels": ["a"] * 9}, "one name for each class.*Received: 9 names"),
        ("classifier", {"labels": "abcdefghij"}, "one name for each class"),
        ("classifier", {"labels": ["a"] * 9 + ["b\nc"]}, r"lines of text. Received: 'b\\nc'"),
        ("classifier", {"labels": ["a"] * 9 + [" "]}, "lines of text"),
        ("classifier", {"skeleton": "nobody"}, "must give heatmaps.*Received"),
        ("pose_light", {"labels": ["a"] * 17}, "Received: 17 names for an output of shape"),
        ("pose_light", {"skeleton": "mpii"}, "needs a network with 16 heatmaps"),
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
    with pytest.raises(ValueError, match=r"pose\.json as .*Received: .*broken\.tflite"):
        Predictor.load(path)
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "a\n" * (1 << 22))
    with pytest.raises(ValueError, match=r"more than .* bytes"):
        Predictor.load(path)


def test_weights_lie_at_multiples_of_sixteen(exported):
    content = exported("classifier", "int8").path.read_bytes()
    model = flatbuffer.schema.Model.GetRootAs(content, 0)
    buffers = [model.Buffers(i).DataAsNumpy() for i in range(model.BuffersLength())]
    starts = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
    places = [b.__array_interface__["data"][0] - starts for b in buffers if np.size(b) > 1]
    assert len(places) > 50
    assert {place % 16 for place in places} == {0}


@pytest.mark.parametrize("arguments", [{}, {"precision": "int8", "input_dtype": "uint8"}])
def test_mediapipe_finds_the_right_class(shared, tmp_path, arguments):
    photographs = shared / "data" / "imagenet_val"
    weights = shared / "weights" / "shufflenetv2_x1.0_imagenet_dequantized.pth"
    with (photographs / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))[:12]
    model = ks.create_model("shufflenet_v2_x1_0", weights=str(weights))
    images, _ = next(iter(ks.data.imagenet(photographs / "labels.csv", batch_size=12)))
    path = tmp_path / "x1_0.tflite"
    ks.export.litert(model, path, calibration=[images.numpy()], **arguments)
    options = vision.ImageClassifierOptions(
        base_options=BaseOptions(model_asset_path=str(path)), max_results=1
    )
    found = []
    with vision.ImageClassifier.create_from_options(options) as mediapipes:
        for row in rows:
            image = mediapipe.Image.create_from_file(str(photographs / "images" / row["filename"]))
            found += mediapipes.classify(image).classifications[0].categories
    ours = Classifier.load(path)
    sure = 0
    for row, best in zip(rows, found, strict=True):
        ((name, score),) = ours.classify(photographs / "images" / row["filename"], top=1)
        if score > 0.9:
            assert (best.index, best.category_name) == (int(row["class_index"]), name)
            sure += 1
    assert sure >= 6
