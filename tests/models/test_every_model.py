"""What holds for every model of the registry."""

import contextlib
import re
import subprocess
import sys

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

import keras_shufflenet as ks
from tests.models import golden_nets
from tests.noise import assert_exact
from tests.rounding import EPSILON32

NETWORKS = [name for name in ks.list_models() if name not in golden_nets.LARGEST]
# One of each variant, where networks of a variant differ in numbers only.
STRUCTURES = [
    "shufflenet_v1_x0_5_g8",
    "shufflenet_v1_x1_0_g2_mmcls",
    "shufflenet_v2_x0_25",
    "shufflenet_v2_x0_5_megvii",
    "shufflenet_v2_plus_small",
    "one_shot",
    "detnas_voc_fpn_300m",
    "mobilenet_v2_x0_35",
    "mobilenet_v2_x0_35_tonylins",
    "mobilenet_v2_x0_35_keras",
]
SAVED = STRUCTURES[2::3]
STRIDES = (2, 4, 8, 16, 32)
CLASSES = 7
HALF_PRECISIONS = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}

NAMES = re.compile(
    r"image|preprocessing|avg_pool|dropout|predictions"
    r"|stem_(conv[23]?|pool)(_pad|_bn|_relu|_hard_silu)?|conv_last(_bn|_relu|_hard_silu)?"
    r"|stage\d_unit\d+_(add|concat|keep|pool(_pad)?|relu|take|(un)?shuffle(_reshape|_permute)?)"
    r"|stage\d_unit\d+_((main|proj)_)?(separable\d_)?(pw1|pw2|pw|dw)(_pad|_bn|_relu|_hard_silu)?"
    r"|stage\d_unit\d+_(down|proj|main_conv|last|se_\w+)(_pad|_bn|_relu)?|stage\d_last(_bn|_relu)?"
    r"|(head|stage[34]_unit\d_main)_se_(pool|reduce(_bn|_relu)?|expand|gate|scale)"
    r"|head_fc(_hard_silu)?|head_(reshape|flatten)"
    r"|block\d+_(add|(expand|dw|project)(_pad|_bn|_relu)?)"
)


def images(size: int, count: int = 1) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype("float32")


def shape(size: int) -> dict:
    return {"input_shape": (size, size, 3)}


def run(model, x) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(x, training=False)).astype("float32")


def randomize_weights(model) -> None:
    """Weights that keep the size of activations; those of the start let them vanish."""
    draw = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            variance = 1.3 / np.prod(layer.kernel.shape[:2])
        elif hasattr(layer, "kernel"):
            *area, inputs, outputs = layer.kernel.shape
            variance = 4 / (inputs + outputs) / np.prod(area)
        else:
            continue
        layer.kernel.assign(draw.normal(0, np.sqrt(variance), layer.kernel.shape))


def check_layers(model) -> None:
    """Keras' own layers only, four axes at most, systematic names."""
    names = [operation.name for operation in model.operations]
    assert [name for name in names if not NAMES.fullmatch(name)] == []
    assert len(set(names)) == len(names)
    nodes = [node for operation in model.operations for node in operation._inbound_nodes]
    assert max(len(node.outputs[0].shape) for node in nodes) == 4
    modules = {layer["module"].partition(".")[0] for layer in model.get_config()["layers"]}
    assert modules <= {"keras"}
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    epsilon = {"shufflenet_v2_large": 1e-9}.get(model.name, 1e-5)
    epsilon = 1e-3 if model.name.endswith("_keras") else epsilon
    assert {(norm.epsilon, norm.momentum) for norm in norms} == {(epsilon, 0.9)}


def check_features(model, size: int) -> None:
    maps = ks.feature_extractor(model, STRIDES).outputs
    assert [size // output.shape[1] for output in maps] == list(STRIDES)
    assert [size // output.shape[2] for output in maps] == list(STRIDES)
    assert all(output.shape[3] >= 8 for output in maps)


@pytest.fixture(scope="module")
def network(request):
    """A network by its name: (name, network)."""
    return request.param, ks.create_model(request.param)


@pytest.mark.parametrize("network", NETWORKS, indirect=True)
def test_network(network):
    name, model = network
    assert model.name == name
    assert model.output.shape == (None, 1000)
    assert ks.count_params_and_macs(model) == ks.models.MODEL_STATS[name]
    check_layers(model)
    check_features(model, 224)


@pytest.mark.parametrize("network", STRUCTURES, indirect=True)
def test_backbone_of_a_file_on_a_tensor_of_the_user(network, tmp_path):
    name, model = network
    ks.weights.save(model, tmp_path / "weights.safetensors")
    camera = keras.Input((224, 224, 3), name="camera")
    backbone = ks.create_model(
        name,
        include_top=False,
        pooling="max",
        input_tensor=keras.layers.Rescaling(255.0, name="to_bytes")(camera),
        weights=str(tmp_path / "weights.safetensors"),
    )
    assert backbone.input is camera
    assert backbone.output.shape == model.get_layer("avg_pool").output.shape
    loaded = {weight.path: weight for weight in backbone.weights}
    shared = [weight for weight in model.weights if weight.path in loaded]
    assert len(shared) == len([path for path in loaded if "to_bytes" not in path])
    for weight in shared[:2] + shared[-2:]:
        np.testing.assert_array_equal(loaded[weight.path].numpy(), weight.numpy())


@pytest.mark.parametrize("name", STRUCTURES[::4])
def test_half_precision_stays_close(name, shallow):
    """Of all features; the probabilities are in float32 and sum up to 1."""
    with shallow():
        model = ks.create_model(name, **shape(64))
    randomize_weights(model)
    features = keras.Model(model.input, [model.get_layer("avg_pool").input, model.output])
    expected, probabilities = (y.numpy() for y in features(images(64), training=False))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=16 * EPSILON32)
    for policy, dtype in HALF_PRECISIONS.items():
        with precision(policy), shallow():
            half = ks.create_model(name, include_top=False, **shape(64))
        half.set_weights(model.get_weights()[: len(half.weights)])
        assert half.get_layer("stem_conv").compute_dtype == dtype
        difference = np.linalg.norm(run(half, images(64)) - expected)
        # Each layer rounds, and the errors add up like a random walk.
        tolerance = float(ml_dtypes.finfo(dtype).eps) * len(half.layers) ** 0.5
        assert difference < tolerance * np.linalg.norm(expected)


@contextlib.contextmanager
def precision(policy: str):
    """A dtype policy for a while."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("name", golden_nets.LARGEST)
def test_largest(shared, synth, name):
    """Everything of one network: building it takes its time."""
    golden, fixture = shared / "golden", f"megvii_{name}"
    model = golden_nets.load(golden, synth, fixture, cases=1)
    golden_nets.check(golden_nets.errors(golden, synth, fixture, model, cases=1))
    check_layers(model)
    check_features(model, 224)
    assert model.name == name


@pytest.mark.parametrize("name", ks.list_models(task="pose"))
def test_pose_estimator(name):
    model = ks.create_model(name)
    assert model.name == name
    height, width, keypoints = model.output.shape[1:]
    size = tuple(map(int, name.rpartition("_")[2].split("x")))
    assert (4 * height, 4 * width) == size == model.input.shape[1:3]
    assert keypoints == (16 if "_mpii_" in name else 17)
    assert ks.count_params_and_macs(model) == ks.models.MODEL_STATS[name]
    (published, *_) = ks.weights.list_weights(name)
    assert published.crop_size == size


@pytest.mark.parametrize("name", STRUCTURES[::4])
def test_xla_gives_the_same_numbers(name, shallow):
    with shallow():
        model = ks.create_model(name, classes=CLASSES, **shape(32))
    compiled = tf.function(lambda x: model(x, training=False), jit_compile=True)
    assert_exact(np.asarray(compiled(images(32))), model, images(32))


@pytest.mark.parametrize("name", STRUCTURES[::2])
def test_an_open_size_gives_the_same_numbers(name, shallow):
    with shallow():
        fixed, opened = (ks.create_model(name, input_shape=(n, n, 3)) for n in (64, None))
    check_layers(opened)
    randomize_weights(fixed)
    opened.set_weights(fixed.get_weights())
    assert_exact(run(opened, images(64)), fixed, images(64))


def test_saved_models_open_without_the_package(tmp_path, shallow):
    np.save(tmp_path / "images.npy", images(64))
    models = {}
    for name in SAVED:
        with shallow():
            model = ks.create_model(name, **shape(64))
        model.save(tmp_path / f"{name}.keras")
        models[name] = model
    script = (
        "import sys, keras, numpy as np, pathlib\n"
        "sys.modules['keras_shufflenet'] = None\n"
        "for path in pathlib.Path().glob('*.keras'):\n"
        "    output = keras.models.load_model(path)(np.load('images.npy'))\n"
        "    np.save(path.with_suffix('.npy'), output)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name, model in models.items():
        assert_exact(np.load(tmp_path / f"{name}.npy"), model, images(64))
