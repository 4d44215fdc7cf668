"""The optimized network computes what the model computes, in operators that phones run fast."""

import keras
import numpy as np
import pytest
from keras.activations import relu6

import keras_shufflenet as ks
from tests.noise import assert_exact
from tests.shortcuts import shallow

CLIPPED = 0.05  # relative: what is clipped for int8 moves the outputs by as much
# One of each structure: the networks of a structure differ in numbers only.
NETWORKS = [
    "shufflenet_v1_x0_5_g8",
    "shufflenet_v1_x1_0_g3_mmcls",
    "shufflenet_v2_x0_25",
    "shufflenet_v2_x0_5_megvii",
    "shufflenet_v2_plus_small",
    "detnas_coco_fpn_300m",
    "mobilenet_v2_x0_35",
    "pose_shufflenet_v2_x0_25_coco_64x64",
    "pose_mobilenet_v2_x0_35_coco_64x64_light",
    "pose_shufflenet_v2_x0_5_megvii_mpii_64x64_fpn",
]
SHUFFLED = ("shufflenet_v1",)  # their grouped convolutions want one order


def build(name, **arguments) -> keras.Model:
    if not name.startswith("pose_"):
        arguments = {"input_shape": (64, 64, 3), "classifier_activation": None, **arguments}
    with shallow():
        return ks.create_model(name, **arguments)


def run(model, x) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(x, training=False))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"images": np.zeros((2, 32, 32, 3))},
            r"shape \(N, 64, 64, 3\).*Received: ndarray of shape",
        ),
        ({"images": [["cat.jpg"]]}, "Received: list of shape"),
        ({"method": "best"}, "`method` must be one of 'min_max', 'moving_average', 'mse'"),
    ],
)
def test_arguments_of_lower(classifier, arguments, message):
    with pytest.raises(ValueError, match=message):
        ks.export.optimize_for_inference(classifier, **arguments)


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_stay_and_shuffles_go(name, photographs, randomize):
    model = randomize(build(name))
    before = [keras.ops.convert_to_numpy(w) for w in model.weights]
    optimized = ks.export.optimize_for_inference(model)
    x = photographs(2)
    assert_exact(run(optimized, x), model, x)
    assert optimized.input.shape == model.input.shape
    for weight, values in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, values)
    kinds = {type(operation).__name__ for operation in optimized.operations}
    assert not kinds & {"BatchNormalization", "Conv2DTranspose", "Dropout", "Take"}
    assert ("Permute" in kinds) == name.startswith(SHUFFLED)
    joined = [op for op in optimized.operations if isinstance(op, keras.layers.Concatenate)]
    assert max((len(op.input) for op in joined), default=0) <= 4


def test_an_open_size_is_optimized_too(photographs, randomize):
    model = randomize(build("shufflenet_v2_x0_25", input_shape=(None, None, 3)))
    x = photographs(1)
    assert_exact(run(ks.export.optimize_for_inference(model), x), model, x)


def test_features_keep_the_order_of_their_channels(photographs, randomize):
    model = randomize(build("shufflenet_v2_x0_25", include_top=False))
    maps = ks.feature_extractor(model, (8, 32))
    x = photographs(1)
    found = ks.export.optimize_for_inference(maps)(x)
    for output, values in zip(maps.outputs, found, strict=True):
        assert_exact(keras.ops.convert_to_numpy(values), keras.Model(maps.input, output), x)


def test_models_inside_of_models():
    """As networks are fine-tuned: augmentation, a network, a head."""
    base = ks.ShuffleNetV2(width=0.25, input_shape=(None, None, 3), include_top=False)
    augmentation = keras.Sequential([keras.layers.RandomFlip(), keras.layers.RandomZoom(0.1)])
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.GlobalAveragePooling2D()(base(augmentation(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dropout(0.2)(x)))
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    for nested in (model, keras.Sequential([keras.Input((64, 64, 3)), model])):
        optimized = ks.export.optimize_for_inference(nested)
        kinds = {type(layer).__name__ for layer in optimized.layers}
        assert not kinds & {"BatchNormalization", "Functional", "Permute", "Take"}
        assert_exact(run(optimized, images), model, images)


def test_layers_that_only_others_have(classifier):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255, -0.5)(inputs)
    x = keras.layers.Cropping2D(1)(keras.layers.Conv2D(4, 3)(x))
    model = keras.Model(inputs, keras.layers.ELU()(keras.layers.LeakyReLU()(x)))
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    assert_exact(run(ks.export.optimize_for_inference(model), images), model, images)
    optimized = ks.export.optimize_for_inference(classifier)
    assert ks.export.optimize_for_inference(optimized).count_params() == optimized.count_params()


def test_layers_of_one_name_in_two_models():
    inner = keras.Input((8, 8, 3))
    first, second = (
        keras.Model(inner, keras.layers.Conv2D(3, 1, name="conv")(inner), name=name)
        for name in ("first", "second")
    )
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, second(first(inputs)))
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    assert_exact(run(ks.export.optimize_for_inference(model), images), model, images)


def test_a_model_that_is_used_twice():
    inner = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(3, 1)(inner))
    twice = keras.Model(inner, x, name="twice")
    inputs = keras.Input((8, 8, 3))
    once = twice(inputs)
    model = keras.Model(inputs, keras.layers.Add()([once, twice(keras.layers.ReLU()(once))]))
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    assert_exact(run(ks.export.optimize_for_inference(model), images), model, images)


def test_depthwise_channels_get_like_ranges():
    """A channel of a hundredth of the others is brought near them; the network stays the same."""
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(4, 1, name="pw")(inputs)
    x = keras.layers.DepthwiseConv2D(3, name="dw")(x)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, name="last")(x))
    kernel, bias = model.get_layer("dw").get_weights()
    kernel[:, :, 0] /= 100
    model.get_layer("dw").set_weights([kernel, bias])
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")

    def spread(network) -> float:
        maps = run(keras.Model(network.input, network.get_layer("dw").output), images)
        ranges = np.abs(maps).max(axis=(0, 1, 2))
        return ranges.max() / ranges.min()

    optimized = ks.export.optimize_for_inference(model, images)
    assert_exact(run(optimized, images), model, images)
    assert spread(optimized) < spread(model) / 5


def test_a_channel_read_twice():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 1, name="first")(inputs)
    twice = keras.layers.Concatenate(name="twice")([x, x])
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3, name="second")(twice))
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    assert_exact(run(ks.export.optimize_for_inference(model), images), model, images)


def test_the_std_stays_where_others_read_the_images():
    inputs = keras.Input((8, 8, 3))
    normal = keras.layers.Normalization(mean=[1.0, 2, 3], variance=[4.0, 9, 16], name="norm")
    x = normal(inputs)
    parts = [keras.layers.Conv2D(2, 1, name=f"conv{i}")(x) for i in range(2)]
    model = keras.Model(inputs, keras.layers.Add(name="sum")(parts))
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    assert_exact(run(ks.export.optimize_for_inference(model), images), model, images)


def test_a_normalization_without_a_convolution():
    inputs = keras.Input((8, 8, 4))
    x = keras.layers.BatchNormalization(name="alone")(inputs)
    model = keras.Model(inputs, keras.layers.ReLU(name="relu")(x))
    model.layers[1].moving_variance.assign([1, 2, 3, 4])
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 4)).astype("float32")
    assert_exact(run(ks.export.optimize_for_inference(model), images), model, images)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Conv2DTranspose(2, 3, strides=2, name="odd"),
        keras.layers.LayerNormalization(name="odd"),
        keras.layers.PReLU(name="odd"),
        keras.layers.Rescaling([1.0, 2, 3, 4], name="odd"),
        keras.layers.Reshape((4, 4, 16), name="odd"),
    ],
)
def test_an_unknown_layer_is_named_and_exported_as_it_is(layer, tmp_path):
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, layer(inputs))
    with pytest.raises(
        ks.export.GraphOptimizationError, match=r"'odd' cannot be optimized.*Received: "
    ):
        ks.export.optimize_for_inference(model)


def test_the_report_says_what_was_not_optimized(photographs, tmp_path):
    inputs = keras.Input((64, 64, 3))
    model = keras.Model(inputs, keras.layers.LayerNormalization(name="odd")(inputs))
    report = ks.export.litert(model, tmp_path / "odd.tflite")
    assert report.optimized.startswith("no: The layer 'odd'")
    assert "LayerNormalization" in str(report)
    assert ks.export.litert(model, tmp_path / "odd.tflite", optimize=False).optimized == (
        "no: optimize=False"
    )


def test_only_functional_models_are_optimized():
    with pytest.raises(ks.export.GraphOptimizationError, match="Received: Sequential"):
        ks.export.optimize_for_inference(keras.Sequential())


def test_under_another_policy_the_optimized_network_is_in_float32(photographs):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build("shufflenet_v2_x0_25")
        optimized = ks.export.optimize_for_inference(model)
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert {layer.compute_dtype for layer in optimized.layers} == {"float32"}


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_25", "shufflenet_v1_x0_5_g8"])
def test_with_one_range_for_all_outputs_stay(name, photographs, randomize):
    model = randomize(build(name))
    x = photographs(16)
    optimized = ks.export.optimize_for_inference(model, x)
    expected = run(model, x)
    assert np.abs(run(optimized, x) - expected).max() <= CLIPPED * np.abs(expected).max()
    scaled = [layer for layer in optimized.layers if getattr(layer, "activation", None) is relu6]
    assert len(scaled) > 6  # the stem's and one of each unit
    peaks = keras.Model(optimized.inputs, [keras.ops.max(layer.output) for layer in scaled])
    np.testing.assert_array_equal(np.array(peaks([x])), 6)


def test_what_is_concatenated_in_int8_is_not_quantized_again(exported):
    assert exported("classifier", "int8").report.operators["QUANTIZE"] == 1  # the images
    assert exported("classifier", "int8", optimize=False).report.optimized == "no: optimize=False"
