"""What an exported file computes, and what it is made of."""

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.litert.interpreter import open_interpreter
from tests.noise import assert_exact
from tests.rounding import EPSILON32

SLOW_OPERATORS = {"SHAPE", "PACK", "GATHER", "GATHER_ND", "RESIZE_NEAREST_NEIGHBOR", "SPLIT_V"}
MODELS = ["classifier", "pose_fpn", "pose_deconv"]


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def details(path) -> tuple[dict, dict]:
    interpreter = open_interpreter(path)
    return interpreter.get_input_details()[0], interpreter.get_output_details()[0]


@pytest.mark.parametrize("name", MODELS)
def test_float32_equals_keras(exported, images, name):
    file = exported(name)
    assert_exact(file.predict(images), file.model, images)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_runs_as_one_partition_of_fast_operators(exported, name, precision):
    report = exported(name, precision).report
    assert report.delegate_partitions == 1
    assert report.undelegated_ops == ()
    assert report.custom == ()
    assert not SLOW_OPERATORS & set(report.operators)


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_shapes_are_static_and_ends_are_float(exported, precision):
    source, target = details(exported("pose_deconv", precision).path)
    assert tuple(source["shape"]) == tuple(source["shape_signature"]) == (1, 64, 64, 3)
    assert tuple(target["shape"]) == tuple(target["shape_signature"]) == (1, 16, 16, 17)
    assert source["dtype"] == target["dtype"] == np.float32


def test_batch_normalization_is_folded(exported):
    operators = exported("pose_light").report.operators
    assert operators["SUB"] == 1  # the mean of the preprocessing; its std is in the stem
    assert "MUL" not in operators


def test_files_shrink(exported):
    sizes = [exported("pose_deconv", p).report.size for p in ("float32", "float16", "int8")]
    assert sizes[1] < 0.55 * sizes[0]
    assert sizes[2] < 0.3 * sizes[0]


def test_float16_stays_close(exported, images):
    full, half = exported("pose_deconv"), exported("pose_deconv", "float16")
    assert correlation(half.predict(images), full.predict(images)) > 0.9999


@pytest.mark.parametrize("name", MODELS)
def test_int8_stays_close(exported, images, name):
    full, small = exported(name), exported(name, "int8")
    assert correlation(small.predict(images), full.predict(images)) > 0.95


def test_int8_weights_are_quantized_per_channel(exported):
    interpreter = open_interpreter(exported("pose_light", "int8").path)
    kernels = [
        tensor["quantization_parameters"]["scales"]
        for tensor in interpreter.get_tensor_details()
        if tensor["dtype"] == np.int8 and tuple(tensor["shape"]) == (24, 3, 3, 3)
    ]
    assert [len(np.unique(scales)) for scales in kernels] == [24]


@pytest.mark.parametrize(("dtype", "zero_point"), [("uint8", 0), ("int8", -128)])
def test_bytes_enter_an_int8_file_without_rounding(exported, images, dtype, zero_point):
    file = exported("pose_light", "int8", input_dtype=dtype)
    assert details(file.path)[0]["quantization"] == (1.0, zero_point)
    assert file.report.input.dtype == dtype
    of_floats = exported("pose_light", "int8").predict(images)
    np.testing.assert_array_equal(file.predict(images), of_floats)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_quantized_output_is_dequantized_by_the_predictor(exported, images, dtype):
    file = exported("classifier", "int8", output_dtype=dtype)
    assert file.report.output.dtype == dtype
    assert file.report.output.scale == 1 / 256
    of_floats = exported("classifier", "int8").predict(images)
    np.testing.assert_allclose(file.predict(images), of_floats, atol=2 * file.report.output.scale)


def test_int8_probabilities_are_not_cut_to_256_steps(exported, images):
    probabilities = exported("classifier", "int8").predict(images)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=16 * EPSILON32)
    assert np.abs(probabilities * 256 - np.round(probabilities * 256)).max() > 0.1


def test_float32_file_takes_bytes(exported, images):
    file = exported("classifier", input_dtype="uint8")
    assert details(file.path)[0]["dtype"] == np.uint8
    assert_exact(file.predict(images), file.model, images)


def test_model_is_left_alone(tmp_path, shallow):
    with shallow():
        model = ks.ShuffleNetV2(width=0.25, input_shape=(32, 32, 3), include_top=False)
    config, weights = model.get_config(), model.get_weights()
    ks.export.litert(model, tmp_path / "a.tflite")
    assert model.get_config() == config
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_keras_file_is_exported(exported, classifier, images, tmp_path):
    classifier.save(tmp_path / "model.keras")
    report = ks.export.litert(tmp_path / "model.keras", str(tmp_path / "a.tflite"))
    assert report.operators == exported("classifier").report.operators
    predictor = ks.inference.Predictor.load(tmp_path / "a.tflite")
    assert_exact(predictor.predict(images), classifier, images)


def test_mixed_precision_is_exported_in_float32(photographs, shallow, tmp_path):
    images = photographs(4, (32, 32))
    keras.config.set_dtype_policy("mixed_float16")
    try:
        with shallow():
            mixed = ks.ShuffleNetV2(width=0.25, input_shape=(32, 32, 3), classes=10)
    finally:
        keras.config.set_dtype_policy("float32")
    with shallow():
        plain = ks.ShuffleNetV2(width=0.25, input_shape=(32, 32, 3), classes=10)
    plain.set_weights(mixed.get_weights())
    ks.export.litert(mixed, tmp_path / "a.tflite")
    got = ks.inference.Predictor.load(tmp_path / "a.tflite").predict(images)
    assert_exact(got, plain, images)
    assert mixed.get_layer("stem_conv").compute_dtype == "float16"


def test_open_size_is_fixed_by_an_argument(tmp_path):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, strides=2)(inputs))
    report = ks.export.litert(model, tmp_path / "a.tflite", input_size=(32, 48))
    assert report.input.shape == (1, 32, 48, 3)
    assert report.output.shape == (1, 15, 23, 4)
    with pytest.raises(ValueError, match=r"must be \(height, width\) for a model"):
        ks.export.litert(model, tmp_path / "b.tflite")


def test_subclassed_model_is_exported(photographs, tmp_path):
    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.conv = keras.layers.Conv2D(2, 3)

        def call(self, images):
            return self.conv(images)

    images = photographs(2, (16, 16))
    model = Net()
    model(images)
    ks.export.litert(model, tmp_path / "a.tflite", input_size=(16, 16))
    got = ks.inference.Predictor.load(tmp_path / "a.tflite").predict(images)
    inputs = keras.Input((16, 16, 3))
    assert_exact(got, keras.Model(inputs, model.conv(inputs)), images)


def test_interpolated_pixels_may_leave_the_range_by_a_little(images, tmp_path):
    inputs = keras.Input((64, 64, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    warped = images[:4].copy()
    warped[0, 5, 5], warped[0, 6, 6] = 255.1, -0.1
    report = ks.export.litert(model, tmp_path / "a.tflite", "int8", [warped], input_dtype="uint8")
    assert (report.input.scale, report.input.zero_point) == (1.0, 0)


def test_calibration_from_a_pipeline_of_tuples(pose_light, images, tmp_path):
    import tensorflow as tf

    targets = np.zeros((len(images), 1), np.float32)
    endless = tf.data.Dataset.from_tensor_slices((images, targets)).batch(5).repeat()
    report = ks.export.litert(
        pose_light, tmp_path / "a.tflite", "int8", endless, num_calibration_samples=12
    )
    assert report.error.images == 12
    assert report.error.correlation > 0.98


def test_nothing_is_printed(classifier, photographs, tmp_path, capfd):
    ks.export.litert(classifier, tmp_path / "a.tflite", "int8", [photographs(4)])
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""
