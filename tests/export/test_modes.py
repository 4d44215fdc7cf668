"""int8 of every structure in one partition, and the other ways to quantize."""

import warnings

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.benchmark.networks import normalize
from keras_shufflenet.export.bias_correction import correct_biases
from keras_shufflenet.export.optimization.equalization import FRACTIONS
from keras_shufflenet.litert.interpreter import open_interpreter
from keras_shufflenet.litert.schema import read_operators
from tests.noise import assert_exact
from tests.rounding import EPSILON32

# One of each structure; the pose estimators are in test_litert.py.
NETWORKS = [
    "shufflenet_v1_x0_5_g8",
    "shufflenet_v1_x1_0_g1_mmcls",
    "shufflenet_v2_x0_5_megvii",
    "shufflenet_v2_plus_small",
    "detnas_voc_fpn_300m",
    "mobilenet_v2_x0_35_tonylins",
]
LARGER = ("detnas_voc_fpn_300m", "shufflenet_v2_plus_small")  # else 7 x 7 is not cut in rows
SLOW = {"AVERAGE_POOL_2D", "GATHER", "HARD_SWISH", "PACK", "SHAPE", "TRANSPOSE_CONV"}


@pytest.mark.parametrize("name", NETWORKS)
def test_one_partition_of_fast_operators(name, shallow, photographs, tmp_path):
    size = (128, 128) if name in LARGER else (64, 64)
    with shallow():
        model = ks.create_model(name, input_shape=(*size, 3), classifier_activation=None)
    images = photographs(8, size)
    normalize(model, images)
    report = ks.export.litert(model, tmp_path / "file.tflite", "int8", [images])
    assert (report.delegate_partitions, report.undelegated_ops, report.custom) == (1, (), ())
    assert report.optimized == "yes"
    assert not set(report.operators) & SLOW
    assert report.error.correlation > 0.95
    operators = read_operators((tmp_path / "file.tflite").read_bytes())
    kernels = [op.inputs[1].shape for op in operators if op.name == "DEPTHWISE_CONV_2D"]
    assert max(height * width for _, height, width, _ in kernels) <= 25


def run(model, x) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(x, training=False))


def test_a_large_depthwise_kernel_on_few_rows_stays_whole():
    inputs = keras.Input((6, 6, 4))
    x = keras.layers.DepthwiseConv2D(7, 2, name="large")(keras.layers.ZeroPadding2D(3)(inputs))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, name="pw")(x))
    images = np.random.default_rng(0).normal(size=(1, 6, 6, 4)).astype("float32")
    cut = ks.export.optimize_for_inference(model)
    assert_exact(run(cut, images), model, images)
    assert cut.get_layer("large_rows0").kernel.shape[:2] == (3, 7)
    low = keras.Input((3, 3, 4))  # the last row of the kernel would see nothing but padding
    x = keras.layers.DepthwiseConv2D(7, padding="same", name="large")(low)
    small = ks.export.optimize_for_inference(keras.Model(low, x))
    assert small.get_layer("large").kernel.shape[:2] == (7, 7)


def test_hard_swish_is_spelled_out_for_int8_only(photographs):
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(8, 3, name="first")(inputs)
    x = keras.layers.Activation("hard_silu", name="swish")(x)
    model = keras.Model(inputs, keras.layers.Conv2D(4, 1, name="last")(x))
    images = photographs(2)
    spelled = ks.export.optimize_for_inference(model, images)
    assert isinstance(spelled.get_layer("swish"), keras.layers.Multiply)
    assert isinstance(
        ks.export.optimize_for_inference(model).get_layer("swish"), keras.layers.Activation
    )
    assert_exact(run(spelled, images), model, images)
    # As an output it cannot be six times as large.
    open_ended = ks.export.optimize_for_inference(
        keras.Model(inputs, model.get_layer("swish").output), images
    )
    assert isinstance(open_ended.get_layer("swish"), keras.layers.Activation)


def rectified(images):
    """A network of one ReLU, whose output is the images' red channel, and what int8 makes of it."""
    inputs = keras.Input(images.shape[1:])
    x = keras.layers.Conv2D(2, 1, activation="relu", name="relu")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(1, 1, name="reader")(x))
    kernel = np.zeros((1, 1, 3, 2), "float32")
    kernel[0, 0, 0] = 1
    model.get_layer("relu").set_weights([kernel, np.zeros(2)])
    return model


@pytest.mark.parametrize(
    ("method", "limit"),
    [("min_max", 100), ("moving_average", 10 + 0.05 * 90), ("mse", 100 * FRACTIONS[-1])],
)
def test_methods_of_finding_ranges(method, limit):
    """Of two images one has a single bright pixel."""
    images = np.random.default_rng(0).uniform(0, 10, (2, 64, 64, 3)).astype("float32")
    images[0, 0, 0] = 10
    images[1, 0, 0] = 100 if method != "mse" else 30
    limit = limit if method != "mse" else None
    optimized = ks.export.optimize_for_inference(rectified(images), images, method)
    # Scaled so that the bound of clipping, but for a margin, becomes 6.
    first, second = optimized.get_layer("relu").kernel.numpy()[0, 0, 0]
    assert first == second
    # Without a limit rounding to steps of 30 / 256 is cheaper than to lose half of one pixel.
    assert 6 * 1.02 / first == pytest.approx(limit or 30, rel=8 * EPSILON32)


def test_an_outlier_is_cut_off():
    images = np.random.default_rng(0).uniform(0, 10, (32, 64, 64, 3)).astype("float32")
    images[0, 0, 0] = 11.1
    optimized = ks.export.optimize_for_inference(rectified(images), images, "mse")
    assert 6 * 1.02 / optimized.get_layer("relu").kernel.numpy()[0, 0, 0, 0] < 10.5


def test_long_tails_between_convolutions_are_cut_off(tmp_path):
    """One bright pixel in a hundred thousand decides on the range that the converter finds."""
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.DepthwiseConv2D(1, use_bias=False, name="dw")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, name="pw")(x))
    model.get_layer("dw").set_weights([np.ones((1, 1, 3, 1))])
    images = np.random.default_rng(0).normal(0, 1, (32, 64, 64, 3)).astype("float32")
    images[0, 0, 0] = (40, -40, 40)
    widths = {}
    for method in ("min_max", "mse"):
        path = tmp_path / f"{method}.tflite"
        ks.export.litert(model, path, "int8", [images], calibration_method=method, optimize=False)
        interpreter = open_interpreter(path, keep_tensors=True)
        (dw,) = (
            tensor
            for tensor in interpreter.get_tensor_details()
            if tuple(tensor["shape"]) == (1, 64, 64, 3) and "dw" in tensor["name"]
        )
        widths[method] = 255 * dw["quantization"][0]
    assert widths["min_max"] > 50
    assert widths["mse"] < widths["min_max"] / 1.5


def test_an_unknown_method(classifier, images):
    with pytest.raises(ValueError, match=r"'min_max', 'moving_average', 'mse'.*='entropy'"):
        ks.export.optimize_for_inference(classifier, images, "entropy")


def test_biases_make_up_for_rounded_kernels(classifier, images):
    optimized = ks.export.optimize_for_inference(classifier, images)
    rounded = ks.export.optimize_for_inference(classifier, images)
    corrected = ks.export.optimize_for_inference(classifier, images)
    correct_biases(corrected, images)
    for network in (rounded, corrected):
        for layer in network.layers:
            if hasattr(layer, "kernel"):
                layer.kernel.assign(round_kernel(layer))
    expected = run(optimized, images)
    errors = [np.abs(run(n, images) - expected).mean() for n in (rounded, corrected)]
    assert errors[1] < 0.8 * errors[0]


def round_kernel(layer) -> np.ndarray:
    kernel = layer.kernel.numpy()
    axis = 2 if isinstance(layer, keras.layers.DepthwiseConv2D) else kernel.ndim - 1
    others = tuple(i for i in range(kernel.ndim) if i != axis)
    scale = np.abs(kernel).max(axis=others, keepdims=True) / 127
    return np.rint(kernel / scale) * scale


def test_activations_of_sixteen_bits(exported, images):
    file = exported("classifier", "int16x8")
    assert "CONV_2D" in file.report.undelegated_ops
    assert file.report.input.dtype == "float32"
    assert file.report.error.correlation > 0.99
    shorts = exported("classifier", "int16x8", input_dtype="int16", output_dtype="int16")
    assert (shorts.report.input.dtype, shorts.report.output.dtype) == ("int16", "int16")
    np.testing.assert_allclose(shorts.predict(images), file.predict(images), atol=2**-13)


def test_sixteen_bits_are_not_interleaved(pose_deconv, images, tmp_path):
    report = ks.export.litert(
        pose_deconv,
        tmp_path / "file.tflite",
        "int16x8",
        [images[:4]],
        comparison_images=images[:1],  # LiteRT takes seconds for one
    )
    assert "DEPTH_TO_SPACE" in report.optimized
    assert report.operators["TRANSPOSE_CONV"] == 3


@pytest.fixture
def warned(classifier, images, tmp_path):
    """Export with arguments: the report, and what was warned of."""

    def call(precision, calibration=(images,), **options):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            path = tmp_path / "file.tflite"
            report = ks.export.litert(classifier, path, precision, calibration, **options)
        return report, [str(w.message) for w in caught if w.category is UserWarning]

    return call


def test_dynamic_range_warns_that_it_is_slow(warned):
    report, (message,) = warned("dynamic_int8")
    assert "int8 is faster" in message
    assert report.error.correlation > 0.99
    full, messages = warned("float32")
    assert messages == []
    assert report.size < 0.6 * full.size


def test_one_scale_for_each_kernel_warns_that_it_costs_accuracy(warned, tmp_path):
    report, (message,) = warned("int8", per_channel=False)
    assert "costs accuracy" in message
    assert report.error.correlation > 0.9
    interpreter = open_interpreter(tmp_path / "file.tflite")
    scales = [
        len(tensor["quantization_parameters"]["scales"])
        for tensor in interpreter.get_tensor_details()
        if tensor["dtype"] == np.int8 and len(tensor["shape"]) == 4
    ]
    assert set(scales) == {1}


def test_normalized_images_for_a_model_that_normalizes_pixels(warned, images):
    assert warned("int8", [images])[1] == []
    _, (message,) = warned("int8", [images / 255])
    assert "normalizes them itself" in message
