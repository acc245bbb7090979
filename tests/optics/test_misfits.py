"""Misfits by hand, and their derivatives against finite differences and against each other."""

import numpy as np
import pytest
import torch
from objects import make_object
from slopes import guess, slope_along

from cdipipe.measurement import Measurement
from cdipipe.metrics import fourier as metrics
from cdipipe.optics import fourier, misfits
from cdipipe.optics.misfits import MISFITS, PER_PIXEL
from cdipipe.phasing.problem import Problem


def problem_of(shape=(24, 20), probe_modes=None, seed=0):
    object_, _ = make_object(shape, photons=1e4)
    intensity = fourier.forward(torch.from_numpy(object_), len(shape)).abs().square().numpy()
    measured = np.random.default_rng(seed).random(shape) > 0.2
    counts = np.random.default_rng(seed + 1).poisson(intensity).astype(np.float32)
    return Problem(Measurement(counts, measured, probe_modes=probe_modes), "support", (-1, 1))


@pytest.mark.parametrize("loss", MISFITS)
@pytest.mark.parametrize("modes", [False, True])
def test_the_gradient_of_a_misfit_is_that_of_finite_differences(loss, modes):
    shape = (24, 20)
    probes = guess(shape, 3, seed=1).numpy() / 3 if modes else None
    problem = problem_of(shape, probes)
    wave, direction = guess(shape), guess(shape, seed=6) / 3
    wavefront = problem.model.wavefront(wave)
    _, weight = MISFITS[loss](problem.model.predict_intensity(wave), problem)
    gradient = 2 * problem.model.backpropagate(wavefront * (weight.unsqueeze(1) if modes else weight))
    along = (gradient.conj() * direction).real.flatten(1).sum(1, dtype=torch.float64)
    expected = slope_along(lambda u: MISFITS[loss](problem.model.predict_intensity(u), problem)[0], wave, direction)
    torch.testing.assert_close(along, expected, rtol=1e-2, atol=1.0)


@pytest.mark.parametrize("loss", ["poisson", "amplitude"])
def test_a_misfit_is_half_the_deviance_near_a_fit(loss):
    problem = problem_of()
    predicted = problem.intensity.clamp(min=0) + 100.0
    problem.intensity = predicted + 1
    problem.modulus = problem.intensity.sqrt()
    found, _ = MISFITS[loss](predicted[None], problem)
    expected = (problem.measured / (2 * predicted)).sum(dtype=torch.float64)
    assert float(found) == pytest.approx(float(expected), rel=0.02)


def test_the_scale_is_free_where_amplitudes_are_divided_by_their_maxima():
    problem = problem_of()
    wave = guess(problem.shape)
    once, twice = (MISFITS["max_amplitude"](problem.model.predict_intensity(s * wave), problem)[0] for s in (1, 2))
    torch.testing.assert_close(once, twice, rtol=1e-4, atol=0)


def test_half_the_poisson_deviance_by_hand():
    predicted, counts = torch.tensor([[4.0, 2.0, 1.0]]), torch.tensor([2.0, 2.0, 0.0])
    by_hand = [4 - 2 + 2 * np.log(2 / 4), 0.0, 1.0]
    found = misfits.poisson_deviance(predicted.double(), counts.double(), floor=1e-12)
    np.testing.assert_allclose(found[0], by_hand, atol=1e-9)
    np.testing.assert_allclose(misfits.poisson_slope(predicted, counts, 0.0)[0], [0.5, 0.0, 1.0])
    mean = metrics.poisson_nll(predicted.numpy(), counts[None].numpy(), np.ones((1, 3), bool))
    assert mean == pytest.approx(np.mean(by_hand))


def test_bright_pixels_lose_no_digits():
    counts = torch.tensor([1e7])
    predicted = counts + 2e3
    assert float(misfits.poisson_deviance(predicted, counts)) == pytest.approx(2e3**2 / 2e7, rel=1e-3)


@pytest.mark.parametrize("kind", PER_PIXEL)
def test_a_misfit_is_zero_at_a_fit_and_blind_beside_its_pixels(kind):
    generator = torch.Generator().manual_seed(0)
    counts, predicted = 20 * torch.rand((2, 3, 5, 6), generator=generator)
    pixels = torch.rand((5, 6), generator=generator) > 0.3
    assert torch.equal(misfits.misfit(counts, counts, pixels, kind), torch.zeros(3))
    poisoned = torch.where(pixels, counts[0], torch.tensor(float("nan")))
    found, again = (misfits.misfit(predicted, each, pixels, kind) for each in (counts[0], poisoned))
    assert torch.equal(found, again) and bool((found > 0).all())


def test_the_slope_is_what_autograd_finds():
    counts = torch.tensor([0.0, 1.0, 50.0], dtype=torch.float64)
    predicted = torch.tensor([0.5, 3.0, 20.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(misfits.poisson_deviance(predicted, counts).sum(), predicted)
    torch.testing.assert_close(slope, misfits.poisson_slope(predicted, counts).detach())
    near = torch.tensor([99.0, 101.0], dtype=torch.float64)
    hundred = torch.full((2,), 100.0, dtype=torch.float64)
    both = (kind(near, hundred) for kind in (misfits.poisson_deviance, misfits.amplitude_deviance))
    torch.testing.assert_close(*both, rtol=0.01, atol=0)


def test_r_factor_by_hand():
    predicted = torch.tensor([[4.0, 9.0, 1e9], [16.0, 0.0, 0.0]])
    modulus, pixels = torch.tensor([1.0, 3.0, 5.0]), torch.tensor([True, True, False])
    torch.testing.assert_close(misfits.r_factor(predicted, modulus, pixels, 4.0), torch.tensor([0.25, 1.5]))


def test_the_likelihood_of_a_scaled_prediction_is_that_of_evaluate():
    random = np.random.default_rng(0)
    counts = random.poisson(5, (9, 8)).astype(np.float32)
    pixels = random.random((9, 8)) > 0.2
    predicted = random.random((2, 9, 8)).astype(np.float32) * 30
    predicted[0, 3, 3] = 0
    found = misfits.scaled_poisson_nll(torch.from_numpy(predicted), *(torch.from_numpy(a) for a in (counts, pixels)))
    expected = [metrics.misfits(each, counts, pixels)["poisson_nll"] for each in predicted]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_cost_of_predictions_differs_from_the_deviance_by_next_to_nothing():
    counts, predicted = torch.tensor([0.0, 4.0, 50.0]), torch.tensor([1.0, 3.0, 60.0])
    cost = misfits.poisson_cost(predicted + misfits.FLOOR, counts)
    torch.testing.assert_close(cost, misfits.poisson_deviance(predicted, counts), rtol=0, atol=0.06)
