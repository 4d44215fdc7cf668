"""The One-Euro filter, against the published algorithm value by value."""

import math

import numpy as np
import pytest

from keras_shufflenet.inference.smoothing import OneEuroFilter

FPS = 30


class LowPass:
    """Algorithm 2 of the paper."""

    def __init__(self):
        self.last = None

    def filter(self, value, alpha):
        self.last = value if self.last is None else alpha * value + (1 - alpha) * self.last
        return self.last


def published(values, times, min_cutoff, beta, derivative_cutoff):
    """Algorithm 1 of the paper, of one signal."""

    def alpha(rate, cutoff):
        tau = 1 / (2 * math.pi * cutoff)
        return 1 / (1 + tau * rate)

    signal, speed, before, out = LowPass(), LowPass(), None, []
    for value, time in zip(values, times, strict=True):
        rate = 1.0 if before is None else 1 / (time - before)
        dx = 0.0 if before is None else (value - signal.last) * rate
        edx = speed.filter(dx, alpha(rate, derivative_cutoff))
        cutoff = min_cutoff + beta * abs(edx)
        out.append(signal.filter(value, alpha(rate, cutoff)))
        before = time
    return out


def smooth(filter_, values, times, **options):
    return np.array(
        [filter_(row, time, **options) for row, time in zip(values, times, strict=True)]
    )


@pytest.mark.parametrize("parameters", [(1.0, 0.0, 1.0), (0.5, 3.0, 1.0), (2.0, 0.7, 4.0)])
def test_it_is_the_published_algorithm(parameters):
    rng = np.random.default_rng(1)
    times = 7 + np.cumsum(rng.uniform(0.01, 0.08, 50))
    values = np.cumsum(rng.normal(size=(50, 3, 2)), axis=0)
    found = smooth(OneEuroFilter(*parameters), values, times)
    for row, column in np.ndindex(3, 2):
        expected = published(values[:, row, column], times, *parameters)
        np.testing.assert_allclose(found[:, row, column], expected, rtol=1e-12, atol=1e-12)


def test_the_scale_makes_it_independent_of_the_size_in_pixels():
    rng = np.random.default_rng(2)
    times, values = np.arange(40) / FPS, np.cumsum(rng.normal(size=(40, 17, 2)), axis=0)
    small = smooth(OneEuroFilter(1, 5), values, times, scale=80)
    large = smooth(OneEuroFilter(1, 5), 4 * values, times, scale=320)
    np.testing.assert_allclose(large, 4 * small, rtol=1e-12)


def test_jitter_at_rest_is_less_than_half():
    rng = np.random.default_rng(3)
    height, times = 300, np.arange(600) / FPS
    noise = 0.01 * height * rng.normal(size=(600, 17, 2))
    found = smooth(OneEuroFilter(), 100 + noise, times, scale=height)[FPS:]
    assert found.std() < 0.5 * noise.std()
    assert np.diff(found, axis=0).std() < 0.25 * np.diff(noise, axis=0).std()


def test_the_lag_of_a_fast_motion_is_below_two_frames():
    """A hand that moves by a body height in a second."""
    height, times = 300, np.arange(60) / FPS
    values = (height * times)[:, None]
    found = smooth(OneEuroFilter(), values, times, scale=height)
    lag = (values - found)[FPS:] / (height / FPS)
    assert 0 < lag.max() < 2


def test_a_keypoint_that_was_lost_starts_anew():
    filter_ = OneEuroFilter(0.1, 0.0)
    points, valid = np.zeros((2, 2)), np.ones((2, 1), bool)
    filter_(points, 0.0, valid=valid)
    lost = filter_([[0, 0], [90, 90]], 0.1, valid=[[True], [False]])
    assert lost[1].tolist() == [90, 90]  # as it is
    back = filter_([[10, 10], [50, 50]], 0.2, valid=valid)
    assert back[1].tolist() == [50, 50]
    assert (back[0] < 2).all()  # still smoothed
    after = filter_([[10, 10], [60, 60]], 0.3, valid=valid)
    assert (after[1] < 52).all()


def test_a_rest_of_missing_values_is_no_number():
    filter_ = OneEuroFilter()
    filter_([1.0, np.nan], 0.0, valid=[True, False])
    found = filter_([2.0, np.nan], 0.1, valid=[True, False])
    assert np.isfinite(found[0])
    assert np.isnan(found[1])


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="min_cutoff=0"):
        OneEuroFilter(0)
    with pytest.raises(ValueError, match="beta=-1"):
        OneEuroFilter(beta=-1)
    with pytest.raises(ValueError, match="derivative_cutoff=0"):
        OneEuroFilter(derivative_cutoff=0)
    filter_ = OneEuroFilter()
    filter_([1.0], 0.5)
    with pytest.raises(ValueError, match=r"later than before, 0\.5 s\. Received: time=0\.5"):
        filter_([1.0], 0.5)
    with pytest.raises(ValueError, match=r"shape \(1,\). Received: \(2,\)"):
        filter_([1.0, 2.0], 0.6)
