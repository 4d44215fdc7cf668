"""Weights that the package carries: nothing is downloaded, and they do what their card says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.inference.pose import predict_dataset
from keras_shufflenet.weights import WeightsUnavailableError, cache, catalog, list_weights

ROOT = Path(__file__).parents[2]
BUNDLED = [entry for entry in list_weights() if entry.is_bundled]
MAX_BYTES = 3_200_000


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_SHUFFLENET_OFFLINE", "1")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))


@pytest.mark.parametrize("entry", BUNDLED, ids=lambda entry: entry.name)
def test_files_and_cards(entry):
    path = cache.download(entry)
    assert path.stat().st_size == entry.size <= MAX_BYTES
    assert path in set(Path(ks.__file__).parent.rglob("*.weights.h5"))
    card = (ROOT / entry.source).read_text(encoding="utf-8")
    for part in ("## Data", "## Licenses", "## Metrics", "## Limits", entry.name):
        assert part in card


def test_every_file_is_in_the_catalog():
    assert {path.name for path in cache.BUNDLE.iterdir()} == {entry.file for entry in BUNDLED}
    assert "weights/bundled/*.weights.h5" in (ROOT / "setup.cfg").read_text(encoding="utf-8")


def test_a_pose_estimator_works_offline(shared):
    model = ks.create_model("pose_shufflenet_v2_x1_0_coco_256x192_fpn", weights="coco")
    entry = catalog.default_entry(model.name, "coco")
    assert entry.is_bundled
    for values in model.get_weights():
        assert np.isfinite(values).all()
    data = shared / "data" / "coco"
    dataset = ks.data.load_keypoint_dataset(
        data / "person_keypoints_val.json", data / "images"
    ).select(slice(0, 460, 10))
    predictor = ks.inference.PosePredictor.load(model)
    found = predict_dataset(predictor, dataset, verbose=False)
    distances = np.linalg.norm(found[..., :2] - dataset.instances.keypoints, axis=-1)
    size = np.sqrt(dataset.instances.areas)[:, None]
    near = (distances < 0.1 * size)[dataset.instances.keypoints_visible > 0]
    assert near.mean() > 0.6


def test_a_damaged_file_is_refused(monkeypatch):
    entry = replace(BUNDLED[0], sha256="0" * 64)
    with pytest.raises(WeightsUnavailableError, match=r"must have the sha256 0+; install it again"):
        cache.download(entry)
