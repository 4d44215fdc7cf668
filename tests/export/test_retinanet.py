"""Files of a RetinaNet: rows of anchors, layers that several levels share, repeated pixels."""

import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.litert import schema
from tests.export.conftest import PYRAMID_CHANNELS as CHANNELS
from tests.noise import TOLERANCE, exact

LEVELS, POINTS = 5, 64 + 16 + 4 + 1 + 1


def kernels_like(path, shape: tuple[int, ...]) -> int:
    """Return the number of constants of a shape in a file."""
    graph = schema.schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0).subgraphs[0]
    return sum(tuple(tensor.shape) == shape for tensor in graph.tensors)


def test_the_file_equals_the_model(exported, retinanet, images):
    file = exported("retinanet")
    assert (file.report.optimized, file.report.delegate_partitions) == ("yes", 1)
    assert "TILE" not in file.report.operators
    found = file.predict(images[:2])
    expected, noise = exact(retinanet, images[:2])
    assert found.shape == (2, 9 * POINTS, 2 + 4)
    assert np.abs(found - expected).max() <= TOLERANCE * noise


def test_int8_is_one_partition_of_a_detector(exported, images):
    file = exported("retinanet", "int8")
    assert (file.report.optimized, file.report.delegate_partitions) == ("yes", 1)
    assert min(error.correlation for error in file.report.errors) > 0.98
    detector = ks.inference.Detector.load(file.path)
    assert detector.class_names == ("cat", "dog")
    assert len(detector.detect([images[0], images[1]])) == 2


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_levels_share_their_kernels(exported, precision):
    path = exported("retinanet", precision).path
    pyramid = LEVELS
    assert kernels_like(path, (CHANNELS, 3, 3, CHANNELS)) == pyramid + 2
    assert kernels_like(path, (2 * 9, 3, 3, CHANNELS)) == 1
    assert kernels_like(path, (4 * 9, 3, 3, CHANNELS)) == 1
