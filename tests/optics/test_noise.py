import numpy as np
import pytest

from cdipipe.optics.noise import GAUSSIAN_ABOVE, poisson


@pytest.mark.parametrize("mean", [0.02, 1.0, 37.5, 1e6, 4e12])
def test_mean_and_variance_are_those_of_poisson(mean):
    count = 200_000
    draws = poisson(np.full(count, mean), np.random.default_rng(1)).astype(float) - mean
    assert abs(draws.mean()) < 5 * np.sqrt(mean / count)
    kurtosis = 2 + 1 / mean
    assert draws.var() == pytest.approx(mean, rel=5 * np.sqrt(kurtosis / count))
    third = (draws**3).mean()
    assert third == pytest.approx(mean, abs=6 * np.sqrt((15 * mean**3 + 25 * mean**2 + mean) / count))


def test_counts_are_whole_float32_and_zero_stays_zero():
    counts = poisson(np.array([[0.0, 3.3], [1e5, GAUSSIAN_ABOVE * 2]]), np.random.default_rng(0))
    assert counts.dtype == np.float32
    assert counts[0, 0] == 0
    np.testing.assert_array_equal(counts, np.rint(counts))


def test_the_generator_decides():
    mean = np.full(100, 5.0)
    first, again, other = (poisson(mean, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("bad", [-0.1, np.nan, np.inf])
def test_impossible_means_are_refused(bad):
    with pytest.raises(ValueError, match="finite and at least 0"):
        poisson(np.array([1.0, bad]), np.random.default_rng(0))
