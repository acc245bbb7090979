import numpy as np
import pytest

from cdipipe.optics.noise import GAUSSIAN_ABOVE, count_photons, poisson


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


@pytest.mark.parametrize("mean", [0.0, 0.3, 40.0])
@pytest.mark.parametrize("sigma", [0.0, 1 / 2.35482, 3.0])
def test_moments_of_mixed_noise_with_a_background(mean, sigma):
    count, background = 200_000, 1.5
    draws = count_photons(np.full(count, mean), np.random.default_rng(2), background, sigma).astype(float)
    variance = mean + background + sigma**2
    assert draws.mean() == pytest.approx(mean + background, abs=5 * np.sqrt(variance / count))
    fourth = (mean + background) + 3 * variance**2
    assert draws.var() == pytest.approx(variance, abs=5 * np.sqrt((fourth - variance**2) / count))
    third = ((draws - draws.mean()) ** 3).mean()
    assert third == pytest.approx(mean + background, abs=6 * np.sqrt(15 * variance**3 / count) + 0.05)
    if sigma:
        assert draws.min() < 0 or mean > 1
    else:
        np.testing.assert_array_equal(draws, np.rint(draws))


def test_read_noise_has_the_width_of_half_maximum_that_dpr_states():
    fwhm_of_sigma = 2 * np.sqrt(2 * np.log(2))
    draws = count_photons(np.zeros(400_000), np.random.default_rng(3), 0, 1 / fwhm_of_sigma)
    at_half = np.abs(draws) < 0.5
    assert at_half.mean() == pytest.approx(0.7610, abs=0.003)  # erf(sqrt(ln 2)), the share within the half width
    assert abs(fwhm_of_sigma - 2.35482) < 1e-5


def test_without_a_generator_the_mean_counts_come_out():
    mean = np.array([[0.0, 2.25]])
    counts = count_photons(mean, None, 1.0, 5.0)
    np.testing.assert_array_equal(counts, np.float32([[1, 3.25]]))
    counts[0, 0] = 7
    assert mean[0, 0] == 0
