"""Fixtures shared by the whole test suite."""

import gc
import json
import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # the other core runs other tests

gc.set_threshold(100_000, 5, 5)  # a Keras model is so many objects that collecting takes its time

SHARED = Path(__file__).resolve().parents[2] / "shared"


# What runs one after another in one worker: a file, or this folder, whose tests share what they
# export. The longest start first: none is left to one worker at the end.
TOGETHER = "export"
LONGEST = (
    TOGETHER,
    "test_every_model.py",
    "test_docs.py",
    "test_golden.py",
    "test_other_backends.py",
    "test_real_accuracy.py",
    "test_commands.py",
    "test_latency.py",
    "test_killed_trainings.py",
    "test_own_keypoints.py",
    "test_coco.py",
    "test_examples.py",
    "test_trainer.py",
    "test_detection.py",
    "test_train_detect.py",
    "test_demo.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first, in the order above."""
    rank = {name: index for index, name in enumerate(LONGEST)}
    items.sort(key=lambda item: min(rank.get(part, len(rank)) for part in item.path.parts))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give the workers whole files, and the folder as if it were one."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            folder, _, file = nodeid.partition("::")[0].rpartition("/")
            return folder if folder.endswith(f"/{TOGETHER}") else f"{folder}/{file}"

    return Scheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def _graphs_as_they_are() -> None:
    """Optimizing a graph takes TensorFlow longer than the few times that a test runs it."""
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    gc.freeze()  # what is imported stays: networks that are no longer used are found sooner


@pytest.fixture(scope="session")
def shallow():
    """A context in which networks have a third of their units."""
    from tests.shortcuts import shallow as context

    return context


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, weights and golden outputs beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("the folder ../shared (real data, weights, golden outputs) is not here")
    return SHARED


@pytest.fixture(scope="session")
def synth(shared):
    """The module that synthesizes the weights and inputs of the golden fixtures."""
    sys.path.insert(0, str(shared / "golden"))
    try:
        import synth as module
    finally:
        sys.path.pop(0)
    module._bell = _bell_of(module._BELL_SCALE)
    return module


def _bell_of(scale):
    """Return a function equal to the module's `_bell` that is six times as fast."""
    import numpy as np

    def bell(words):
        fields = words.view(np.uint16).reshape(words.size, 4)
        total = fields[:, 0].astype(np.int32)
        for column in (1, 2, 3):
            total += fields[:, column]
        return (total - 131070) * scale

    return bell


@pytest.fixture(scope="session")
def golden_pose(shared):
    """Load a fixture of golden/pose by name: arrays keyed `in/...` and `v029/...`."""
    import numpy as np

    def load(name: str):
        path = shared / "golden" / "pose" / name
        if path.suffix == ".json":
            return json.loads(path.read_text())
        return np.load(path.with_suffix(".npz"))

    return load


@pytest.fixture(scope="session")
def simple_pose(shared):
    """A really trained COCO pose net: a predictor of images (N, 256, 192, 3)."""
    from keras_shufflenet.inference.predictor import Predictor

    path = shared / "weights" / "simplepose_mobilenetv2_0.5_coco.onnx"
    return Predictor.load(path, num_threads=1)
