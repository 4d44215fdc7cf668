"""Files of models with other channels, several outputs and other batch sizes."""

from functools import cache

import keras
import numpy as np
import pytest
from PIL import Image

import keras_shufflenet as ks
from keras_shufflenet.inference import lite
from keras_shufflenet.litert import schema
from keras_shufflenet.litert.interpreter import open_interpreter
from tests.noise import TOLERANCE, exact

SIZE = (64, 64)
STRIDES = (16, 4, 8)


def with_channels(images: np.ndarray, channels: int) -> np.ndarray:
    return np.concatenate([images, images[..., ::-1]], axis=-1)[..., :channels]


@pytest.fixture(scope="module")
def network(shallow, randomize):
    """Make a classifier of images with other channels."""

    @cache
    def make(channels: int) -> keras.Model:
        with shallow():
            return randomize(ks.ShuffleNetV2(0.25, input_shape=(*SIZE, channels), classes=10))

    return make


@pytest.fixture(scope="module")
def extractor(shallow, randomize) -> keras.Model:
    with shallow():
        return randomize(
            ks.feature_extractor("shufflenet_v2_x0_25", STRIDES, input_shape=(*SIZE, 3))
        )


def assert_same_outputs(model: keras.Model, path, x: np.ndarray) -> None:
    """The outputs of a float file, by name and in the model's order, are those of the model."""
    found = ks.inference.Predictor.load(path).outputs(x)
    assert list(found) == list(model.output_names)
    for output, values in zip(model.outputs, found.values(), strict=True):
        expected, noise = exact(keras.Model(model.input, output), x)
        assert values.shape == expected.shape
        assert np.abs(values - expected).max() <= TOLERANCE * noise


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels(network, images, channels, tmp_path):
    model, x = network(channels), with_channels(images, channels)
    report = ks.export.litert(model, path := tmp_path / "a.tflite", "float32", x)
    assert report.input.shape == (1, *SIZE, channels)
    assert (report.optimized, report.delegate_partitions, report.takes_pixels) == ("yes", 1, True)
    assert_same_outputs(model, path, x[:3])


def test_gray_pixels_in_int8(network, images, tmp_path):
    x = images[..., :1]
    report = ks.export.litert(network(1), tmp_path / "a.tflite", "int8", x, input_dtype="uint8")
    assert (report.input.scale, report.input.zero_point) == (1, 0)
    assert report.error.correlation > 0.99


def test_several_outputs(extractor, images, tmp_path):
    report = ks.export.litert(extractor, path := tmp_path / "a.tflite", "float32", images)
    assert (report.optimized, report.delegate_partitions) == ("yes", 1)
    shapes = [(1, 4, 4, 48), (1, 16, 16, 24), (1, 8, 8, 24)]
    assert [output.shape for output in report.outputs] == shapes
    assert [output.name for output in report.outputs] == extractor.output_names
    assert_same_outputs(extractor, path, images[:3])
    assert len(report.errors) == len(report.to_dict()["errors"]) == 3
    assert f"error of {extractor.output_names[2]}" in str(report)


def test_several_outputs_in_int8(extractor, images, tmp_path):
    path = tmp_path / "a.tflite"
    dtypes = {"input_dtype": "int8", "output_dtype": "int8"}
    report = ks.export.litert(extractor, path, "int8", images, **dtypes)
    assert (report.optimized, report.delegate_partitions) == ("yes", 1)
    assert [output.name for output in report.outputs] == extractor.output_names
    named = open_interpreter(path).get_signature_runner().get_output_details()
    shapes = [tuple(named[name]["shape"][1:]) for name in extractor.output_names]
    assert shapes == [output.shape[1:] for output in extractor.outputs]
    assert min(error.correlation for error in report.errors) > 0.99


def test_a_classifier_with_features(randomize, shallow, images, tmp_path):
    """Softmax is computed in float32 at its own output, whatever the order of the operators."""
    with shallow():
        model = randomize(ks.ShuffleNetV2(0.25, input_shape=(*SIZE, 3), classes=10))
    maps = model.get_layer("stage3_unit0_concat").output
    made = keras.Model(model.input, {"scores": model.output, "maps": maps})
    report = ks.export.litert(made, path := tmp_path / "a.tflite", "int8", images[:4])
    assert [output.name for output in report.outputs] == ["maps", "scores"]
    assert report.delegate_partitions == 1
    (softmax,) = (op for op in schema.read_operators(path.read_bytes()) if op.name == "SOFTMAX")
    assert softmax.outputs[0].dtype == "float32"
    assert softmax.outputs[0].quantization == ((), ())
    assert all(error.correlation > 0.98 for error in report.errors)


def test_one_layer_at_two_outputs(tmp_path):
    image = keras.Input((*SIZE, 3))
    maps = keras.layers.Conv2D(2, 3, name="maps")(image)
    x = np.random.default_rng(0).uniform(0, 255, (2, *SIZE, 3)).astype("float32")
    report = ks.export.litert(
        keras.Model(image, [maps, maps]), tmp_path / "a.tflite", comparison_images=x
    )
    assert [output.name for output in report.outputs] == ["maps", "maps_1"]
    assert report.errors[0] == report.errors[1]


@pytest.mark.parametrize("batch_size", [3, None])
def test_batches(extractor, images, batch_size, tmp_path):
    """The last batch is filled up, or the file is resized."""
    path = tmp_path / "a.tflite"
    report = ks.export.litert(extractor, path, "float32", images, batch_size=batch_size)
    assert report.input.shape == (batch_size or -1, *SIZE, 3)
    assert [output.shape[0] for output in report.outputs] == [batch_size or -1] * 3
    assert (report.optimized, report.delegate_partitions) == ("yes", 1)
    assert_same_outputs(extractor, path, images[:5])
    interpreter = open_interpreter(path)
    assert interpreter.get_input_details()[0]["shape"][0] == (batch_size or 1)


@pytest.mark.parametrize("batch_size", [3, None])
def test_batches_in_int8(network, images, batch_size, tmp_path):
    path = tmp_path / "a.tflite"
    report = ks.export.litert(network(3), path, "int8", images[:5], batch_size=batch_size)
    assert report.delegate_partitions == 1
    assert report.error.correlation > 0.99


def test_networks_that_reshape_take_any_batch(images, tmp_path):
    """Shuffles and squeeze-and-excitation do not compute the batch size."""
    image = keras.Input((*SIZE, 3))
    x = keras.layers.Conv2D(6, 3, strides=8, name="conv")(image)
    x = ks.models.layers.channel_shuffle(x, 2, "shuffle")
    x = keras.layers.Dense(4, name="dense")(keras.layers.Flatten()(x))
    model = keras.Model(image, x)
    path = tmp_path / "a.tflite"
    report = ks.export.litert(
        model, path, batch_size=None, optimize=False, comparison_images=images
    )
    assert report.delegate_partitions == 1
    assert "SHAPE" not in report.operators
    assert_same_outputs(model, path, images[:3])


@pytest.fixture(scope="module")
def detector(shallow, randomize) -> keras.Model:
    """Boxes and scores of the anchors of two feature maps; the backbone has a third one."""
    keras.utils.set_random_seed(0)
    image = keras.Input((*SIZE, 3))
    with shallow():
        backbone = ks.feature_extractor("shufflenet_v2_x0_25", (8, 16, 32), input_shape=(*SIZE, 3))
    features = randomize(backbone)(image)
    anchors = []
    for stride, x in zip((8, 16), features[:2], strict=True):
        x = keras.layers.Conv2D(6, 3, padding="same", name=f"head{stride}")(x)
        anchors.append(keras.layers.Reshape((-1, 6), name=f"anchors{stride}")(x))
    boxes = keras.layers.Concatenate(axis=1, name="boxes")(anchors)
    return keras.Model(image, [boxes, keras.layers.Activation("sigmoid", name="scores")(boxes)])


def test_detectors(detector, images, tmp_path):
    path = tmp_path / "a.tflite"
    report = ks.export.litert(detector, path, "float32", images, batch_size=None)
    assert (report.optimized, report.delegate_partitions) == ("yes", 1)
    assert [output.shape for output in report.outputs] == [(-1, 80, 6)] * 2
    assert_same_outputs(detector, path, images[:2])


def test_detectors_in_int8(detector, images, tmp_path):
    report = ks.export.litert(detector, tmp_path / "a.tflite", "int8", images)
    assert (report.optimized, report.delegate_partitions) == ("yes", 1)
    assert min(error.correlation for error in report.errors) > 0.98


def test_batch_sizes_that_are_none(tmp_path):
    image = keras.Input(batch_shape=(4, *SIZE, 3))
    fixed = keras.Model(image, keras.layers.Conv2D(2, 3)(image))
    for batch_size, message in (
        (0, "a positive integer. Received: batch_size=0"),
        ("dynamic", "a positive integer. Received: batch_size='dynamic'"),
        (1, "must be 4, the batch size of the model. Received: batch_size=1"),
    ):
        with pytest.raises(ValueError, match=message):
            ks.export.litert(fixed, tmp_path / "a.tflite", batch_size=batch_size)
    report = ks.export.litert(fixed, tmp_path / "a.tflite", batch_size=4)
    assert report.input.shape == (4, *SIZE, 3)


def test_channels_first_is_refused(tmp_path):
    image = keras.Input((3, *SIZE))
    model = keras.Model(image, keras.layers.Conv2D(2, 3, data_format="channels_first")(image))
    with pytest.raises(ValueError, match=r"must be channels last.*Received: channels first"):
        ks.export.litert(model, tmp_path / "a.tflite")
    with pytest.raises(ValueError, match=r"channels-last model.*Received"):
        ks.inference.Predictor.load(model)


def test_descriptions_are_for_one_output(extractor, tmp_path):
    with pytest.raises(ValueError, match=r"`labels` must be None for .*Received: .*_features with"):
        ks.export.litert(extractor, tmp_path / "a.tflite", labels=["cat"])
    with pytest.raises(ks.export.ExportError, match=r"one output.*Received: .* with 3 named"):
        ks.export.quantization_aware_training(
            extractor,
            tmp_path / "a.tflite",
            [np.random.default_rng(0).uniform(0, 255, (1, *SIZE, 3))],
        )


def small(channels: int) -> keras.Model:
    image = keras.Input((*SIZE, channels))
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalMaxPooling2D()(image)))


def test_the_interpreter_command_runs_them(extractor, images, tmp_path, capsys):
    Image.fromarray(images[0].astype(np.uint8)).save(photo := tmp_path / "photo.png")
    ks.export.litert(extractor, several := tmp_path / "several.tflite")
    assert lite.main([str(several), str(photo), "--output-dir", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()[1:]] == extractor.output_names
    with np.load(tmp_path / "out" / "photo.npz") as arrays:
        assert arrays[extractor.output_names[1]].shape == (16, 16, 24)
    for channels, code in ((1, 0), (4, 1)):
        path = tmp_path / f"{channels}.tflite"
        x = with_channels(images, channels)
        ks.export.litert(small(channels), path, comparison_images=x)
        assert lite.main([str(path), str(photo)]) == code
        printed = capsys.readouterr()
    assert "Received: 4 with 4 channels" in printed.err


def test_classifiers_and_pose_estimators_have_one_output(extractor):
    for load in (ks.inference.ImageClassifier.load, ks.inference.PosePredictor.load):
        with pytest.raises(ValueError, match=r"must have one output\. Received: .*stem_pool"):
            load(extractor)
    with pytest.raises(ValueError, match="`predict` requires a model with one output"):
        ks.inference.Predictor.load(extractor).predict(np.zeros((1, *SIZE, 3)))
