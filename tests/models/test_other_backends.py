"""Networks on JAX and PyTorch are those of TensorFlow and of the references."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import golden_nets
from tests.noise import TOLERANCE

FAST_COMPILATION = "--xla_backend_optimization_level=0"  # of graphs that run once
ONNX_TOLERANCE = 1e-5  # of probabilities
SUPERNET_TOLERANCE = 1e-5  # relative
PROGRAM = "tests.models.other_backends"
# JAX compiles each network for seconds; the blocks that it does not see here it sees in others.
PLANS = {
    "jax": {
        "nets": [
            "megvii_shufflenet_v1_g3_0.5x",
            "mmpose_shufflenetv2_coco_256x192",
            "torchvision_mobilenet_v2_0.5",
        ],
        "detectors": ["nanodet_plus_m"],
        "channels_first": [],
        "onnx": ["shufflenet_v2_x0_25"],
        "supernets": ["one_shot"],
    },
    "torch": {
        "nets": [
            "megvii_shufflenet_v1_g3_0.5x",
            "torchvision_shufflenet_v2_x0_5",
            "megvii_shufflenet_v2_0.5x",
            "megvii_shufflenet_v2_plus_small",
            "megvii_oneshot",
            "detnas_coco_fpn_300m",
            "torchvision_mobilenet_v2_0.5",
            "mmpose_shufflenetv2_coco_256x192",
        ],
        "detectors": ["nanodet_plus_m"],
        "channels_first": [  # TensorFlow has no such convolutions on a CPU
            "shufflenet_v1_x0_5_g8",
            "shufflenet_v2_x0_25",
            "shufflenet_v2_plus_small",
            "detnas_voc_fpn_300m",
            "mobilenet_v2_x0_35_tonylins",
        ],
        "onnx": ["shufflenet_v2_x0_25"],
        "supernets": ["one_shot"],
    },
}


@pytest.mark.parametrize("backend", PLANS)
def test_networks_equal_the_reference_in_both_formats(shared, backend):
    """In one program, which takes seconds to start."""
    done = subprocess.run(
        [sys.executable, "-m", PROGRAM, str(shared / "golden"), json.dumps(PLANS[backend])],
        env={**os.environ, "KERAS_BACKEND": backend, "XLA_FLAGS": FAST_COMPILATION},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert {kind: sorted(errors) for kind, errors in found.items()} == {
        kind: sorted(names) for kind, names in PLANS[backend].items()
    }
    for errors in (*found["nets"].values(), *found["detectors"].values()):
        golden_nets.check(errors)
    formats = found["channels_first"]
    assert {name: error for name, error in formats.items() if not error <= TOLERANCE} == {}
    assert all(difference < ONNX_TOLERANCE for difference in found["onnx"].values())
    assert all(difference < SUPERNET_TOLERANCE for difference in found["supernets"].values())
