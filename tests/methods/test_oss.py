"""Oversampling smoothness: where the filter acts, its stages, and what it makes of noisy patterns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from objects import correlation, make_object

from cdipipe.measurement import Measurement
from cdipipe.methods import hio, oss
from cdipipe.metrics.align import align_to
from cdipipe.metrics.evaluate import evaluate
from cdipipe.ops.projection import CONSTRAINTS
from cdipipe.optics import fourier
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import Start, reconstruct
from cdipipe.phasing.registry import get_method
from cdipipe.phasing.schedule import FILTER_WIDTHS
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


def noisy(shape=(48, 48), photons=1e6):
    object_, support = make_object(shape, photons=photons)
    intensity = fourier.forward(torch.from_numpy(object_), len(shape)).abs().square().numpy()
    counts = np.random.default_rng(3).poisson(intensity).astype(np.float32)
    return Measurement(counts, np.ones(shape, bool), "single" if len(shape) == 2 else "volume"), object_, support


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("shape", [(48, 45), (14, 16, 17)], ids=str)
def test_the_filter_touches_only_the_exterior(constraint, shape):
    measurement, _, support = noisy(shape)
    problem = Problem(measurement, constraint, (-1, 1))
    inside = fourier.to_corner(torch.from_numpy(support), problem.ndim).contiguous()
    wave = torch.randn((2, *shape), dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    plain, _, _ = hio.update(wave.clone(), problem, inside, validate(hio.METHOD.parameters, {}, "hio"), 0)
    projected, _ = problem.impose_modulus(wave)
    low_pass = oss._filter(0.05, problem, wave)
    smoothed = oss._update(wave, projected, problem, inside, 0.9, low_pass)
    assert torch.equal(smoothed[:, inside], plain[:, inside])
    exterior = plain * ~inside
    wanted = fourier.inverse_corner(low_pass * fourier.forward_corner(exterior, problem.ndim), problem.ndim)
    assert float((smoothed - wanted)[:, ~inside].abs().max() / wanted.abs().max()) < 1e-5
    assert smoothed[:, ~inside].abs().square().sum() < 0.5 * plain[:, ~inside].abs().square().sum()


def test_a_filter_without_effect_and_hio_first_are_hio():
    measurement, _, support = noisy()
    start, shared = Start(support=support), {"iterations": 4, "closing_er": 0}
    hybrid = reconstruct(measurement, recipe_from_mapping({"method": "hio", **shared}), start=start)
    for settings in ({"alpha": [1e6]}, {"alpha": [0.01], "hio_first": True}):
        same = reconstruct(measurement, recipe_from_mapping({"method": "oss", **shared, **settings}), start=start)
        np.testing.assert_allclose(same.error_trace, hybrid.error_trace, rtol=1e-4)
    other = reconstruct(measurement, recipe_from_mapping({"method": "oss", **shared, "alpha": [0.01]}), start=start)
    assert np.abs(other.error_trace / hybrid.error_trace - 1)[0, -1] > 1e-3


def test_ten_stages_from_twice_to_a_fifth_of_the_array():
    assert np.allclose(FILTER_WIDTHS, np.linspace(2, 0.2, 10))
    assert get_method("oss").parameters().alpha == FILTER_WIDTHS


def test_every_stage_goes_back_to_its_best(monkeypatch):
    measurement, _, support = noisy(photons=1e4)
    seen, original = [], Problem.r_factor
    monkeypatch.setattr(Problem, "r_factor", lambda self, wave: seen.append(original(self, wave)) or seen[-1])
    settings = {"iterations": 100, "closing_er": 0, "restarts": 3, "batch": 3, "shrink_wrap": {"every": 0}}
    recipe = recipe_from_mapping({"method": "oss", **settings})
    result = reconstruct(measurement, recipe, start=Start(support=support), keep_runs=True)
    scores = torch.stack(seen).numpy()
    assert len(scores) == 50  # every second iteration
    lowest = scores[-5:].min(0)
    order = result.run_scores["seed"].astype(int)
    objects = fourier.to_corner(torch.from_numpy(result.runs)).contiguous()
    found = original(Problem(measurement, "support", (-1, 1)), objects)
    np.testing.assert_allclose(found, lowest[order], rtol=1e-4)


@pytest.mark.parametrize("shape", [(64, 64), (24, 24, 24)], ids=str)
def test_finds_a_complex_object_from_random_starts(shape):
    measurement, object_, _ = noisy(shape, 1e7)
    result = reconstruct(measurement, recipe_from_mapping({"method": "oss", "iterations": 200, "restarts": 4}), seed=1)
    assert align_to(object_, result.object).correlation > 0.97


def test_smoothing_helps_where_photons_are_few():
    measurement, object_, support = noisy(photons=2e4)
    shared = {"iterations": 200, "restarts": 4, "closing_er": 0, "shrink_wrap": {"every": 0}}
    found = {
        name: reconstruct(measurement, recipe_from_mapping({"method": name, **shared}), start=Start(support=support))
        for name in ("oss", "hio")
    }
    values = {name: align_to(object_, result.object).correlation for name, result in found.items()}
    assert values["oss"] > values["hio"] + 0.005


@pytest.mark.parametrize("photons", [1.0, 1000.0])
def test_beside_a_static_region_it_reaches_the_linear_law(photons):
    scene = get_scene("static_region")
    settings = {"size": 128, "sample_photons_per_pixel": photons}
    measurement, truth = simulate(scene, validate(scene.parameters, settings, "static_region"), 0)
    recipe = recipe_from_mapping({"method": "oss", "iterations": 150, "constraint": "real_nonneg"})
    found = evaluate(reconstruct(measurement, recipe), measurement, truth).metrics["psnr_db"]
    assert found == pytest.approx(10 * np.log10(2 * truth.extra["incident_photons_per_sample_pixel"]), abs=0.7)


def test_probe_modes_and_masks():
    object_, support = make_object((48, 48), photons=1e7)
    y, x = np.meshgrid(*[(np.arange(48) - 24) / 48] * 2, indexing="ij")
    probe = np.exp(-(x**2 + y**2) / 0.08).astype(np.complex64)
    intensity = fourier.forward(torch.from_numpy(object_ * probe)).abs().square().numpy()
    measured = np.ones((48, 48), bool)
    measured[24:26, 24:26] = False
    measurement = Measurement(intensity, measured, probe_modes=probe[None])
    near = object_ * np.exp(0.3j * np.random.default_rng(1).standard_normal(object_.shape)).astype(np.complex64)
    recipe = recipe_from_mapping({"method": "oss", "iterations": 100, "shrink_wrap": {"every": 0}})
    result = reconstruct(measurement, recipe, start=Start(near, support))
    assert correlation(object_, result.object) > max(0.99, correlation(object_, near))
    wild = replace(measurement, intensity=np.where(measured, intensity, 1e9).astype(np.float32))
    assert np.array_equal(reconstruct(wild, recipe, start=Start(near, support)).object, result.object)
