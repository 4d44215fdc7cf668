"""Files for ONNX Runtime and OpenVINO compute what the Keras models do."""

import json

import keras
import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import tensorflow as tf

import keras_shufflenet as ks
from keras_shufflenet.benchmark import networks
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.models import detnas, mobilenet_v2
from tests.noise import TOLERANCE, assert_exact, exact

SIZE = (64, 64)
# Two units per stage: one with stride and one without, of every kind.
FEWER_UNITS = {
    "shufflenet_v1.UNITS": (2, 2, 2),
    "shufflenet_v2_plus.UNITS": (2, 2, 2, 2),
    "shufflenet_v2_plus.ARCHITECTURE": "01 23 10 32",
    "one_shot.UNITS": (2, 2, 2, 2),
    "mobilenet_v2.STAGES": [
        (*stage[:2], min(2, stage[2]), stage[3]) for stage in mobilenet_v2.STAGES
    ],
    "detnas.SIZES": {"300m": detnas.SIZES["300m"]._replace(units=(2, 2, 2, 2))},
}
NETWORKS = {
    "V1": lambda: ks.ShuffleNetV1(width=0.5, groups=8, classes=10, input_shape=(*SIZE, 3)),
    "V2": lambda: ks.ShuffleNetV2(width=0.25, classes=10, input_shape=(*SIZE, 3)),
    "V2 of Megvii": lambda: ks.create_model(
        "shufflenet_v2_x0_5_megvii", classes=10, input_shape=(*SIZE, 3)
    ),
    "V2+": lambda: ks.ShuffleNetV2Plus(size="small", classes=10, input_shape=(*SIZE, 3)),
    "OneShot": lambda: ks.OneShotNet("0123 3210", classes=10, input_shape=(*SIZE, 3)),
    "DetNAS": lambda: ks.DetNAS("0123 3210", "300m", classes=10, input_shape=(*SIZE, 3)),
    "MobileNetV2": lambda: ks.MobileNetV2(width=0.35, classes=10, input_shape=(*SIZE, 3)),
    "head light": lambda: ks.PoseEstimator("shufflenet_v2_x0_25", head="light", input_size=SIZE),
    "head deconv": lambda: ks.PoseEstimator("shufflenet_v2_x0_25", head="deconv", input_size=SIZE),
    "NanoDet-Plus": lambda: ks.NanoDetPlus(backbone="shufflenet_v2_x0_25", input_shape=(*SIZE, 3)),
}


@pytest.fixture(scope="module", autouse=True)
def _eagerly():
    """Run models operation by operation: tracing one takes longer than running it once or twice."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def images():
    coarse = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype("float32")
    return np.asarray(keras.ops.image.resize(coarse, SIZE))


def feed(images, data_format):
    return images if data_format == "channels_last" else images.transpose(0, 3, 1, 2)


def restored(output, data_format):
    is_turned = data_format == "channels_first" and output.ndim == 4
    return output.transpose(0, 2, 3, 1) if is_turned else output


@pytest.mark.parametrize("name", NETWORKS)
def test_every_structure_in_both_runtimes(name, images, shallow, monkeypatch, tmp_path):
    for constant, value in FEWER_UNITS.items():
        monkeypatch.setattr(f"keras_shufflenet.models.{constant}", value)
    with shallow():
        model = NETWORKS[name]()
    networks.normalize(model, images)
    # Each runtime with one of the two layouts and batch sizes.
    path = ks.export.onnx(model, tmp_path / "network.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"images": images})
    assert [each.name for each in session.get_outputs()] == model.output_names
    settings = {"data_format": "channels_first", "batch_size": 4}
    path = ks.export.openvino(model, tmp_path / "network.xml", **settings)
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    outputs.append(restored(compiled(feed(images, "channels_first"))[0], "channels_first"))
    expected, noise = exact(model, images)
    for output in outputs:
        assert output.shape == expected.shape
        assert np.abs(output - expected).max() <= TOLERANCE * noise
    assert sorted(tmp_path.iterdir()) == [
        tmp_path / f"network.{suffix}" for suffix in ("bin", "onnx", "xml")
    ]


@pytest.fixture(scope="module")
def pose(shallow, images):
    with shallow():
        model = ks.PoseEstimator("shufflenet_v2_x0_25", head="light", input_size=SIZE)
    networks.normalize(model, images)
    return model


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_the_package_reads_its_own_files(pose, images, data_format, batch_size, tmp_path):
    path = tmp_path / "pose.onnx"
    ks.export.onnx(pose, path, data_format=data_format, batch_size=batch_size)
    predictor = Predictor.load(path)
    assert (predictor.input_size, predictor.output_shape) == (SIZE, pose.output_shape[1:])
    assert_exact(predictor.predict(images), pose, images)
    assert predictor.metadata.skeleton == ks.keypoints.skeletons.get("coco")
    assert predictor.metadata.codec.input_size == SIZE


def test_names_of_classes(images, tmp_path):
    model = ks.MobileNetV2(width=0.35, classes=["cat", "dog"], input_shape=(32, 32, 3))
    path = ks.export.onnx(model, tmp_path / "cats.onnx")
    assert Predictor.load(path).metadata.labels == ("cat", "dog")
    ks.export.onnx(model, path, labels=["a", "b"])
    assert Predictor.load(path).metadata.labels == ("a", "b")
    xml = ks.export.openvino(model, tmp_path / "cats.xml", labels=["a", "b"])
    assert openvino.Core().read_model(xml).get_rt_info(["model_info", "labels.txt"]).value == "a\nb"


def test_several_outputs_and_any_size(shallow, tmp_path):
    with shallow():
        model = ks.feature_extractor("shufflenet_v2_x0_25", strides=(8, 16, 32))
    with pytest.raises(ValueError, match=r"`input_size` must be .* Received: input_size=None"):
        ks.export.onnx(model, tmp_path / "features.onnx")
    path = ks.export.onnx(model, tmp_path / "features.onnx", input_size=(64, 96))
    predictor = Predictor.load(path)
    assert list(predictor.outputs(np.zeros((1, 64, 96, 3)))) == model.output_names
    assert [shape[:2] for shape in predictor.output_shapes.values()] == [(8, 12), (4, 6), (2, 3)]


def test_a_network_inside_of_a_model(images, shallow, tmp_path):
    with shallow():
        base = ks.ShuffleNetV2(width=0.25, include_top=False, pooling="avg")
    inputs = keras.Input((*SIZE, 3))
    x = keras.layers.RandomFlip()(inputs)
    x = keras.layers.Dropout(0.2)(base(x))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="kinds")(x))
    path = ks.export.onnx(model, tmp_path / "nested.onnx")
    predictor = Predictor.load(path)
    assert_exact(predictor.predict(images), model, images)
    assert list(predictor.output_shapes) == ["kinds"]


def test_a_network_at_the_end_of_a_model(shallow, tmp_path):
    with shallow():
        network = ks.ShuffleNetV2(width=0.25, classes=3, input_shape=(32, 32, 3))
    inputs = keras.Input((32, 32, 3))
    image = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    for model in (keras.Sequential([inputs, network]), keras.Model(inputs, network(inputs))):
        path = ks.export.onnx(model, tmp_path / "network.onnx")
        assert_exact(Predictor.load(path).predict(image), network, image)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "elu"])
def test_activations_of_a_classifier(activation, images, tmp_path):
    inputs = keras.Input((*SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, activation=activation, name="kinds")(x))
    path = tmp_path / "network.onnx"
    if activation == "elu":
        with pytest.raises(ValueError, match=r"'kinds' cannot be translated.* activation elu"):
            ks.export.onnx(model, path)
    else:
        ks.export.onnx(model, path)
        assert_exact(Predictor.load(path).predict(images), model, images)


def test_a_dense_layer_of_feature_maps_is_refused(tmp_path):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Dense(3, name="each")(inputs))
    with pytest.raises(ValueError, match=r"'each' cannot be translated.* feature maps as input"):
        ks.export.onnx(model, tmp_path / "network.onnx")


def ends_in(make):
    """A model of a convolution (6, 6, 4) and what is made of it."""
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, make(keras.layers.Conv2D(4, 3)(inputs)))


def twice(x):
    """Layers that are called again, batch normalization folded into each call."""
    layers = keras.layers.Conv2D(4, 3, padding="same"), keras.layers.BatchNormalization()
    layers[1].build(x.shape)
    layers[1].set_weights([np.linspace(0.5, 2, 4)] * 4)
    for layer in (*layers, keras.layers.ReLU(), *layers):
        x = layer(x)
    return x


def flat_and_pooled(x):
    dense = keras.layers.Dense(4)(keras.layers.GlobalMaxPooling2D()(x))
    return keras.layers.Add()([keras.layers.GlobalAveragePooling2D()(x), dense])


ENDS = {
    "padding": keras.layers.ZeroPadding2D(((1, 0), (2, 1))),
    "padding before an average": lambda x: keras.layers.GlobalAveragePooling2D()(
        keras.layers.ZeroPadding2D(1)(x)
    ),
    "padding before the maximum": lambda x: keras.layers.MaxPooling2D(3, 2)(
        keras.layers.ZeroPadding2D(1)(keras.layers.Rescaling(1.0, -200.0)(x))
    ),
    "padding twice": lambda x: keras.layers.Conv2D(2, 3)(
        keras.layers.ZeroPadding2D(1)(keras.layers.ZeroPadding2D(1)(x))
    ),
    "padding joined": lambda x: keras.layers.Concatenate()([keras.layers.ZeroPadding2D(1)(x)] * 2),
    "a tensor added to itself": lambda x: keras.layers.Add()([x, x]),
    "three summands": lambda x: keras.layers.Add()([x, x, keras.layers.ReLU()(x)]),
    "a factor per channel": lambda x: keras.layers.Multiply()(
        [keras.layers.GlobalAveragePooling2D(keepdims=True)(x), x]
    ),
    "vectors of two kinds": flat_and_pooled,
    "layers called again": twice,
    "an output returned twice": lambda x: [x, x],
    "an output in the middle": lambda x: [x, keras.layers.ReLU()(x)],
    "poolings of same size": lambda x: [
        keras.layers.MaxPooling2D(3, 2, padding="same")(x),
        keras.layers.AveragePooling2D(3, 1, padding="same")(x),
    ],
    "several channels of each": keras.layers.DepthwiseConv2D(3, depth_multiplier=2),
}


@pytest.mark.parametrize("name", ENDS)
def test_ends_of_a_model(name, tmp_path):
    model = ends_in(ENDS[name])
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    path = ks.export.onnx(model, tmp_path / "network.onnx")
    outputs = onnxruntime.InferenceSession(path).run(None, {"images": images})
    for output, expected in zip(outputs, keras.tree.flatten(model(images)), strict=True):
        np.testing.assert_allclose(output, np.asarray(expected), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "bfloat16", "float16"])
def test_models_of_16_bits_become_float32(dtype, tmp_path):
    """Their own outputs are less precise than the file."""
    inputs = keras.Input((8, 8, 3), dtype="float32")
    x = keras.layers.Rescaling(1 / 255, dtype=dtype)(inputs)
    x = keras.layers.GlobalAveragePooling2D(dtype=dtype)(x)
    tiny = keras.initializers.RandomUniform(-1e-3, 1e-3, seed=0)
    dense = keras.layers.Dense(3, kernel_initializer=tiny, dtype=dtype)
    model = keras.Model(inputs, dense(x))
    path = ks.export.onnx(model, tmp_path / "network.onnx")
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    kernel = keras.ops.convert_to_numpy(keras.ops.cast(dense.kernel, "float32"))
    expected = images.mean((1, 2)) / 255 @ kernel
    np.testing.assert_allclose(Predictor.load(path).predict(images), expected, 1e-4, 1e-8)


@pytest.mark.parametrize("shared", [True, False])
def test_two_networks_in_a_model(shared, tmp_path):
    """One that is called twice, and two whose layers have the same names."""
    networks = [
        keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, name="a")], name=name)
        for name in ("one", "two")
    ]
    inputs = keras.Input((8, 8, 3))
    made = [networks[0](inputs), networks[0 if shared else 1](keras.layers.Rescaling(0.5)(inputs))]
    model = keras.Model(inputs, keras.layers.Add()(made))
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    path = ks.export.onnx(model, tmp_path / "network.onnx")
    np.testing.assert_allclose(Predictor.load(path).predict(images), model(images), 1e-4, 1e-3)


NO_ENDS = {
    "code": (keras.layers.Lambda(lambda x: 2 * x, name="mine"), "'mine' cannot .*: Lambda"),
    "part": (keras.layers.Cropping2D(1), "other rows and columns than the first"),
    "row": (keras.layers.Cropping2D(((0, 5), (0, 0))), "An output must be"),
    "rows": (lambda x: keras.layers.Concatenate(axis=1)([x, x]), "with axis 1"),
    "groups": (keras.layers.Reshape((6, 6, 2, 2)), "An output must be"),
    "order": (keras.layers.Permute((2, 1, 3)), r"Permute to \(6, 6, 4\)"),
    "no convolution": (
        lambda x: keras.layers.BatchNormalization()(keras.layers.ZeroPadding2D(1)(x)),
        "no convolution of its own",
    ),
    "a convolution that is returned": (
        lambda x: [x, keras.layers.BatchNormalization()(x)],
        "no convolution of its own",
    ),
}


@pytest.mark.parametrize("name", NO_ENDS)
def test_ends_that_are_refused(name, tmp_path):
    make, reason = NO_ENDS[name]
    with pytest.raises(ValueError, match=reason):
        ks.export.onnx(ends_in(make), tmp_path / "network.onnx")
    assert list(tmp_path.iterdir()) == []


def test_files_of_keras_own_export_are_read(tmp_path):
    """They are channels last and take pixels, without our metadata."""
    model = ks.MobileNetV2(width=0.35, classes=4, input_shape=(32, 32, 3))
    path = ks.export.onnx(model, tmp_path / "net.onnx", batch_size=1)
    content = onnx.load(path)
    del content.metadata_props[:]
    onnx.save(content, path)
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    assert_exact(Predictor.load(path).predict(images), model, images)


def test_errors(pose, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"`path` must end in \.onnx\. Received: .*pose\.tflite"):
        ks.export.onnx(pose, tmp_path / "pose.tflite")
    with pytest.raises(ValueError, match=r"`path` must end in \.xml\. Received: .*pose\.onnx"):
        ks.export.openvino(pose, tmp_path / "pose.onnx")
    path = tmp_path / "pose.onnx"
    with pytest.raises(ValueError, match=r"`data_format` must be .* Received: .*'NHWC'"):
        ks.export.onnx(pose, path, data_format="NHWC")
    with pytest.raises(ValueError, match=r"`batch_size` must be .* Received: .*0"):
        ks.export.onnx(pose, path, batch_size=0)
    inputs = keras.Input((8, 8, 3))
    other = keras.Model(inputs, keras.layers.Conv2D(4, 3, activation="relu", name="odd")(inputs))
    with pytest.raises(ValueError, match=r"'odd' cannot be translated.* Received: Conv2D"):
        ks.export.onnx(other, path)
    wrong = ks.MobileNetV2(width=0.35, classes=4, input_shape=(32, 32, 3))
    monkeypatch.setattr(
        "keras_shufflenet.export.translation.channels_first.ACTIVATIONS", {"softmax": ("Neg", {})}
    )
    with pytest.raises(
        ks.export.ExportError, match=r"must be that of the model.* Received: a diff"
    ):
        ks.export.onnx(wrong, path)
    assert list(tmp_path.iterdir()) == []


def test_metadata_of_other_programs(tmp_path, pose):
    path = ks.export.onnx(pose, tmp_path / "pose.onnx")
    content = onnx.load(path)
    entry = next(each for each in content.metadata_props if each.key == "pose.json")
    entry.value = json.dumps({"codec": 1})
    onnx.save(content, path)
    with pytest.raises(ValueError, match=r"metadata of an ONNX file .* Received: .*pose\.onnx"):
        Predictor.load(path)
