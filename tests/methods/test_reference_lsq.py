"""Least squares beside a known reference, and a denoiser."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cdipipe.methods.reference_lsq.referenced import noise_level
from cdipipe.metrics.evaluate import evaluate
from cdipipe.phasing.least_squares import Linearised
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


def scene(seed=3, **settings):
    found = get_scene("static_region")
    return simulate(found, found.parameters(**{"size": 128, **settings}), seed)


def solve(measurement, constraint="real_nonneg", **settings):
    recipe = recipe_from_mapping({"method": "reference_lsq", "constraint": constraint, **settings})
    return reconstruct(measurement, recipe, seed=1)


def psnr(measurement, truth, **settings):
    return evaluate(solve(measurement, **settings), measurement, truth).metrics["psnr_db"]


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("probe", ["plane", "gaussian"])
def test_the_linear_model_and_its_adjoint(real, probe):
    measurement, _ = scene(size=64, probe=probe)
    problem = Problem(measurement, "support", (-1, 1))
    model = Linearised(problem, problem.model.static_wavefront(torch.complex128), problem.object_support, real)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 64, 2, generator=generator)
    x = (x[..., 0] if real else torch.view_as_complex(x)) * problem.object_support
    y = torch.randn(64, 64, generator=generator)
    left = float((model.forward(x) * y).sum())
    right = float((x.conj() * model.adjoint(y)).sum().real)
    assert left == pytest.approx(right, rel=1e-4)
    small = 1e-3 * x
    wave = problem.model.static_wavefront(torch.complex128) + problem.model.propagate(small)
    both = problem.model.sum_modes(wave.abs().square()).sqrt()
    assert torch.allclose((both - model.modulus).float(), model.forward(small), atol=1e-4)


@pytest.mark.parametrize("per_pixel", [1.0, 1000.0])
def test_least_squares_obeys_the_law_and_denoisers_beat_it(per_pixel):
    measurement, truth = scene(sample_photons_per_pixel=per_pixel)
    law = 10 * np.log10(2 * truth.extra["incident_photons_per_sample_pixel"])
    plain = psnr(measurement, truth, denoiser="none")
    assert plain == pytest.approx(law, abs=0.6)
    for kind, gain in (("tv", 2.0), ("block_matching", 2.0)):
        better = psnr(measurement, truth, denoiser=kind)
        assert better > plain + (gain if per_pixel == 1 else -0.05), kind


def test_the_noise_is_what_the_law_says():
    measurement, _ = scene()
    problem = Problem(measurement, "real_nonneg", (-1, 1))
    model = Linearised(problem, problem.model.static_wavefront(torch.complex128), problem.object_support, True)
    weight = torch.ones(problem.shape, dtype=torch.float64)
    assert noise_level(problem, model, weight, 8, seed=0) == pytest.approx(0.5**0.5, rel=0.1)


def test_likelihoods_agree_where_there_is_light():
    measurement, truth = scene(sample_photons_per_pixel=1.0)
    values = [psnr(measurement, truth, denoiser="none", likelihood=name) for name in ("amplitude", "poisson")]
    assert abs(values[0] - values[1]) < 0.3


def test_a_complex_sample_in_a_probe_with_a_fresnel_chirp():
    settings = {"probe": "gaussian", "phase_range_rad": 2.0, "sample_photons_per_pixel": 10.0}
    measurement, truth = scene(**settings, detector={"propagation": "fresnel"})
    plain = evaluate(solve(measurement, "support", denoiser="none"), measurement, truth).metrics
    clean = evaluate(solve(measurement, "support", denoiser="block_matching"), measurement, truth).metrics
    assert clean["complex_correlation"] > plain["complex_correlation"] > 0.97


def test_masked_pixels_play_no_part():
    measurement, truth = scene(sample_photons_per_pixel=10.0)
    measured = np.ones(measurement.intensity.shape, bool)
    measured[20:30] = False
    wild = np.where(measured, measurement.intensity, 1e9).astype(np.float32)
    found = [solve(replace(measurement, measured=measured, intensity=i)) for i in (measurement.intensity, wild)]
    assert np.array_equal(found[0].object, found[1].object)
    assert evaluate(found[0], measurement, truth).metrics["psnr_db"] > 25


def test_each_shot_and_from_the_command_line(tmp_path, cli):
    made = ("-o", tmp_path / "m.cxi", "--truth", tmp_path / "t.cxi", "--set", "size=64", "--set", "count=2")
    assert cli("simulate", "static_region", *made).code == 0
    asked = ("-m", "reference_lsq", "-o", tmp_path / "r.cxi", "--set", "denoiser=tv")
    done = cli("reconstruct", tmp_path / "m.cxi", *asked)
    assert done.code == 0 and "least squares + denoiser tv" in done.out
    wrong = cli(
        "reconstruct", tmp_path / "m.cxi", "-m", "reference_lsq", "-o", tmp_path / "x.cxi", "--set", "denoiser=x"
    )
    assert "block_matching" in wrong.complaint
