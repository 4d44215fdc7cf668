"""`weights.load`: every kind of source, the real files, and Keras' own."""

import io
import zipfile

import h5py
import keras
import numpy as np
import pytest
import torch

import keras_shufflenet as ks
from keras_shufflenet.weights import CheckpointError, WeightsMismatchError, load
from tests.weights.test_state_dict import published, shufflenet, unchanged, values

REAL = {
    "shufflenetv2_x1.0_imagenet_dequantized.pth": "shufflenet_v2_x1_0",
    "mobilenet_v2_imagenet_dequantized.pth": "mobilenet_v2_x1_0",
    "shufflenetv2_x0.33_imagenet.pth": "shufflenet_v2_x0_33",
    "shufflenetv2_x0.25_imagenet.pth": "shufflenet_v2_x0_25",
}


@pytest.mark.parametrize("file", REAL)
def test_real_weights(shared, file):
    path = shared / "weights" / file
    model = ks.create_model(REAL[file], weights=str(path), input_shape=(64, 64, 3))
    state = torch.load(path)
    stem = next(iter(state.values())).numpy()
    np.testing.assert_array_equal(
        model.get_layer("stem_conv").kernel.numpy(), stem.transpose(2, 3, 1, 0)
    )
    bias = list(state.values())[-1].numpy()
    np.testing.assert_array_equal(model.get_layer("predictions").bias.numpy(), bias)


def test_other_number_of_classes_takes_the_backbone_of_a_file(tmp_path):
    state = published()
    torch.save({key: torch.from_numpy(array) for key, array in state.items()}, tmp_path / "a.pth")
    with pytest.warns(UserWarning, match="`predictions` is new"):
        model = shufflenet(classes=5, weights=str(tmp_path / "a.pth"))
    stem = model.get_layer("stem_conv").kernel.numpy()
    np.testing.assert_array_equal(stem, state["conv1.0.weight"].transpose(2, 3, 1, 0))


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    return shufflenet(classes=10)


@pytest.fixture(scope="module", params=(".keras", ".weights.h5"))
def saved(request, trained, tmp_path_factory):
    """The file of a model."""
    path = tmp_path_factory.mktemp("keras") / f"model{request.param}"
    trained.save(path) if request.param == ".keras" else trained.save_weights(path)
    return path


def same_body(first, second, head="predictions") -> bool:
    pairs = zip(first.layers, second.layers, strict=True)
    return all(
        np.array_equal(a.numpy(), b.numpy())
        for one, other in pairs
        if one.name != head
        for a, b in zip(one.weights, other.weights, strict=True)
    )


def test_files_of_keras(trained, saved):
    model = shufflenet(classes=10)
    assert not same_body(model, trained)
    load(model, saved)
    assert same_body(model, trained, head="")


def test_backbone_of_a_file_of_keras(trained, saved):
    model = shufflenet(classes=3)
    load(model, saved, include_head=False)
    assert same_body(model, trained)
    headless = shufflenet(include_top=False)
    load(headless, saved)
    stem = headless.get_layer("stem_conv").kernel.numpy()
    np.testing.assert_array_equal(stem, trained.get_layer("stem_conv").kernel.numpy())


def test_file_of_another_model(saved):
    for model, reason in {
        shufflenet(classes=9): r"layer 'predictions' is \[\(1024, 10\), \(10,\)\]",
        ks.MobileNetV2(0.35, input_shape=(64, 64, 3)): "layer 'block0_dw'",
    }.items():
        before = values(model)
        with pytest.raises(WeightsMismatchError, match=rf"(?s){reason}.*Received: .*model"):
            load(model, saved)
        assert unchanged(model, before)


def test_truncated_file_of_keras(tmp_path, trained, saved):
    path = tmp_path / saved.name
    good, before = saved.read_bytes(), values(trained)
    for end in (9, 100, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:end])
        with pytest.raises(CheckpointError, match="Received: "):
            load(trained, path)
        assert unchanged(trained, before)


def hdf5(folder, fill):
    path = folder / "weights.h5"
    with h5py.File(path, "w") as file:
        variables = file.create_group("layers/dense/vars")
        variables.attrs["name"] = "predictions"
        fill(variables)
    return path


def small_model() -> keras.Model:
    image = keras.Input((2,))
    return keras.Model(image, keras.layers.Dense(3, use_bias=False, name="predictions")(image))


def test_numbers_elsewhere_on_the_machine_are_refused(tmp_path):
    secret = np.arange(6.0, dtype=np.float32)
    secret.tofile(tmp_path / "secret")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["numbers"] = secret.reshape(2, 3)
    fills = {
        "external": lambda group: group.create_dataset(
            "0", (2, 3), "f4", external=[(str(tmp_path / "secret"), 0, 24)]
        ),
        "link": lambda group: group.__setitem__(
            "0", h5py.ExternalLink(str(tmp_path / "other.h5"), "numbers")
        ),
    }
    for fill in fills.values():
        model = small_model()
        before = values(model)
        with pytest.raises(CheckpointError, match=r"not a plain array|a link"):
            load(model, hdf5(tmp_path, fill))
        assert unchanged(model, before)


def test_huge_claims_are_not_read(tmp_path):
    path = hdf5(
        tmp_path, lambda group: group.create_dataset("0", (2**30, 2**10), "f4", chunks=True)
    )
    with pytest.raises(CheckpointError, match="claim to unpack to 4398046511104"):
        load(small_model(), path)


def test_bomb_in_a_model_file(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(1 << 24))
    (tmp_path / "model.keras").write_bytes(stream.getvalue())
    with pytest.raises(CheckpointError, match="claim to unpack to 16777216"):
        load(small_model(), tmp_path / "model.keras")


def test_hdf5_without_keras_layers(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["numbers"] = np.ones(3)
    with pytest.raises(CheckpointError, match="layers"):
        load(small_model(), tmp_path / "a.h5")


def test_an_unknown_name():
    with pytest.raises(ValueError, match=r"list_weights.*Received: weights='shufflenet_v2_x1.tv'"):
        load(small_model(), "shufflenet_v2_x1.tv")


@pytest.mark.parametrize("source", ["missing.pth", "missing/weights"])
def test_a_missing_file(source):
    with pytest.raises(
        FileNotFoundError, match=rf"must be an existing file. Received: weights='{source}'"
    ):
        load(small_model(), source)


def test_near_names_are_proposed():
    with pytest.raises(ValueError, match=r"such as 'shufflenet_v2_x1_0\.torchvision'"):
        load(small_model(), "shufflenet_v2_x1_0.torchvison")


def test_imagenet_needs_a_published_network():
    with pytest.raises(
        ValueError, match=r"published imagenet weights.*Received: .*'mobilenet_v2_x0_35'"
    ):
        load(small_model(), "imagenet", model_name="mobilenet_v2_x0_35")


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
@pytest.mark.parametrize("first", [True, False])
def test_files_of_keras_know_whether_the_network_reads_rgb_or_bgr(tmp_path, shallow, suffix, first):
    """With preprocessing the authors' networks take RGB, without BGR: the stem is turned round."""
    with shallow():
        source, target, again = (
            ks.ShuffleNetV2(0.5, "megvii", preprocessing, input_shape=(32, 32, 3))
            for preprocessing in (first, not first, first)
        )
    path = tmp_path / f"model{suffix}"
    source.save(path) if suffix == ".keras" else source.save_weights(path)
    stem = source.get_layer("stem_conv").kernel.numpy()
    load(target, path)
    np.testing.assert_array_equal(target.get_layer("stem_conv").kernel.numpy(), stem[:, :, ::-1])
    load(again, path)
    np.testing.assert_array_equal(again.get_layer("stem_conv").kernel.numpy(), stem)
    assert same_body(source, again, head="")


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_mean_and_std_are_no_part_of_the_weights(tmp_path, trained, suffix):
    path = tmp_path / f"model{suffix}"
    trained.save(path) if suffix == ".keras" else trained.save_weights(path)
    bare = shufflenet(classes=10, include_preprocessing=False)
    load(bare, path)
    kernels = [m.get_layer("stem_conv").kernel.numpy() for m in (bare, trained)]
    np.testing.assert_array_equal(*kernels)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".safetensors", ".pth"])
def test_a_classifier_that_fits_is_loaded(tmp_path, trained, suffix):
    path = tmp_path / f"model{suffix}"
    if suffix == ".pth":
        state = ks.weights.state_dict(trained)
        torch.save({key: torch.from_numpy(array) for key, array in state.items()}, path)
    else:
        ks.weights.save(trained, path)
    model = shufflenet(classes=10, weights=str(path))
    assert same_body(model, trained, head="")
    with pytest.warns(UserWarning, match="`predictions` is new"):
        other = shufflenet(classes=3, weights=str(path))
    assert same_body(other, trained)


def test_of_shufflenet_v2_plus_only_the_classifier_depends_on_the_classes(shallow, tmp_path):
    def build(**arguments):
        with shallow():
            return ks.ShuffleNetV2Plus(input_shape=(32, 32, 3), **arguments)

    source = build()
    for suffix in (".safetensors", ".weights.h5"):
        path = tmp_path / f"plus{suffix}"
        ks.weights.save(source, path)
        with pytest.warns(UserWarning, match="`predictions` is new"):
            other = build(classes=4, weights=str(path))
        assert same_body(other, source)
        headless = build(include_top=False, weights=str(path))
        kernels = [m.get_layer("conv_last").kernel.numpy() for m in (headless, source)]
        np.testing.assert_array_equal(*kernels)
