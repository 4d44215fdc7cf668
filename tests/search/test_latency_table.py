"""Latency tables: the design, the fit, the file, and one measurement of real files."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from keras_shufflenet.search import latency_fit, latency_table
from keras_shufflenet.search.costs import measured_latency, predicted_latency
from keras_shufflenet.search.exported_latency import Deployment
from keras_shufflenet.search.latency_fit import fit
from keras_shufflenet.search.latency_table import LatencyTable, TableError
from keras_shufflenet.search.spaces import Architecture, search_space

SCALES = (0.6, 1.0, 1.4)


def deployment(scales=(1.0,), **options):
    return Deployment(space=search_space("one_shot", scales), input_size=(64, 96), **options)


def milliseconds(space, architecture):
    """A latency that is a sum over blocks: a constant for each, and a part that grows with MACs."""
    blocks = space.blocks(architecture)
    overhead = sum(b.choice / 10 + b.stage / 50 + b.strides / 30 for b in blocks)
    return 2 + overhead + 3e-7 * space.macs(architecture, (64, 96))


@pytest.mark.parametrize("scales", [(1.0,), SCALES])
def test_additive_latencies_are_predicted_exactly(scales):
    place = deployment(scales)
    space, networks = place.space, latency_fit.unknowns(place) + 8
    architectures = latency_fit.design(place, networks)
    times = np.array([milliseconds(space, each) for each in architectures])
    base, blocks = fit(place, architectures, times)
    table = LatencyTable(place, base, blocks, TableError(networks, 0, 0.0, 0.0, 0.0))
    rng = np.random.default_rng(1)
    others = [space.random(rng) for _ in range(10)]
    expected = [milliseconds(space, each) for each in others]
    np.testing.assert_allclose([table.predict(each) for each in others], expected, rtol=1e-9)
    np.testing.assert_allclose(table.predict(place.base), milliseconds(space, place.base))


def test_noise_of_the_measurement_is_averaged():
    place, rng = deployment(), np.random.default_rng(0)
    architectures = latency_fit.design(place, 64)
    times = np.array([milliseconds(place.space, each) for each in architectures])
    base, blocks = fit(place, architectures, times * rng.normal(1, 0.05, 64))
    table = LatencyTable(place, base, blocks, TableError(64, 0, 0.0, 0.0, 0.0))
    others = [place.space.random(rng) for _ in range(50)]
    errors = [table.predict(each) / milliseconds(place.space, each) - 1 for each in others]
    assert np.std(errors) < 0.05


def test_the_design_is_balanced_and_determines_the_fit():
    place = deployment(SCALES)
    architectures = latency_fit.design(place, 72)
    for unit in (0, 1, 9, 19):
        choices = [each.choices[unit] for each in architectures]
        scales = [each.channel_scales[unit] for each in architectures]
        assert {choices.count(choice) for choice in range(4)} == {18}
        assert {scales.count(scale) for scale in SCALES} == {24}
    assert architectures == latency_fit.design(place, 72)
    with pytest.raises(ValueError, match=r"at least 57, .* Received: networks=56"):
        fit(place, architectures[:56], np.ones(56))


@pytest.fixture(scope="module")
def measured():
    """A table from measurements that are the formula, with noise, in another unit."""
    place = replace(deployment(), input_size=(96, 64), head="fpn", precision="int8", threads=2)

    def measure(self, architectures, iterations, verbose=True):
        rng = np.random.default_rng(len(architectures) + iterations)
        base = milliseconds(place.space, place.base)
        times = np.array([milliseconds(place.space, each) for each in architectures])
        return times / base * rng.normal(1, 0.02, len(times)), base

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Deployment, "measure", measure)
        return latency_table.measure_table(place, held_out=9, iterations=7, verbose=False)


def test_the_error_is_that_on_architectures_of_their_own(measured):
    error = measured.table.error
    assert (error.networks, error.held_out) == (50, 9)
    errors = np.abs(measured.predicted / measured.measured - 1)[50:]
    assert (error.median_error, error.worst_error) == (np.median(errors), errors.max())
    assert 0 < error.median_error < 0.05
    place = measured.table.deployment
    macs = [place.space.macs(each, place.input_size) for each in measured.architectures]
    line = np.polyfit(macs[:50], measured.measured[:50], 1, w=1 / measured.measured[:50])
    by_macs = np.abs(np.polyval(line, macs[50:]) / measured.measured[50:] - 1)
    assert error.macs_error == pytest.approx(np.median(by_macs))
    predicted = [measured.table.predict(each) for each in measured.architectures]
    np.testing.assert_allclose(predicted, measured.predicted)


def test_a_table_is_what_its_file_says(measured, tmp_path):
    path = tmp_path / "table.csv"
    measured.table.save(path)
    read = LatencyTable.load(path)
    assert read.deployment == measured.table.deployment
    assert (read.blocks, read.base_ms) == (measured.table.blocks, measured.table.base_ms)
    assert read.iterations == 7
    assert read.error.median_error == pytest.approx(measured.table.error.median_error, rel=1e-5)
    lines = path.read_text().splitlines()
    assert len(lines) == 1 + 1 + 8 * 4
    assert "processor" in lines[0]
    path.write_text("\n".join(lines[:-1]))
    with pytest.raises(ValueError, match=r"complete csv file .* Received: .*table.csv"):
        LatencyTable.load(path)
    networks = tmp_path / "networks.csv"
    measured.save_networks(networks)
    with networks.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["is_fitted"] for row in rows] == ["1"] * 50 + ["0"] * 9
    parsed = [Architecture.parse(row["architecture"]) for row in rows[:50]]
    times = [float(row["measured_ms"]) for row in rows[:50]]
    base, _ = fit(measured.table.deployment, parsed, times)
    assert base == pytest.approx(measured.table.base_ms, rel=1e-4)
    with pytest.raises(FileNotFoundError, match=r"Received: 'none\.csv'"):
        LatencyTable.load("none.csv")


def test_candidates_out_of_the_limits_are_not_measured(measured):
    table = measured.table
    predicted, real = measured_latency(table, 5.0, 3.0)
    (alone,) = predicted_latency(table, 5.0)
    architecture = measured.architectures[0]
    assert predicted.function(architecture) == alone.function(architecture)
    assert predicted.maximum == 5.0 * (1 + table.error.worst_error) > alone.maximum
    assert (real.maximum, real.minimum, real.is_measured) == (5.0, 3.0, True)


@pytest.mark.parametrize(
    ("option", "value"), [("precision", "int4"), ("threads", 0), ("head", "none"), ("classes", 0)]
)
def test_deployments_are_checked(option, value):
    with pytest.raises(ValueError, match=f"`{option}` must be .* Received: {option}={value!r}"):
        deployment(**{option: value})


def test_files_are_exported_and_timed(shallow):
    with shallow():
        space = search_space("one_shot")
        place = Deployment(space=space, input_size=(64, 64), head="light")
        ratios, base_ms = place.measure([place.base, Architecture((3,) * 8)], 3, verbose=False)
    assert ratios.shape == (2,)
    assert (ratios > 0).all()
    assert base_ms > 0
