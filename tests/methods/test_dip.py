"""The parts of a fit of an untrained network: detector, brightness, end, outputs."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cdipipe.methods.dip.misfit import Misfit, modulus_variance
from cdipipe.methods.dip.outputs import count_channels, shape_object
from cdipipe.methods.dip.parameters import UntrainedNetworkParameters
from cdipipe.methods.dip.scale import estimate_scale, linear_estimate
from cdipipe.methods.dip.start import NetworkStart, bounding_box
from cdipipe.methods.dip.stopping import StopAtVariance
from cdipipe.optics import fourier
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

SMALL = {"width": 8, "levels": 2, "input_channels": 4}


def scene(seed=3, **settings):
    found = get_scene("static_region")
    return simulate(found, found.parameters(**{"size": 96, "sample_photons_per_pixel": 10.0, **settings}), seed=seed)


def corner(array):
    return fourier.to_corner(torch.from_numpy(np.ascontiguousarray(array.astype(np.complex64))), 2)


def masked(measurement, share=0.2):
    return replace(measurement, measured=np.random.default_rng(0).random(measurement.intensity.shape) > share)


CASES = {
    "real": ("real_nonneg", {}),
    "complex": ("support", {"phase_range_rad": 1.0}),
    "probe": ("support", {"phase_range_rad": 1.0, "probe": "gaussian", "detector": {"propagation": "fresnel"}}),
}


@pytest.mark.parametrize("loss", ["amplitude", "poisson"])
@pytest.mark.parametrize("constraint,settings", CASES.values(), ids=CASES)
def test_gradient_is_that_of_the_loss(constraint, settings, loss):
    measurement, truth = scene(dose_static_per_um2=1e5, **settings)
    problem = Problem(masked(measurement), constraint, (-1, 1))
    misfit = Misfit(problem, loss)
    start = 1.3 * corner(truth.object)
    variable = start.to(torch.complex128).requires_grad_()
    static = problem.model.static_region.to(torch.complex128)
    intensity = problem.model.sum_modes(problem.model.propagate((variable + static)[None]).abs().square())[0]
    counts, measured = problem.intensity.double(), problem.measured.double()
    if constraint == "real_nonneg":  # k and -k measure the same number: their mean, as often as either was measured
        counts, measured = misfit.modulus.double().square(), misfit.weight.double()
    if loss == "amplitude":
        value = (measured * (intensity.sqrt() - counts.sqrt()).square()).sum()
    else:
        value = (measured * (intensity - counts * intensity.log())).sum()
    value.backward()
    found, wanted = misfit.evaluate(start).gradient.to(torch.complex128), variable.grad
    if constraint == "real_nonneg":
        found, wanted = found.real, wanted.real
    inside = corner(truth.support).real > 0
    error = (found - wanted)[inside].abs().max() / wanted[inside].abs().max()
    assert float(error) < 2e-3


@pytest.mark.parametrize("constraint,settings", CASES.values(), ids=CASES)
@pytest.mark.parametrize("mask", [False, True])
def test_the_truth_has_the_expected_misfit(constraint, settings, mask):
    measurement, truth = scene(**settings)
    problem = Problem(masked(measurement) if mask else measurement, constraint, (-1, 1))
    misfit = Misfit(problem)
    found = misfit.evaluate(corner(truth.object))
    independent = float((misfit.share * (misfit.times > 0)).sum())
    full = measurement.intensity.size / (2 if constraint == "real_nonneg" else 1)
    assert independent == pytest.approx(
        full * (1 if not mask else 0.96 if constraint == "real_nonneg" else 0.8), rel=0.01
    )
    expected = misfit.expected(found.predicted)
    assert expected == pytest.approx(independent / 4, rel=0.03)
    assert found.misfit == pytest.approx(expected, rel=5 * math.sqrt(2 / independent))
    assert misfit.evaluate(0.8 * corner(truth.object)).misfit > 1.05 * expected


def test_a_static_region_ten_million_times_brighter_does_not_drown_the_sample():
    measurement, truth = scene(dose_static_per_um2=1e12, photons=0)
    misfit = Misfit(Problem(measurement, "support", (-1, 1)))
    problem, object_ = misfit.problem, corner(truth.object)
    wave = problem.model.propagate(object_.to(torch.complex128)[None])[0]
    static = problem.model.propagate(problem.model.static_region.to(torch.complex128)[None])[0]
    exact = (wave + static).abs() - static.abs()
    found = misfit.evaluate(object_)
    change = found.predicted.double().sqrt() - static.abs()  # a difference in single precision
    careful = (2 * (static.conj() * wave).real + wave.abs().square()) / ((wave + static).abs() + static.abs())
    assert float((careful - exact).abs().max()) < 1e-6
    assert float((change - exact).abs().max()) > 1e-3
    misfit.excess = exact.float()
    assert misfit.evaluate(object_).misfit < 1e-6 * exact.numel()


def test_variance_of_the_root_of_counts():
    generator = np.random.default_rng(0)
    for photons in (0.01, 0.3, 1.0, 3.0, 20.0, 63.0, 65.0, 1e4):
        drawn = (np.sqrt(generator.poisson(photons, 400_000)) - np.sqrt(photons)) ** 2
        found = float(modulus_variance(torch.tensor([photons]))[0])
        assert found == pytest.approx(drawn.mean(), abs=5 * drawn.std() / np.sqrt(drawn.size))
    assert float(modulus_variance(torch.tensor([0.0]))[0]) == 0


@pytest.mark.parametrize("photons", [1.0, 1000.0])
@pytest.mark.parametrize("area", [1.0, 4.0])
def test_brightness_is_found_from_the_counts(photons, area):
    measurement, truth = scene(sample_photons_per_pixel=photons, support_area=area)
    problem = Problem(measurement, "real_nonneg", (-1, 1))
    found = estimate_scale(problem, problem.object_support)
    assert found == pytest.approx(np.abs(truth.object).max(), rel=0.35)


def test_brightness_without_a_static_region_follows_the_photons():
    measurement, truth = scene(photons=0)
    alone = replace(measurement, static_region=None, static_support=None)
    alone = replace(
        alone, intensity=np.abs(np.fft.fftshift(np.fft.fft2(truth.object, norm="ortho"))).astype(np.float32) ** 2
    )
    problem = Problem(alone, "real_nonneg", (-1, 1))
    assert estimate_scale(problem, problem.object_support) == pytest.approx(np.abs(truth.object).max(), rel=0.5)


def test_linear_estimate_is_the_sample_with_the_noise_of_its_photons():
    measurement, truth = scene(sample_photons_per_pixel=1000.0)
    problem = Problem(measurement, "real_nonneg", (-1, 1))
    found = linear_estimate(problem, problem.object_support)
    error = (found - corner(truth.object)).abs()[problem.object_support]
    assert float(error.square().mean().sqrt()) < 0.1 * np.abs(truth.object).max()


@pytest.mark.parametrize("constraint", ["support", "real_nonneg", "re_nonneg", "quadrant", "phase_range"])
def test_outputs_satisfy_the_constraint(constraint):
    channels = 5 * torch.randn(count_channels(constraint), 6, 6, generator=torch.Generator().manual_seed(0))
    object_ = shape_object(channels, torch.tensor(3.0), constraint, (-0.5, 0.7))
    measurement, _ = scene(size=32)
    problem = Problem(measurement, constraint, (-0.5, 0.7))
    everywhere = torch.ones((1, 6, 6), dtype=torch.bool)
    assert torch.allclose(problem.project_object(object_[None], everywhere)[0], object_, atol=1e-5)
    assert float(object_.abs().max()) > 3


def test_variance_stop_keeps_the_quietest_stretch():
    stop = StopAtVariance(window=4, patience=6)
    generator = torch.Generator().manual_seed(0)
    ended = None
    for index in range(40):
        noise = 1.0 if index < 8 else 0.01 if index < 14 else 0.5
        output = torch.full((3, 3), float(index)) * 0 + noise * torch.randn(3, 3, generator=generator)
        if stop.update(output, torch.tensor(index), None):
            ended = index
            break
    assert 11 <= int(stop.best) <= 13 and ended == int(stop.best) + 6


def test_the_network_sees_the_support_and_a_margin_only():
    measurement, _ = scene()
    problem = Problem(measurement, "real_nonneg", (-1, 1))
    start = NetworkStart(
        problem, Misfit(problem), problem.object_support, 1, UntrainedNetworkParameters(margin_px=3, **SMALL)
    )
    side = int(problem.object_support.any(0).sum())
    assert start.input.shape[2:] == (-(-(side + 6) // 4) * 4,) * 2
    whole = start.place(start.output().detach())
    assert torch.equal(whole != 0, problem.object_support)


def test_bounding_box():
    support = torch.zeros(6, 7, dtype=torch.bool)
    support[2, 1] = support[4, 5] = True
    assert bounding_box(support) == (slice(2, 5), slice(1, 6))


def test_a_fit_that_diverges_keeps_what_it_had_and_says_so(caplog):
    measurement, _ = scene()
    problem = Problem(measurement, "real_nonneg", (-1, 1))
    start = NetworkStart(problem, Misfit(problem), problem.object_support, 1, UntrainedNetworkParameters(**SMALL))
    start.step()
    before = start.object()
    with torch.no_grad():
        next(start.network.parameters()).fill_(torch.nan)
    start.step()
    assert start.done and "diverged" in caplog.text
    assert torch.equal(start.object(), before) and torch.isfinite(start.object().real).all()


def test_an_object_of_a_few_pixels_is_no_error():
    polygons = get_scene("polygons")
    measurement, _ = simulate(polygons, polygons.parameters(size=16, dimensions=3, object_size=8, photons=1e5), 1)
    result = reconstruct(measurement, recipe_from_mapping({"method": "dip", "iterations": 2, "width": 4}))
    assert np.isfinite(result.object).all()
