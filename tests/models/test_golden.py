"""Equality with the reference networks, proven on synthesized weights."""

import numpy as np
import pytest

from keras_shufflenet.keypoints.codec import HeatmapCodec
from tests.models import golden_nets
from tests.rounding import EPSILON32, rounding_error

CLASSIFIERS = [  # the largest are in test_every_model.py
    name
    for name, model in golden_nets.NETS.items()
    if model is not None and model not in golden_nets.LARGEST
]
POSE_NETS = [name for name, model in golden_nets.NETS.items() if model is None]

DECODED = [name for name in POSE_NETS if name.startswith("mmpose_")]  # not those of mmpose 1


@pytest.mark.parametrize("name", [*CLASSIFIERS, *golden_nets.SUPERNETS])
def test_outputs_taps_and_costs_equal_the_reference(shared, synth, name):
    model = golden_nets.load(shared / "golden", synth, name)
    golden_nets.check(golden_nets.errors(shared / "golden", synth, name, model))


@pytest.fixture(scope="module")
def pose_net(request, shared, synth):
    """A pose estimator of mmpose: (name of the fixture, network)."""
    return request.param, golden_nets.load(shared / "golden", synth, request.param)


@pytest.mark.parametrize("pose_net", POSE_NETS, indirect=True)
def test_heatmaps_taps_and_costs_equal_the_reference(shared, synth, pose_net):
    golden_nets.check(golden_nets.errors(shared / "golden", synth, *pose_net))


@pytest.mark.parametrize("pose_net", DECODED, indirect=True)
def test_flip_test_and_decoded_keypoints_equal_the_reference(shared, synth, pose_net):
    name, model = pose_net
    meta, arrays = golden_nets.load_fixture(shared / "golden", name)
    (case,) = meta["cases"]
    x = golden_nets.image(synth, case)
    skeleton = name.split("_")[2]
    codec = HeatmapCodec(x.shape[1:3])
    mirrored = codec.flip_back(golden_nets.run(model, x[:, :, ::-1])[0], skeleton)
    heatmaps = (golden_nets.run(model, x)[0] + mirrored) / 2
    error = np.abs(
        golden_nets._sample(heatmaps, arrays["a_flip_index"]) - arrays["a_flip_value"]
    ).max()
    tolerance = golden_nets.TOLERANCE * case["flip_test"]["noise"]
    assert error <= tolerance
    points, scores = codec.decode(heatmaps)
    points = codec.input_to_image(points, arrays["a_center"], arrays["a_scale"])
    expected = arrays["a_flip_keypoints"]
    certain = arrays["a_flip_margin"] > tolerance
    assert certain.mean() > 0.9
    places, tolerance = (
        expected[..., :2][certain],
        golden_nets.TOLERANCE * case["flip_test"]["noise"],
    )
    np.testing.assert_allclose(points[certain], places, atol=rounding_error(places, 8, EPSILON32))
    np.testing.assert_allclose(scores, expected[..., 2], atol=tolerance)
