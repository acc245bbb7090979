"""The guided population and its parts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from objects import make_object

from cdipipe.measurement import Measurement
from cdipipe.methods.guided.align import align_batch, centre_batch
from cdipipe.methods.guided.crop import cropped_problem
from cdipipe.methods.guided.population import score
from cdipipe.metrics.align import align_to, twin_of
from cdipipe.optics import fourier
from cdipipe.optics.regrid import regrid
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct

SMALL = {"method": "guided", "starts": 6, "populations": 2, "iterations": 120, "generation_iterations": 40}


def pattern_of(object_, seed=None, **extra):
    ndim = object_.ndim
    intensity = fourier.forward(torch.from_numpy(object_), ndim).abs().square().numpy()
    if seed is not None:
        intensity = np.random.default_rng(seed).poisson(intensity).astype(np.float32)
    return Measurement(intensity, np.ones(intensity.shape, bool), "single" if ndim == 2 else "volume", **extra)


def problem_of(object_, **extra):
    return Problem(pattern_of(object_, **extra), "support", (-1, 1))


def corner(object_):
    return fourier.to_corner(torch.from_numpy(object_), object_.ndim)


@pytest.mark.parametrize("shape", [(64, 60), (45, 64), (32, 36, 40)], ids=str)
def test_the_cropped_pattern_is_that_of_the_same_object(shape):
    object_, support = make_object(shape)
    sides = [int(np.ptp(index)) + 1 for index in np.nonzero(support)]
    small = cropped_problem(problem_of(object_), sides, 1.1)
    assert all(2 * e <= n for e, n in zip(sides, small.shape, strict=True)) and small.shape != shape
    assert small.photons == pytest.approx(np.sum(np.abs(object_) ** 2), rel=1e-3)
    wave = regrid(corner(object_)[None], small.shape)
    _, r_factor = small.impose_modulus(wave)
    assert float(r_factor[0]) < 2e-3
    assert torch.equal(regrid(wave, shape), corner(object_)[None])


def test_no_crop_where_the_pattern_does_not_allow_it():
    object_, _ = make_object((64, 64))
    whole = pattern_of(object_)
    stopped = replace(whole, measured=np.hypot(*(np.indices((64, 64)) - 32)) > 2)
    lit = replace(whole, probe_modes=np.ones((1, 64, 64), np.complex64))
    assert cropped_problem(Problem(whole, "support", (-1, 1)), [16, 16], 1.1) is not None
    assert cropped_problem(Problem(whole, "support", (-1, 1)), [32, 32], 1.1) is None
    for measurement in (stopped, lit):
        assert cropped_problem(Problem(measurement, "support", (-1, 1)), [16, 16], 1.1) is None


@pytest.mark.parametrize("shape", [(40, 48), (16, 18, 20)], ids=str)
def test_a_batch_is_laid_over_its_reference(shape):
    object_, _ = make_object(shape)
    axes = tuple(range(object_.ndim))
    moved = np.roll(object_, (3, -4, 2)[: object_.ndim], axes) * np.exp(0.7j)
    batch = torch.stack([corner(a.astype(np.complex64)) for a in (object_, moved, twin_of(moved))])
    halfway = fourier.shift_subpixel(batch[:1], (0.5,) * object_.ndim)
    reference = corner(object_)
    laid = align_batch(reference, torch.cat([batch, halfway]), "shift", object_.ndim)
    for one in laid[:3]:
        torch.testing.assert_close(one, reference, rtol=0, atol=2e-3 * float(reference.abs().max()))
    assert float((laid[3] - reference).norm() / reference.norm()) < 0.05
    turned = align_batch(reference, batch[1:2], "phase", object_.ndim)[0]
    torch.testing.assert_close(turned.abs(), batch[1].abs())  # nothing but the phase may change
    assert align_batch(reference, batch, "none", object_.ndim) is batch


def test_objects_are_rolled_to_the_centre_with_their_supports():
    object_, support = make_object((40, 48))
    away = np.roll(object_, (17, -20), (0, 1))
    inside = np.roll(support, (17, -20), (0, 1))
    waves, supports = centre_batch(corner(away)[None], corner(inside)[None], 2)
    rows, columns = np.nonzero(fourier.to_centre(supports[0]).numpy())
    assert np.ptp(rows) < 20 and np.ptp(columns) < 20, "in one piece"
    assert float(waves[0][~supports[0]].abs().max()) == 0


def test_the_score_is_the_likelihood_of_evaluate():
    object_, _ = make_object((40, 48), photons=1e4)
    measurement = pattern_of(object_, seed=1)
    measurement = replace(measurement, measured=np.random.default_rng(2).random((40, 48)) > 0.1)
    problem = Problem(measurement, "support", (-1, 1))
    waves = torch.stack([corner(object_), 2 * corner(object_).roll(2, 0) + 0.1])
    expected = problem.scores(waves)["poisson_nll"]
    np.testing.assert_allclose(score(problem, waves).numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "beamstop_px"), [((64, 64), 0), ((48, 48), 2), ((24, 24, 24), 0)], ids=["2D", "beam stop", "3D"]
)
def test_finds_the_object(shape, beamstop_px):
    object_, _ = make_object(shape, phase_rad=2.0, photons=1e6)
    measurement = pattern_of(object_, seed=3)
    radius2 = sum(
        (np.arange(n).reshape([-1 if a == b else 1 for b in range(len(shape))]) - n // 2) ** 2
        for a, n in enumerate(shape)
    )
    measurement = replace(measurement, measured=radius2 >= beamstop_px**2)
    result = reconstruct(measurement, recipe_from_mapping(SMALL), seed=1)
    assert align_to(object_, result.object).correlation > 0.965
    assert result.error_trace.shape == (1, 2 * (120 + 3 * 40) + 120)


def test_with_probe_modes_nothing_is_moved():
    shape = (48, 48)
    object_, support = make_object(shape, photons=1e6)
    y, x = np.indices(shape) - 24
    probes = np.stack([np.exp(-(x**2 + y**2) / 200), 0.4 * x / 8 * np.exp(-(x**2 + y**2) / 200)]).astype(np.complex64)
    waves = fourier.forward(torch.from_numpy(probes * object_)).abs().square().sum(0).numpy()
    counts = np.random.default_rng(1).poisson(waves).astype(np.float32)
    measurement = Measurement(counts, np.ones(shape, bool), probe_modes=probes, object_support=support)
    result = reconstruct(measurement, recipe_from_mapping(SMALL), seed=1)
    inner = support & (np.abs(probes[0]) > 0.5)
    found, true = result.object[inner], object_[inner]
    assert abs(np.vdot(found, true)) / np.linalg.norm(found) / np.linalg.norm(true) > 0.97
    assert not result.object[~support].any()


def test_beside_a_static_region_only_the_sample_is_sought():
    shape = (64, 64)
    object_, support = make_object(shape, photons=1e5)
    static = np.zeros(shape, np.complex64)
    static[26:38, 52:60] = 40
    counts = fourier.forward(torch.from_numpy(object_ + static)).abs().square().numpy()
    counts = np.random.default_rng(1).poisson(counts).astype(np.float32)
    measurement = Measurement(counts, np.ones(shape, bool), static_region=static, object_support=support)
    result = reconstruct(measurement, recipe_from_mapping({**SMALL, "populations": 1}), seed=1)
    assert np.linalg.norm(result.object - object_) < 0.15 * np.linalg.norm(object_)


def test_repetitions_are_independent_and_the_same_seed_gives_the_same_bits():
    object_, _ = make_object((48, 48), photons=1e5)
    measurement = pattern_of(object_, seed=3)
    recipe = recipe_from_mapping({**SMALL, "starts": 3, "iterations": 30, "restarts": 2})
    first = reconstruct(measurement, recipe, seed=4, keep_runs=True)
    again = reconstruct(measurement, recipe, seed=4, keep_runs=True)
    assert np.array_equal(first.runs, again.runs)
    assert not np.array_equal(first.runs[0], first.runs[1])


def test_threads_do_not_change_the_result():
    measurement = pattern_of(make_object((48, 48), photons=1e5)[0], seed=3)
    recipe = recipe_from_mapping({**SMALL, "starts": 3, "iterations": 30})
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(reconstruct(measurement, recipe, seed=4).object)
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(*results)


def test_the_result_satisfies_the_constraint():
    measurement = pattern_of(make_object((48, 48), phase_rad=0.3, photons=1e5)[0], seed=3)
    result = reconstruct(measurement, recipe_from_mapping({**SMALL, "constraint": "re_nonneg"}), seed=1)
    assert result.object.real.min() >= 0 and np.abs(result.object).max() > 0
