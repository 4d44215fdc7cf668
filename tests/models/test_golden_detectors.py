"""Detectors: equality with the reference networks, proven on synthesized weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import golden_detectors, golden_nets

FAST_COMPILATION = "--xla_backend_optimization_level=0"  # of graphs that run once


@pytest.mark.parametrize("name", golden_detectors.NETS)
def test_outputs_taps_and_costs_equal_the_reference(shared, synth, name):
    golden_nets.check(golden_detectors.errors(shared / "golden", synth, name))


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_equal_the_reference(shared, backend):
    done = subprocess.run(
        [sys.executable, "-m", golden_detectors.__name__, str(shared / "golden"), "nanodet_plus_m"],
        env={**os.environ, "KERAS_BACKEND": backend, "XLA_FLAGS": FAST_COMPILATION},
        cwd=Path(golden_detectors.__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    golden_nets.check(json.loads(done.stdout.splitlines()[-1])["nanodet_plus_m"])
