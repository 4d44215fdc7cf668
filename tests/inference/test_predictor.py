"""Everything that turns images into numbers goes through one call."""

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.inference import Predictor
from keras_shufflenet.litert import interpreter as runtime
from tests.noise import TOLERANCE, assert_exact, exact

SIZE = (32, 48)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    inputs = keras.Input((*SIZE, 3))
    outputs = keras.layers.Conv2D(5, 3, strides=2, padding="same", name="maps")(inputs)
    return keras.Model(inputs, outputs, name="tiny")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def files(model, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    model.save(folder / "net.keras")
    ks.export.litert(model, folder / "net.tflite")
    ks.export.litert(model, folder / "net_int8.tflite", "int8", [images], input_dtype="uint8")
    return folder


@pytest.fixture(scope="module")
def tolerance(model, images):
    return TOLERANCE * exact(model, images)[1]


def check(predictor, expected, images, atol):
    assert predictor.input_size == SIZE
    assert predictor.output_shape == (16, 24, 5)
    got = predictor.predict(images)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=atol)
    np.testing.assert_array_equal(predictor(images), got)
    assert predictor.predict(images[:0]).shape == (0, 16, 24, 5)


def test_keras_model(model, images, tolerance):
    predictor = Predictor.load(model)
    assert predictor.name == "tiny"
    check(predictor, model(images).numpy(), images, tolerance)


@pytest.mark.parametrize("name", ["net.keras", "net.tflite"])
def test_float_files(files, model, images, tolerance, name):
    predictor = Predictor.load(str(files / name))
    check(predictor, model(images).numpy(), images, tolerance)


INT8_STEPS = 4  # of 255: four layers that round


def test_int8_file_gives_real_numbers(files, model, images):
    expected = model(images).numpy()
    predictor = Predictor.load(files / "net_int8.tflite", num_threads=1)
    assert predictor.name == "net_int8"
    check(predictor, expected, images, INT8_STEPS * np.ptp(expected) / 255)


def test_bytes_and_floats_are_the_same_images(files, images):
    for name in ("net.keras", "net_int8.tflite"):
        predictor = Predictor.load(files / name)
        np.testing.assert_array_equal(
            predictor.predict(images.astype(np.uint8)), predictor.predict(images)
        )


def test_function(images):
    def brightness(batch):
        assert batch.dtype == np.float32
        return batch.mean(axis=(1, 2, 3))

    predictor = Predictor.load(brightness, input_size=SIZE)
    assert (predictor.name, predictor.input_size) == ("brightness", SIZE)
    np.testing.assert_array_equal(predictor.predict(images), images.mean(axis=(1, 2, 3)))
    assert Predictor.load(predictor) is predictor


def test_many_images_are_run_in_batches():
    sizes = []

    class Spy(keras.Model):
        def predict_on_batch(self, batch):
            sizes.append(len(batch))
            return np.asarray(batch).mean(axis=(1, 2))

    images = np.arange(70 * 12, dtype=np.float32).reshape(70, 2, 2, 3)
    np.testing.assert_array_equal(Predictor.load(Spy()).predict(images), images.mean(axis=(1, 2)))
    assert sizes == [32, 32, 6]


def test_size_is_given_where_the_model_leaves_it_open(images):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    assert not Predictor.load(model).has_input_size
    predictor = Predictor.load(model, input_size=SIZE)
    assert_exact(predictor.predict(images), model, images)
    with pytest.raises(ValueError, match=r"shape \(N, 32, 48, 3\)"):
        predictor.predict(images[:, :16])


def test_contradicting_size(model):
    with pytest.raises(ValueError, match=r"must be \(32, 48\) for tiny"):
        Predictor.load(model, input_size=(48, 32))


@pytest.mark.parametrize("shape", [(32, 48, 3), (1, 48, 32, 3), (1, 32, 48, 4)])
def test_images_of_another_shape(model, shape):
    with pytest.raises(ValueError, match=r"must have the shape \(N, 32, 48, 3\).*Received"):
        Predictor.load(model).predict(np.zeros(shape, np.float32))


@pytest.mark.parametrize("suffix", [".keras", ".tflite"])
def test_missing_file(tmp_path, suffix):
    with pytest.raises(FileNotFoundError, match=f"{suffix} file must exist.*Received"):
        Predictor.load(tmp_path / f"none{suffix}")


@pytest.mark.parametrize("name", ["net.keras", "net.tflite"])
@pytest.mark.parametrize("damage", ["cut", "garbage", "empty"])
def test_broken_file(files, tmp_path, name, damage):
    content = (files / name).read_bytes()
    broken = {"cut": content[: len(content) // 2], "garbage": b"\x00" * 4096, "empty": b""}
    path = tmp_path / name
    path.write_bytes(broken[damage])
    reason = r"malformed or truncated \(.+\).*\. " if name.endswith(".keras") else ""
    with pytest.raises(ValueError, match=f"{reason}Received: "):
        Predictor.load(path)


def test_other_kinds_of_sources(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.keras, \.tflite or \.onnx"):
        Predictor.load(tmp_path / "weights.h5")
    with pytest.raises(ValueError, match=r"keras\.Model, a path or a function"):
        Predictor.load(3)


def test_models_with_other_inputs_and_outputs(tmp_path):
    inputs = [keras.Input((*SIZE, 3)), keras.Input((*SIZE, 3))]
    with pytest.raises(ValueError, match=r"one input of images\. Received: .* with 2 inputs"):
        Predictor.load(keras.Model(inputs, keras.layers.Add()(inputs)))
    vector = keras.Input((4,))
    with pytest.raises(ValueError, match=r"images \(N, H, W, C\).*Received: .*\(None, 4\)"):
        Predictor.load(keras.Model(vector, keras.layers.ReLU()(vector)))


@pytest.mark.parametrize(
    ("dtype", "quantization", "values", "stored"),
    [
        (np.uint8, (1.0, 0), [0.4, 254.6, 300, -3], [0, 255, 255, 0]),
        (np.int8, (0.5, -3), [0, 1, -100, 100], [-3, -1, -128, 127]),
        (np.uint8, (0.0, 0), [12.2, 260], [12, 255]),
        (np.float32, (0.0, 0), [0.25, -7], [0.25, -7]),
    ],
)
def test_quantize(dtype, quantization, values, stored):
    details = {"dtype": dtype, "quantization": quantization}
    got = runtime.quantize(np.array(values, np.float32), details)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, stored)


def test_dequantize():
    details = {"dtype": np.int8, "quantization": (0.5, -3)}
    got = runtime.dequantize(np.array([-128, -3, 127], np.int8), details)
    np.testing.assert_array_equal(got, np.array([-62.5, 0, 65], np.float32))
