"""Pose estimators of another encoding than mmpose's default keep it, wherever they go."""

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet import synthetic_people
from keras_shufflenet.keypoints import HeatmapCodec
from keras_shufflenet.models import model_encoding
from keras_shufflenet.training.recipes import finetune
from keras_shufflenet.weights import CheckpointError

NETWORK = {"backbone": "shufflenet_v2_x0_25", "head": "light", "input_size": (32, 32)}
OTHERS = ("unbiased", "udp")


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow):
    with shallow():
        yield


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Four synthetic people: (json, folder of images)."""
    folder = tmp_path_factory.mktemp("people")
    return tuple(
        synthetic_people.create_dataset(folder, 4, image_size=(96, 96), workers=1, verbose=False)
    )


@pytest.fixture(scope="module", params=OTHERS)
def encoding(request):
    return request.param


@pytest.fixture(scope="module")
def model(_shallow, encoding):
    return ks.PoseEstimator(**NETWORK, encoding=encoding)


def test_files_and_copies_keep_it(model, encoding, tmp_path):
    path = tmp_path / "pose.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    nested = keras.Sequential([keras.Input((32, 32, 3)), loaded])
    for each in (model, loaded, nested, keras.models.clone_model(model)):
        assert model_encoding(each) == encoding
    predictor = ks.inference.PosePredictor.load(path)
    assert predictor.codec == HeatmapCodec((32, 32), encoding=encoding)


def test_exported_files_keep_it(model, encoding, tmp_path):
    ks.export.litert(model, tmp_path / "pose.tflite")
    predictor = ks.inference.PosePredictor.load(tmp_path / "pose.tflite")
    assert predictor.codec == HeatmapCodec((32, 32), encoding=encoding)


def test_the_default_needs_no_layer():
    msra = ks.PoseEstimator(**NETWORK)
    assert model_encoding(msra) == "msra"
    assert "heatmap_encoding" not in [layer.name for layer in msra.layers]
    assert [w.path for w in msra.weights] == [
        w.path for w in ks.PoseEstimator(**NETWORK, encoding="udp").weights
    ]


def test_it_comes_with_weights_unless_another_is_given(model, encoding, tmp_path):
    path = str(tmp_path / "pose.keras")
    model.save(path)
    again = ks.PoseEstimator(**NETWORK, weights=path)
    assert model_encoding(again) == encoding
    images = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3))
    np.testing.assert_array_equal(*(m.predict_on_batch(images) for m in (model, again)))
    other = ks.PoseEstimator(**NETWORK, weights=path, encoding="msra")
    assert model_encoding(other) == "msra"
    model.save_weights(tmp_path / "pose.weights.h5")  # does not say it
    from_weights = ks.PoseEstimator(**NETWORK, weights=str(tmp_path / "pose.weights.h5"))
    assert model_encoding(from_weights) == "msra"


def test_the_targets_of_a_model_have_it(model, encoding, people):
    given = ks.data.keypoints(*people, model=model, batch_size=2)
    wanted = ks.data.keypoints(
        *people, codec=HeatmapCodec((32, 32), encoding=encoding), batch_size=2
    )
    for ours, theirs in zip(next(iter(given)), next(iter(wanted)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        ("udp", r"`codec` must be a HeatmapCodec\. Received: 'udp'"),
        (HeatmapCodec((64, 64)), r"the sizes of pose_.* Received: \(\(64, 64\), \(16, 16\)\)"),
    ],
)
def test_a_codec_that_does_not_fit(model, people, codec, message):
    with pytest.raises(ValueError, match=message):
        ks.data.keypoints(*people, model=model, codec=codec)


def test_a_training_has_it(model, encoding, people, tmp_path):
    task = ks.training.PoseTask(model, [people], finetune())
    assert task.description()["encoding"] == encoding
    _, heatmaps, weights = next(iter(task.data(0)))
    peaks = heatmaps.numpy().max(axis=(1, 2))[weights.numpy()[:, 0, 0] > 0]
    assert (peaks < 1).any()  # Gaussians between the pixels; those of "msra" reach 1
    msra = ks.training.PoseTask(ks.PoseEstimator(**NETWORK), [people], finetune())
    assert "encoding" not in msra.description()


@pytest.mark.parametrize("wrong", ["dark", "udp_combined", 3])
def test_errors(wrong):
    with pytest.raises(ValueError, match=r"'msra', 'unbiased'.* Received: "):
        ks.PoseEstimator(**NETWORK, encoding=wrong)


def test_a_file_that_is_missing_or_damaged(model, tmp_path):
    path = tmp_path / "pose.keras"
    with pytest.raises(FileNotFoundError, match=r"must be an existing file\. Received: .*pose"):
        ks.PoseEstimator(**NETWORK, weights=str(path))
    model.save(path)
    path.write_bytes(path.read_bytes().replace(b"config.json", b"confix.json"))
    with pytest.raises(CheckpointError, match=r"Received: .*pose\.keras"):
        ks.PoseEstimator(**NETWORK, weights=str(path))
