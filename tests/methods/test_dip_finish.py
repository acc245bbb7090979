"""The closing refinement: it adds what the counts know, and not their noise."""

import numpy as np
import pytest
import torch

from cdipipe.methods.dip.finish import Linear, refine, solve, take_what_exceeds_noise
from cdipipe.methods.dip.misfit import Misfit
from cdipipe.optics import fourier
from cdipipe.phasing.problem import Problem
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

COMPLEX = {"phase_range_rad": 1.0, "probe": "gaussian", "probe_sigma_px": 48, "dose_static_per_um2": 1e12}


def problem_of(constraint="real_nonneg", photons=1000.0, **settings):
    found = get_scene("static_region")
    parameters = found.parameters(size=96, sample_photons_per_pixel=photons, **settings)
    measurement, truth = simulate(found, parameters, seed=3)
    object_ = fourier.to_corner(torch.from_numpy(truth.object.astype(np.complex64)), 2)
    return Problem(measurement, constraint, (-1, 1)), object_, truth


def psnr(object_, truth):
    found = fourier.to_centre(object_, 2).numpy()
    error = (np.abs(found) - np.abs(truth.object))[truth.support]
    return 20 * np.log10(np.abs(truth.object).max() / np.sqrt(np.mean(error**2)))


def linear_law(truth):
    return 10 * np.log10(2 * truth.extra["incident_photons_per_sample_pixel"])


def blurred(problem, object_):
    smooth = fourier.gaussian_blur_corner(object_.real, 2.0, 2) + 1j * fourier.gaussian_blur_corner(
        object_.imag, 2.0, 2
    )
    return (smooth * problem.object_support).to(torch.complex64)


@pytest.mark.parametrize("constraint,settings", [("real_nonneg", {}), ("support", COMPLEX)])
def test_the_linear_map_is_the_derivative_and_has_its_adjoint(constraint, settings):
    problem, object_, _ = problem_of(constraint, **settings)
    misfit = Misfit(problem)
    real = constraint == "real_nonneg"
    linear = Linear(problem, misfit.directions(object_), misfit.weight, problem.object_support, real)
    generator = torch.Generator().manual_seed(0)
    change = torch.complex(*torch.randn(2, *problem.shape, generator=generator)) * problem.object_support
    change = change.real + 0j if real else change
    error = misfit.draw_noise(generator)
    left = float((linear.apply(change) * linear.weight * error).sum())
    right = float((change.conj() * linear.transpose(error)).real.sum())
    assert left == pytest.approx(right, rel=1e-3)
    moved = misfit.evaluate(object_ + 1e-2 * change).error - misfit.evaluate(object_).error
    assert float((moved / 1e-2 - linear.apply(change)).abs().mean() / linear.apply(change).abs().mean()) < 0.02


@pytest.mark.parametrize("constraint,settings", [("real_nonneg", {}), ("support", COMPLEX)])
def test_from_a_coarse_picture_it_reaches_least_squares(constraint, settings):
    problem, object_, truth = problem_of(constraint, **settings)
    coarse = blurred(problem, object_)
    refined = refine(problem, Misfit(problem), coarse, problem.object_support, torch.Generator().manual_seed(0), 15)
    assert psnr(refined, truth) > psnr(coarse, truth) + 10
    assert psnr(refined, truth) > linear_law(truth) - 2.5


def test_it_leaves_a_picture_alone_that_is_better_than_the_counts():
    problem, object_, truth = problem_of(photons=1.0)
    misfit, generator = Misfit(problem), torch.Generator().manual_seed(0)
    refined = refine(problem, misfit, object_, problem.object_support, generator, 15)
    assert psnr(refined, truth) > linear_law(truth) + 8
    assert torch.equal(refine(problem, misfit, object_, problem.object_support, generator, 0), object_)


def test_noise_alone_is_not_taken():
    problem, object_, _ = problem_of()
    misfit, generator = Misfit(problem), torch.Generator().manual_seed(0)
    linear = Linear(problem, misfit.directions(object_), misfit.weight, problem.object_support, True)
    first, *others = (solve(linear, misfit.draw_noise(generator), 15) for _ in range(3))
    taken = take_what_exceeds_noise(first, others, problem.object_support)
    assert float(taken.abs().square().sum()) < 0.15 * float(first.abs().square().sum())
    kept = take_what_exceeds_noise(30 * first, others, problem.object_support)
    assert float((kept - 30 * first).abs().square().mean().sqrt()) < 0.02 * float((30 * first).abs().max())
