"""Detectors: equality with the reference networks, proven on synthesized weights."""

import pytest

from tests.models import golden_detectors, golden_nets


@pytest.mark.parametrize("name", golden_detectors.NETS)
def test_outputs_taps_and_costs_equal_the_reference(shared, synth, name):
    golden_nets.check(golden_detectors.errors(shared / "golden", synth, name))
