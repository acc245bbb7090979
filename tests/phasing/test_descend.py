"""Gradients against finite differences, and what the descent keeps."""

import numpy as np
import pytest
import torch
from objects import make_object

from cdipipe.measurement import Measurement
from cdipipe.optics import fourier
from cdipipe.optics.misfits import MISFITS, total_variation
from cdipipe.phasing.descend import dilate
from cdipipe.phasing.problem import Problem


def problem_of(shape=(24, 20), probe_modes=None, seed=0):
    object_, _ = make_object(shape, photons=1e4)
    intensity = fourier.forward(torch.from_numpy(object_), len(shape)).abs().square().numpy()
    measured = np.random.default_rng(seed).random(shape) > 0.2
    counts = np.random.default_rng(seed + 1).poisson(intensity).astype(np.float32)
    return Problem(Measurement(counts, measured, probe_modes=probe_modes), "support", (-1, 1))


def guess(shape, batch=2, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.view_as_complex(torch.randn((batch, *shape, 2), generator=generator)) * 3


def slope_along(function, wave, direction, step=1e-2):
    ahead, behind = function(wave + step * direction), function(wave - step * direction)
    return (ahead - behind) / (2 * step)


@pytest.mark.parametrize("loss", MISFITS)
@pytest.mark.parametrize("modes", [False, True])
def test_the_gradient_of_a_misfit_is_that_of_finite_differences(loss, modes):
    shape = (24, 20)
    probes = guess(shape, 3, seed=1).numpy() / 3 if modes else None
    problem = problem_of(shape, probes)
    wave, direction = guess(shape), guess(shape, seed=6) / 3
    wavefront = problem.wavefront(wave)
    _, weight = MISFITS[loss](problem.predict_intensity(wave), problem)
    gradient = 2 * problem.backpropagate(wavefront * (weight.unsqueeze(1) if modes else weight))
    along = (gradient.conj() * direction).real.flatten(1).sum(1, dtype=torch.float64)
    expected = slope_along(lambda u: MISFITS[loss](problem.predict_intensity(u), problem)[0], wave, direction)
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
    once, twice = (MISFITS["max_amplitude"](problem.predict_intensity(s * wave), problem)[0] for s in (1, 2))
    torch.testing.assert_close(once, twice, rtol=1e-4, atol=0)


@pytest.mark.parametrize("shape", [(12, 15), (6, 8, 7)], ids=str)
def test_total_variation_and_its_gradient(shape):
    ndim = len(shape)
    wave, direction = guess(shape).to(torch.complex128), guess(shape, seed=6).to(torch.complex128)
    smoothing = torch.full((2, *[1] * ndim), 1e-2, dtype=torch.float64)
    value, gradient = total_variation(wave, ndim, smoothing)
    expected = slope_along(lambda u: total_variation(u, ndim, smoothing)[0], wave, direction, 1e-5)
    torch.testing.assert_close((gradient.conj() * direction).real.flatten(1).sum(1), expected, rtol=1e-5, atol=1e-5)
    square = torch.zeros((1, *shape), dtype=torch.complex128)
    square[(0, *[slice(2, 5)] * ndim)] = 1j
    edges, _ = total_variation(square, ndim, smoothing[:1] * 1e-6)
    assert 0.75 * 2 * ndim * 3 ** (ndim - 1) < float(edges) <= 2 * ndim * 3 ** (ndim - 1) + 1e-3
    assert value.shape == (2,)


def test_dilation_grows_a_support_around_the_corner():
    support = torch.zeros((1, 9, 8), dtype=torch.bool)
    support[0, 0, 0] = True
    grown = dilate(support, 2, 2)
    assert int(grown.sum()) == 25 and grown[0, -2, -2] and grown[0, 2, 2] and not grown[0, 3, 0]
