import numpy as np
import pytest

from cdipipe.metrics import fourier
from cdipipe.optics.far_field import propagate


def noise(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


# misfits, by hand

PREDICTED = np.array([[4.0, 1.0], [0.25, 9.0]])
COUNTS = np.array([[9.0, 1.0], [0.0, 16.0]])
ALL = np.ones((2, 2), bool)


def test_misfits_by_hand():
    assert fourier.r_factor(PREDICTED, COUNTS, ALL) == pytest.approx((1 + 0 + 0.5 + 1) / (3 + 1 + 0 + 4))
    assert fourier.r_factor_local(PREDICTED, COUNTS, ALL) == pytest.approx((1 / 3 + 0 + 1 / 4) / 3)
    assert fourier.chi2(PREDICTED, COUNTS, ALL) == pytest.approx((1 + 0 + 0.25 + 1) / 26)
    expected = (4 - 9 + 9 * np.log(9 / 4)) + 0 + 0.25 + (9 - 16 + 16 * np.log(16 / 9))
    assert fourier.poisson_nll(PREDICTED, COUNTS, ALL) == pytest.approx(expected / 4)


def test_only_the_given_pixels_count():
    pixels = np.array([[True, True], [False, True]])
    wild = np.where(pixels, PREDICTED, 1e9)
    for metric in (fourier.r_factor, fourier.r_factor_local, fourier.chi2, fourier.poisson_nll):
        assert metric(wild, COUNTS, pixels) == metric(PREDICTED, COUNTS, pixels)


def test_a_perfect_prediction_has_no_misfit_whatever_its_scale():
    counts = np.abs(noise((8, 9))) ** 2
    found = fourier.misfits(7.5 * counts, counts, np.ones((8, 9), bool))
    assert set(found) == {"r_factor", "r_factor_local", "chi2", "poisson_nll"}
    np.testing.assert_allclose(list(found.values()), 0, atol=1e-12)


def test_scale_comes_from_the_pixels_that_were_used_and_free_ones_are_judged_with_it():
    rng = np.random.default_rng(1)
    predicted = rng.uniform(1, 5, (6, 6))
    counts, free = 3 * predicted, rng.random((6, 6)) < 0.3
    counts[free] *= 4
    measured = rng.random((6, 6)) < 0.8
    found = fourier.misfits(predicted, counts, measured, free)
    assert found["r_factor"] == pytest.approx(0, abs=1e-12)
    assert found["r_factor_free"] == pytest.approx(0.5)


def test_what_cannot_be_computed_is_absent():
    dark, lit = np.zeros((4, 4)), np.ones((4, 4))
    everywhere, nowhere = np.ones((4, 4), bool), np.zeros((4, 4), bool)
    assert fourier.misfits(lit, dark, everywhere) == {}
    assert fourier.misfits(dark, lit, everywhere) == {}
    assert fourier.misfits(lit, lit, nowhere) == {}
    assert "r_factor_free" not in fourier.misfits(lit, lit, everywhere, nowhere)
    assert "r_factor_local" not in fourier.misfits(lit, 0.4 * lit, everywhere)


def test_negative_counts_and_dark_predictions_stay_finite():
    counts = np.array([[-2.0, 5.0], [1.0, 0.0]])
    predicted = np.array([[0.1, 4.0], [0.0, 0.0]])
    assert all(np.isfinite(v) for v in fourier.misfits(predicted, counts, ALL).values())


def test_the_r_factor_of_the_truth_is_the_poisson_floor():
    rng = np.random.default_rng(5)
    mean = rng.uniform(0.5, 30, (128, 128))
    counts = rng.poisson(mean)
    k = np.arange(200)
    grid = np.linspace(0.5, 30, 400)
    log_factorial = np.concatenate([[0], np.cumsum(np.log(k[1:]))])
    chance = np.exp(k * np.log(grid[:, None]) - grid[:, None] - log_factorial)
    floor = np.sum(chance * np.abs(np.sqrt(k) - np.sqrt(grid[:, None]))) / np.sum(chance * np.sqrt(k))
    found = fourier.misfits(mean, counts, np.ones(mean.shape, bool))
    assert found["r_factor"] == pytest.approx(floor, rel=0.03)
    assert found["poisson_nll"] == pytest.approx(0.5, rel=0.1)  # the deviance of a pixel is 1 for many photons


# rings


@pytest.mark.parametrize("shape", [(32, 32), (33, 31), (24, 40), (12, 13, 16)])
def test_every_ring_up_to_nyquist_has_pixels(shape):
    pixels = fourier.ring_sums(np.ones(shape))
    assert len(pixels) == len(fourier.ring_frequencies(shape)) == min(shape) // 2 + 1
    assert (pixels > 0).all()
    assert pixels[0] >= 1
    assert fourier.ring_index(shape)[tuple(n // 2 for n in shape)] == 0
    assert fourier.ring_frequencies(shape)[-1] <= 0.5


def test_rings_of_a_square_are_rounded_radii():
    radius = np.hypot(*np.ogrid[-16:16, -16:16])
    np.testing.assert_array_equal(fourier.ring_index((32, 32)), np.rint(radius))


def test_ring_means_ignore_masked_pixels():
    values = fourier.ring_index((16, 16)).astype(float)
    pixels = np.random.default_rng(0).random((16, 16)) < 0.5
    np.testing.assert_allclose(fourier.ring_means(np.where(pixels, values, 99), pixels)[2:], np.arange(9)[2:])
    assert np.isnan(fourier.ring_means(values, values != 3)[3])


# FRC


@pytest.mark.parametrize("shape", [(32, 32), (31, 40), (16, 16, 18)])
def test_frc_of_an_object_with_itself_is_one_and_with_its_negative_minus_one(shape):
    u = noise(shape)
    np.testing.assert_allclose(fourier.fourier_ring_correlation(u, 3 * u), 1, atol=1e-12)
    np.testing.assert_allclose(fourier.fourier_ring_correlation(u, -u), -1, atol=1e-12)
    np.testing.assert_allclose(fourier.fourier_ring_correlation(u, 1j * u), 0, atol=1e-12)


def test_frc_of_independent_noise_is_zero_within_its_scatter():
    shape = (256, 256)
    frc = fourier.fourier_ring_correlation(noise(shape, 1), noise(shape, 2))
    pixels = fourier.ring_sums(np.ones(shape))
    z = frc * np.sqrt(2 * pixels)  # the real part of a normalised sum of n complex products has variance 1 / 2n
    assert abs(z[1:].mean()) < 4 / np.sqrt(len(z))
    assert z[1:].std() == pytest.approx(1, abs=0.3)


def test_frc_of_signal_and_noise_gives_the_signal_share():
    shape = (256, 256)
    signal = noise(shape)
    first, second = (signal + np.sqrt(1 / 3) * noise(shape, seed) for seed in (1, 2))
    assert fourier.fourier_ring_correlation(first, second)[20:].mean() == pytest.approx(0.75, abs=0.01)
    # against the noise-free signal: the root of it, so 0.143 of halves (one half each) corresponds to 0.5 of their sum
    assert fourier.fourier_ring_correlation(signal, first)[20:].mean() == pytest.approx(np.sqrt(0.75), abs=0.01)


def test_apodisation_removes_the_cross_of_a_cut_object():
    ramp = np.add.outer(np.arange(64.0), np.zeros(64))
    hard, soft = (np.abs(propagate(ramp * fourier._window((64, 64), edge), 2))[2, 32] for edge in (0, 12))
    assert soft < 0.02 * hard


def test_bit_thresholds_at_hand_values():
    half = fourier.bit_threshold((64, 64), 0.5)
    one = fourier.bit_threshold((64, 64), 1.0)
    assert half[0] == pytest.approx((0.2071 + 2 * np.sqrt(0.2071) + 1) / (1.2071 + 2 * np.sqrt(0.2071)), abs=1e-3)
    assert fourier.bit_threshold((1024, 1024), 0.5)[-1] == pytest.approx(0.2071 / 1.2071, abs=0.03)
    assert fourier.bit_threshold((1024, 1024), 1.0)[-1] == pytest.approx(0.5 / 1.5, abs=0.03)
    assert (one[1:] > half[1:]).all()
    assert (np.diff(half) < 1e-12).all() or half[-1] < half[1]
    assert (fourier.bit_threshold((64, 64), 0.5, 0.1)[5:] > half[5:]).all()
    assert (fourier.bit_threshold((64, 64), 0.5, real=True)[5:] > half[5:]).all()


# PRTF


def test_prtf_of_identical_runs_that_fit_is_one():
    wave = noise((32, 32))
    prtf = fourier.phase_retrieval_transfer(np.stack([wave] * 5), np.abs(wave) ** 2, np.ones((32, 32), bool))
    np.testing.assert_allclose(prtf, 1, atol=1e-12)


@pytest.mark.parametrize("phase_only", [False, True])
def test_prtf_of_random_phases_falls_with_the_root_of_the_runs(phase_only):
    rng = np.random.default_rng(0)
    modulus, runs = rng.uniform(1, 5, (64, 64)), 25
    waves = modulus * np.exp(2j * np.pi * rng.random((runs, 64, 64)))
    prtf = fourier.phase_retrieval_transfer(waves, modulus**2, np.ones((64, 64), bool), phase_only)
    assert prtf[3:].mean() == pytest.approx(np.sqrt(np.pi / 4 / runs), rel=0.05)


def test_phase_only_prtf_does_not_see_moduli():
    wave = noise((16, 16))
    counts = np.abs(noise((16, 16), 3)) ** 2
    prtf = fourier.phase_retrieval_transfer(np.stack([wave, 2 * wave]), counts, np.ones((16, 16), bool), True)
    np.testing.assert_allclose(prtf, 1, atol=1e-12)


def test_prtf_of_incoherent_modes_adds_them_in_quadrature():
    modes = np.stack([noise((16, 16), 1), noise((16, 16), 2)])
    counts = np.sum(np.abs(modes) ** 2, axis=0)
    for phase_only in (False, True):
        prtf = fourier.phase_retrieval_transfer(np.stack([modes] * 3), counts, np.ones((16, 16), bool), phase_only)
        np.testing.assert_allclose(prtf, 1, atol=1e-12)


def test_prtf_leaves_out_masked_and_dark_pixels():
    wave = noise((32, 32))
    counts, pixels = np.abs(wave) ** 2, np.random.default_rng(2).random((32, 32)) < 0.7
    counts[10] = 0
    wild = np.where(pixels & (counts > 0), wave, 1e6)
    prtf = fourier.phase_retrieval_transfer(np.stack([wild] * 2), counts, pixels)
    np.testing.assert_allclose(prtf[1:], 1, atol=1e-12)


# resolution


def test_the_first_crossing_is_interpolated():
    frequencies = np.arange(5) / 8
    assert fourier.resolution_px(frequencies, np.array([0, 1, 0.8, 0.4, 0.9]), 0.5) == pytest.approx(1 / (2.75 / 8))


def test_curves_without_a_crossing_are_limited_by_their_ends():
    frequencies = np.arange(5) / 8
    assert fourier.resolution_px(frequencies, np.ones(5), 0.5) == pytest.approx(2)
    assert fourier.resolution_px(frequencies, np.array([1, 1, 1, np.nan, np.nan]), 0.5) == pytest.approx(4)
    assert fourier.resolution_px(frequencies, np.zeros(5), 0.5) == pytest.approx(8)
    assert fourier.resolution_px(frequencies, np.full(5, np.nan), 0.5) is None


def test_smoothing_keeps_means_and_gaps():
    curve = np.array([3.0, 6.0, np.nan, 3.0, 1.0])
    np.testing.assert_allclose(fourier.smooth_rings(curve), [4.5, 4.5, np.nan, 2.0, 2.0])
