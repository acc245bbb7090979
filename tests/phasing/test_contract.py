"""What every iterative method must do, whatever it is called."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from objects import correlation, make_object

from cdipipe.measurement import Measurement
from cdipipe.metrics.align import align_to
from cdipipe.optics import fourier
from cdipipe.phasing.loop import State, Watch, run_recipe
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.recipe import Recipe, recipe_from_mapping
from cdipipe.phasing.reconstruct import Start, reconstruct
from cdipipe.phasing.registry import IterativeParameters, Predictor, all_methods
from cdipipe.phasing.starts import derive_seed

ITERATIVE = [m.name for m in all_methods().values() if issubclass(m.parameters, IterativeParameters) and not m.needs]


def recipe(name, **settings):
    return recipe_from_mapping({"method": name, "iterations": 10, **settings})


def noisy(photons=1e6, shape=(48, 48), seed=3):
    object_, support = make_object(shape, photons=photons)
    intensity = fourier.forward(torch.from_numpy(object_), len(shape)).abs().square().numpy()
    counts = np.random.default_rng(seed).poisson(intensity).astype(np.float32)
    return Measurement(counts, np.ones(shape, bool), "single" if len(shape) == 2 else "volume"), object_, support


@pytest.mark.parametrize("method", all_methods().values(), ids=lambda method: method.name)
def test_no_parameter_is_called_as_one_of_every_recipe(method):
    """It would go to the recipe; ``batch`` of a predicting method is looked up in both."""
    shared = set(method.parameters.model_fields) & set(Recipe.model_fields)
    assert shared <= ({"batch"} if isinstance(method, Predictor) else set())


@pytest.mark.parametrize("name", ITERATIVE)
def test_noise_free_truth_is_a_fixed_point(name, known):
    measurement, object_, support = known
    fixed = recipe(name, shrink_wrap={"every": 0})
    problem = Problem(measurement, "support", (-1, 1))
    corner = fourier.to_corner(torch.from_numpy(object_), problem.ndim)[None].contiguous()
    inside = fourier.to_corner(torch.from_numpy(support), problem.ndim)[None].contiguous()
    estimate, _ = run_recipe(State(corner.clone(), inside, torch.full((1, 10), torch.nan)), problem, fixed, Watch())
    assert float((estimate - corner).abs().max() / corner.abs().max()) < 2e-5


@pytest.mark.parametrize("name", ITERATIVE)
def test_same_seed_gives_the_same_bits_and_another_seed_does_not(name):
    measurement, _, _ = noisy()
    first, again, other = (reconstruct(measurement, recipe(name), seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.object, again.object)
    assert not np.array_equal(first.object, other.object)


@pytest.mark.parametrize("name", ITERATIVE)
def test_a_masked_pixel_is_never_forced(name):
    measurement, _, _ = noisy()
    measured = np.ones(measurement.intensity.shape, bool)
    measured[20:28, 20:28] = False
    poisoned = measurement.intensity.copy()
    poisoned[~measured] = 1e9
    clean = reconstruct(replace(measurement, measured=measured), recipe(name), seed=1)
    wild = reconstruct(replace(measurement, measured=measured, intensity=poisoned), recipe(name), seed=1)
    assert np.array_equal(clean.object, wild.object)


@pytest.mark.parametrize("name", ["hio", "raar", "dm"])
@pytest.mark.parametrize("shape", [(64, 64), (24, 24, 24)], ids=str)
def test_finds_the_object_from_random_starts(name, shape):
    measurement, object_, _ = noisy(1e7, shape)
    result = reconstruct(measurement, recipe(name, iterations=200, restarts=4), seed=1)
    assert align_to(object_, result.object).correlation > 0.97


def test_restarts_give_the_same_bits_on_one_and_two_threads():
    measurement, _, _ = noisy()
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(reconstruct(measurement, recipe("hio", restarts=4, batch=1), seed=4))
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(results[0].object, results[1].object)


def test_an_error_in_one_restart_ends_the_others():
    measurement, _, _ = noisy()

    def fail(problem, state, done):
        raise KeyboardInterrupt

    long = recipe("hio", iterations=1_000_000, restarts=4, batch=1, preview_every=1)
    with pytest.raises(KeyboardInterrupt):
        reconstruct(measurement, long, preview=fail)


@pytest.mark.parametrize("select", ["poisson_nll", "r_factor", "r_factor_free"])
def test_restarts_are_ranked_by_the_chosen_score_and_aligned(select):
    measurement, _, _ = noisy()
    chosen = recipe("hio", iterations=60, restarts=6, select=select)
    result = reconstruct(measurement, chosen, seed=1, keep_runs=True, free_fraction=0.05)
    assert np.all(np.diff(result.run_scores[select]) >= 0)
    assert sorted(result.run_scores["seed"]) == list(range(6))
    assert np.array_equal(result.object, result.runs[0])
    for run in result.runs[1:]:  # there is nothing left to align
        assert correlation(result.runs[0], run) > align_to(result.runs[0], run).correlation - 1e-3


def test_the_runs_of_every_shot_are_kept_best_first_and_aligned():
    first, second = noisy(seed=3)[0], noisy(seed=4)[0]
    dark = np.zeros_like(first.intensity)
    shots = Measurement(np.stack([first.intensity, dark, second.intensity]), first.measured, "shots")
    result = reconstruct(shots, recipe("hio", iterations=40, restarts=4), seed=1, keep_runs=True)
    assert result.runs.shape == (4, 3, 48, 48) and not result.runs[:, 1].any()
    assert np.array_equal(result.object, result.runs[0])
    for index, pattern in ((0, first), (2, second)):
        chosen = recipe("hio", iterations=40, restarts=4)
        alone = reconstruct(pattern, chosen, seed=derive_seed(1, index), keep_runs=True)
        np.testing.assert_array_equal(result.runs[:, index], alone.runs)
    assert reconstruct(shots, recipe("hio"), seed=1, keep_runs=True).runs is None
    movie = replace(shots, stack="movie", frame_times_s=np.arange(3.0))
    assert reconstruct(movie, recipe("hio", restarts=2), seed=1, keep_runs=True).runs is None


def test_withheld_pixels_do_not_change_the_result():
    measurement, _, _ = noisy()
    first = reconstruct(measurement, recipe("hio"), seed=1, free_fraction=0.1)
    assert 0.05 < first.free_pixels.mean() < 0.15
    changed = np.where(first.free_pixels, 1e6, measurement.intensity).astype(np.float32)
    again = reconstruct(replace(measurement, intensity=changed), recipe("hio"), seed=1, free_fraction=0.1)
    assert np.array_equal(first.object, again.object)
    assert again.run_scores["r_factor_free"][0] > 2 * first.run_scores["r_factor_free"][0]


def test_goes_on_from_a_result_with_other_parameters():
    measurement, _, _ = noisy()
    rough = reconstruct(measurement, recipe("hio", iterations=40), seed=1)
    start = Start(rough.object, rough.support)
    better = reconstruct(measurement, recipe("er", iterations=40, shrink_wrap={"every": 0}), seed=1, start=start)
    assert better.run_scores["r_factor"][0] < rough.run_scores["r_factor"][0]
    assert better.error_trace[0, 0] < 2 * rough.run_scores["r_factor"][0]


def test_a_stack_of_shots_gives_one_object_each():
    measurement, _, _ = noisy()
    counts = np.stack([measurement.intensity, np.roll(measurement.intensity, 0), measurement.intensity[:, ::-1]])
    shots = Measurement(np.ascontiguousarray(counts), measurement.measured, "shots")
    result = reconstruct(shots, recipe("hio", restarts=2), seed=1)
    assert result.object.shape == counts.shape and result.support.shape == counts.shape
    assert result.run_scores["r_factor"].shape == (3,) and result.error_trace.shape == (3, 10)


def test_poisson_refinement_lowers_the_negative_log_likelihood():
    measurement, _, _ = noisy(1e5)
    plain = reconstruct(measurement, recipe_from_mapping({"sequence": "150*HIO+30*ER"}), seed=1)
    refined = reconstruct(measurement, recipe_from_mapping({"sequence": "150*HIO+30*ER+30*ML"}), seed=1)
    assert refined.run_scores["poisson_nll"][0] < plain.run_scores["poisson_nll"][0]
