import numpy as np
import pytest

from cdipipe.metrics.align import correlation, twin_of
from cdipipe.metrics.statistics import (
    align_runs,
    best_first,
    correlation_matrix,
    mean_object,
    modes,
    repeatability,
    summarise,
)


def field(seed, shape=(20, 24), dtype=np.complex128):
    rng = np.random.default_rng(seed)
    u = np.zeros(shape, dtype)
    u[5:12, 6:15] = rng.normal(size=(7, 9)) + 1j * rng.normal(size=(7, 9))
    return u


def test_runs_that_differ_by_symmetries_only_repeat_perfectly():
    u = field(0)
    runs = np.stack([np.roll(u, 3, 0), twin_of(u), 1j * u, np.roll(u, (-2, 4), (0, 1)) * 2])
    assert repeatability(runs) < 0.8
    aligned = align_runs(u, runs)
    assert repeatability(aligned) == pytest.approx(1, abs=1e-12)


def test_repeatability_is_the_mean_over_pairs():
    runs = np.stack([field(s) for s in range(4)])
    pairs = [correlation(runs[a], runs[b]) for a in range(4) for b in range(a)]
    assert repeatability(runs) == pytest.approx(np.mean(pairs))
    np.testing.assert_allclose(correlation_matrix(runs)[1, 3], correlation(runs[1], runs[3]))
    assert repeatability(runs[:1]) is None


def test_a_dark_run_correlates_with_nothing():
    matrix = correlation_matrix(np.stack([field(0), 0 * field(0)]))
    assert matrix[0, 1] == 0
    assert np.isfinite(matrix).all()


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_modes_are_orthogonal_weighted_and_give_the_runs_back(dtype):
    runs = np.stack([field(s, dtype=dtype) for s in range(5)])
    found, weights = modes(runs, 5)
    assert found.dtype == dtype
    assert weights.sum() == pytest.approx(1)
    assert (np.diff(weights) <= 0).all()
    flat = found.reshape(5, -1)
    power = np.mean(np.sum(np.abs(runs) ** 2, axis=(1, 2)))
    np.testing.assert_allclose(flat @ flat.conj().T / power, np.eye(5), atol=1e-4 if dtype == np.complex64 else 1e-10)
    back = (runs.reshape(5, -1) @ flat.conj().T) @ flat / power
    np.testing.assert_allclose(back, runs.reshape(5, -1), atol=1e-3 if dtype == np.complex64 else 1e-10)
    energies = np.linalg.svd(runs.reshape(5, -1), compute_uv=False) ** 2
    np.testing.assert_allclose(weights, energies / energies.sum(), atol=1e-6)


def test_equal_runs_are_one_mode_which_is_the_object():
    u = field(0)
    found, weights = modes(np.stack([u] * 6), 3)
    assert weights[0] == pytest.approx(1)
    np.testing.assert_allclose(found[0], u, atol=1e-10)
    np.testing.assert_allclose(found[1:], 0, atol=1e-6)
    with pytest.raises(ValueError, match="every run is zero"):
        modes(np.zeros((2, 4, 4), complex), 1)


def test_mean_keeps_dtype_and_halves_noise_variance():
    runs = np.stack([field(s, dtype=np.complex64) for s in range(2)])
    mean = mean_object(runs)
    assert mean.dtype == np.complex64
    np.testing.assert_allclose(mean, (runs[0] + runs[1]) / 2, atol=1e-6)


def test_best_is_the_lowest_likelihood_then_r_factor_then_order():
    nll, r = np.array([3.0, 1.0, 2.0]), np.array([0.1, 0.3, 0.2])
    assert list(best_first({"poisson_nll": nll, "r_factor": r}, 3)) == [1, 2, 0]
    assert list(best_first({"r_factor": r}, 3)) == [0, 2, 1]
    assert list(best_first({"r_factor": r[:2]}, 3)) == [0, 1, 2]


def test_summary_gives_means_with_spread_over_those_that_have_it():
    found = summarise([{"a": 1.0, "b": 2.0}, {"a": 3.0}])
    assert found == {"a": 2.0, "a_std": 1.0, "b": 2.0, "b_std": 0.0}
