"""Keras files of others: keras.applications, fine-tuned models, damaged and hostile files."""

import os

import h5py
import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.weights import CheckpointError, WeightsMismatchError, load
from tests.weights.test_state_dict import unchanged, values

NAME = "shufflenet_v2_x0_25"
SIZE = (64, 64, 3)


def randomize(model) -> None:
    """Numbers of their own for every layer, running statistics included."""
    draw = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([draw.uniform(0.5, 1.5, w.shape) for w in layer.weights])


def images(count=2) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (count, *SIZE)).astype(np.float32)


def run(model, x) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(x, training=False))


@pytest.fixture(scope="module")
def application() -> keras.Model:
    model = keras.applications.MobileNetV2(SIZE, alpha=0.35, weights=None, classes=10)
    randomize(model)
    return model


def tf_keras_file(model, path) -> None:
    """Write the format of Keras 2, in which the weights of keras.applications are published."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0".encode() for weight in layer.weights]
            group.attrs["weight_names"] = names
            for name, weight in zip(names, layer.weights, strict=True):
                group[name.decode()] = weight.numpy()


@pytest.fixture(scope="module", params=["weights.h5", "model.keras", "model.h5", "keras 2.h5"])
def published(request, application, tmp_path_factory):
    path = tmp_path_factory.mktemp("applications") / request.param
    if request.param == "weights.h5":
        path = path.with_name("a.weights.h5")
        application.save_weights(path)
    elif request.param == "model.keras":
        application.save(path)
    elif request.param == "model.h5":
        keras.src.legacy.saving.legacy_h5_format.save_model_to_hdf5(application, path)
    else:
        tf_keras_file(application, path)
    return path


def test_weights_of_keras_applications(application, published):
    model = ks.MobileNetV2(
        0.35, "keras", classes=10, input_shape=SIZE, weights=str(published), name="ours"
    )
    x = images()
    expected = run(application, x / 127.5 - 1)
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(run(model, x), expected, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def others() -> list[keras.Model]:
    """PyTorch's network, and one of another width."""
    return [
        ks.MobileNetV2(0.35, classes=10, input_shape=SIZE),
        ks.MobileNetV2(0.5, "keras", input_shape=SIZE),
    ]


def test_other_networks_are_not_that_of_keras_applications(published, others):
    reasons = (
        r"keras/mobilenet_v2.*`MobileNetV2\(variant=\"keras\"\)` is the network of TensorFlow",
        r"layer 'block1_project' is \[\(1, 1, 48, 8\)\]",
    )
    for model, reason in zip(others, reasons, strict=True):
        before = values(model)
        with pytest.raises(WeightsMismatchError, match=rf"(?s){reason}.*Received: "):
            load(model, published)
        assert unchanged(model, before)


def test_the_backbone_of_keras_applications(application, tmp_path):
    path = tmp_path / "a.weights.h5"
    application.save_weights(path)
    model = ks.MobileNetV2(0.35, "keras", include_top=False, input_shape=SIZE, weights=str(path))
    kernels = [
        m.get_layer(n).kernel.numpy() for m, n in ((model, "conv_last"), (application, "Conv_1"))
    ]
    np.testing.assert_array_equal(*kernels)


@pytest.fixture(scope="module")
def small(shallow):
    """A function that builds a small network."""

    def build(**arguments) -> keras.Model:
        with shallow():
            return ks.create_model(NAME, input_shape=SIZE, **arguments)

    return build


@pytest.fixture(scope="module")
def backbone(small) -> keras.Model:
    model = small(include_top=False)
    randomize(model)
    return model


@pytest.fixture(scope="module")
def target(small) -> keras.Model:
    return small(include_top=False)


def within_a_model(backbone) -> keras.Model:
    image = keras.Input(SIZE)
    x = keras.layers.GlobalAveragePooling2D()(backbone(image))
    return keras.Model(image, keras.layers.Dense(4)(x))


def on_top(backbone) -> keras.Model:
    x = keras.layers.GlobalAveragePooling2D()(backbone.output)
    x = keras.layers.Dense(8, activation="relu", name="my_hidden")(x)
    return keras.Model(backbone.input, keras.layers.Dense(4, name="my_classes")(x))


class Subclass(keras.Model):
    """A model whose layers are attributes."""

    def __init__(self, backbone):
        super().__init__()
        self.features = backbone
        self.classes = keras.layers.Dense(4)

    def call(self, x):
        return self.classes(keras.ops.mean(self.features(x), (1, 2)))


def subclassed(backbone) -> keras.Model:
    model = Subclass(backbone)
    model(images(1))
    return model


FINE_TUNED = {
    "on top": on_top,
    "within a model": within_a_model,
    "within a model within a model": lambda backbone: within_a_model(
        keras.Model(image := keras.Input(SIZE), backbone(image), name="inner")
    ),
    "sequential": lambda backbone: keras.Sequential(
        [backbone, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4)]
    ),
    "subclass": subclassed,
    "frozen": lambda backbone: within_a_model(frozen(backbone)),
}
LEFT_OUT = ("on top",)


def frozen(backbone) -> keras.Model:
    backbone.trainable = False
    return backbone


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        (name, suffix)
        for name in FINE_TUNED
        for suffix in (".keras", ".weights.h5", ".h5")
        if (name, suffix) != ("subclass", ".keras")  # takes a configuration of one's own
    ],
)
def test_the_backbone_in_a_fine_tuned_model(backbone, target, tmp_path, name, suffix):
    target.set_weights([np.zeros(weight.shape) for weight in target.weights])
    model, path = FINE_TUNED[name](backbone), tmp_path / f"mine{suffix}"
    if suffix == ".h5":
        keras.src.legacy.saving.legacy_h5_format.save_weights_to_hdf5_group(
            file := h5py.File(path, "w"), model
        )
        file.close()
    else:
        model.save(path) if suffix == ".keras" else model.save_weights(path)
    if name in LEFT_OUT:
        with pytest.warns(UserWarning, match="beside the network.*'my_hidden'"):
            load(target, path)
    else:
        load(target, path)
    for ours, theirs in zip(target.weights, backbone.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_own_models_as_backbones(small, shallow, tmp_path):
    classifier = small(classes=5)
    with shallow():
        pose = ks.PoseEstimator(NAME, head="light", input_size=(64, 64))
    for source in (classifier, pose):
        randomize(source)
        path = tmp_path / f"{source.name}.keras"
        source.save(path)
        with shallow():
            targets = [
                ks.create_model(NAME, include_top=False, weights=str(path)),
                ks.PoseEstimator(NAME, input_size=(64, 64), backbone_weights=str(path)),
            ]
            with pytest.warns(UserWarning, match="`predictions` is new"):
                targets.append(small(classes=3, weights=str(path)))
        for target in targets:
            for layer in ("stem_conv", "conv_last", "conv_last_bn"):
                for ours, theirs in zip(
                    target.get_layer(layer).weights, source.get_layer(layer).weights, strict=True
                ):
                    np.testing.assert_array_equal(ours, theirs)


def test_a_deeper_network_is_not_a_backbone_with_a_head(target, tmp_path):
    path = tmp_path / "deep.keras"
    ks.create_model(NAME, input_shape=SIZE, include_top=False).save(path)
    with pytest.raises(WeightsMismatchError, match=r"unexpected keys.*\n *layer 'stage\d_unit2_"):
        load(target, path)


def test_two_networks_in_a_model(small, backbone, target, tmp_path):
    image = keras.Input(SIZE)
    first, second = backbone, small(include_top=False)
    second.name = "second"
    path = tmp_path / "two.weights.h5"
    keras.Model(image, [first(image), second(image)]).save_weights(path)
    with pytest.raises(WeightsMismatchError, match=r"several networks.*'layers/functional'"):
        load(target, path)


@pytest.fixture(scope="module")
def good(backbone, tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "good.weights.h5"
    backbone.save_weights(path)
    return path


def changed(good, path, change):
    path.write_bytes(good.read_bytes())
    with h5py.File(path, "r+") as file:
        layer = next(name for name in file["layers"] if "vars" in file[f"layers/{name}"])
        change(file, f"layers/{layer}")
    return path


@pytest.mark.parametrize("kind", ["external", "soft", "FIFO"])
@pytest.mark.parametrize("place", ["layers", "{layer}", "{layer}/vars", "{layer}/vars/0"])
def test_links_are_not_followed(target, good, tmp_path, kind, place):
    other = good if kind == "external" else tmp_path / "fifo"
    if kind == "FIFO":
        os.mkfifo(other)  # to open it would wait forever

    def link(file, layer):
        name = place.format(layer=layer)
        if kind == "soft":
            file.move(name, "elsewhere")
        else:
            del file[name]
        file[name] = (
            h5py.SoftLink("/elsewhere") if kind == "soft" else h5py.ExternalLink(str(other), name)
        )

    before = values(target)
    with pytest.raises(CheckpointError, match=r"a link.*Received: .*bad\.weights\.h5"):
        load(target, changed(good, tmp_path / "bad.weights.h5", link))
    assert unchanged(target, before)


TYPES = {
    "bytes": "S4",
    "text": h5py.string_dtype(),
    "references": h5py.ref_dtype,
    "records": np.dtype([("a", "f4")]),
    "complex": "c8",
    "integers": "i4",
    "booleans": "?",
}


@pytest.mark.parametrize("kind", TYPES)
def test_other_types_are_refused_before_anything_is_assigned(target, good, tmp_path, kind):
    def change(file, layer):
        shape = file[f"{layer}/vars/0"].shape
        del file[f"{layer}/vars/0"]
        file.create_dataset(f"{layer}/vars/0", shape, TYPES[kind])

    before = values(target)
    with pytest.raises(CheckpointError, match=r"vars/0 is of type .*Received: "):
        load(target, changed(good, tmp_path / "bad.weights.h5", change))
    assert unchanged(target, before)


@pytest.mark.parametrize("name", ["{layer}/vars/extra", "layers/stage9/vars/0"])
def test_arrays_that_no_layer_has(target, good, tmp_path, name):
    def add(file, layer):
        file[name.format(layer=layer)] = np.zeros(3)

    before = values(target)
    with pytest.raises(WeightsMismatchError, match=r"unexpected keys.*\n.*(vars/extra|'stage9')"):
        load(target, changed(good, tmp_path / "bad.weights.h5", add))
    assert unchanged(target, before)


@pytest.mark.parametrize("name", ["extra", "vars/0"])
def test_arrays_beside_the_layers_are_left_out(target, good, tmp_path, name):
    path = changed(good, tmp_path / "more.weights.h5", lambda file, _: file.update({name: [1.0]}))
    with pytest.warns(UserWarning, match=f"arrays beside the network, .*left out: /{name}"):
        load(target, path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_impossible_numbers_are_refused(target, good, tmp_path, value):
    def change(file, layer):
        file[f"{layer}/vars/0"][...] = value

    before = values(target)
    with pytest.raises(WeightsMismatchError, match=r"values that no trained network has.*"):
        load(target, changed(good, tmp_path / "bad.weights.h5", change))
    assert unchanged(target, before)


def test_half_precision_is_converted(target, good, tmp_path):
    def change(file, layer):
        numbers = file[f"{layer}/vars/0"][()]
        del file[f"{layer}/vars/0"]
        file[f"{layer}/vars/0"] = numbers.astype(np.float16)

    load(target, changed(good, tmp_path / "half.weights.h5", change))
