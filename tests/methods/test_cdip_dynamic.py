"""CDIP on movies: one field for all frames, any frame rate on output."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.methods.cdip import CdipParameters, dynamic, dynamic_optimiser, dynamic_render
from cdipipe.metrics.cases import MovieCase
from cdipipe.metrics.evaluate import judge_movie
from cdipipe.networks.fields.dynamic import MovieField
from cdipipe.phasing.joint import run_frames
from cdipipe.phasing.loop import Watch
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.phasing.starts import Start
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

SMALL = {"size": 48, "frames": 8, "photons": 4e6, "particle_count": 3, "particle_diameter_m": 6e-8}
QUICK = {"iterations": 4, "hidden": 8, "movie": {"channels": 4}}


@pytest.fixture(scope="module")
def movie():
    """(Measurement, Truth): three gold spheres of five pixels in a focused beam."""
    scene = get_scene("particles")
    return simulate(scene, scene.parameters(**SMALL, illumination="probe"), seed=3)


def problems_of(measurement):
    return [Problem(measurement.pattern(i), "support", (-1.6, 1.6)) for i in range(measurement.pattern_count)]


def correlation(objects, measurement, truth):
    return judge_movie(MovieCase(objects, measurement.probe_modes, truth.object))[0]["field_phase_correlation"]


def fit(measurement, seed=0, start=None, **changes):
    parameters = CdipParameters(**{**QUICK, **changes})
    recipe, watch = recipe_from_mapping({"method": "cdip"}), Watch()
    run = dynamic.MovieRun(problems_of(measurement), start or Start(), parameters, recipe, seed, watch)
    return run_frames(run, watch)


def test_particles_are_found_in_every_frame(movie):
    measurement, truth = movie
    recipe = recipe_from_mapping({"method": "cdip", "iterations": 80, "movie": {"channels": 12, "frames_per_step": 2}})
    result = reconstruct(measurement, recipe, seed=1)
    assert result.object.shape == measurement.intensity.shape
    assert correlation(result.object, measurement, truth) > 0.9
    assert np.angle(result.object).min() < -0.05 and np.abs(result.object).max() < 1.0 + 1e-5
    rows, columns = np.nonzero(np.abs(measurement.probe_modes).sum(0))
    outside = np.ones(measurement.pattern_shape, bool)
    outside[rows.min() - 1 : rows.max() + 2, columns.min() - 1 : columns.max() + 2] = False
    assert outside.any() and (result.object[:, outside] == 1).all()


def test_same_seed_same_bits(movie):
    one, two, other = (fit(movie[0], seed) for seed in (5, 5, 6))
    assert np.array_equal(one.objects, two.objects) and np.array_equal(one.error_trace, two.error_trace)
    assert not np.array_equal(one.objects, other.objects)
    assert one.error_trace.shape == (4,) and one.supports.shape == one.objects.shape


def test_a_fitted_field_renders_at_any_frame_rate(movie, tmp_path):
    measurement, path = movie[0], tmp_path / "field.pt"
    result = fit(measurement, movie={"channels": 4, "field_file": str(path)})
    kept = dynamic_render.load_movie(path)
    times = measurement.frame_times_s
    assert np.allclose(kept.render(times), result.objects, atol=1e-6)
    between = kept.render(np.linspace(times[0], times[-1], 3 * len(times) - 2))
    assert np.allclose(between[::3], result.objects, atol=1e-4)
    assert not np.allclose(between[1::3], result.objects[:-1], atol=1e-6)
    with pytest.raises(InputError, match=r"times to render: got 0 to 1 s; the movie lasts from 0 to 0\.049 s"):
        kept.render([0.0, 1.0])
    other = tmp_path / "other.pt"
    torch.save({"format": "something"}, other)
    with pytest.raises(InputError, match="not the field of a movie"):
        dynamic_render.load_movie(other)
    with pytest.raises(InputError, match="No such file"):
        dynamic_render.load_movie(tmp_path / "none.pt")


def test_a_step_never_holds_more_frames_than_asked_for(movie, monkeypatch):
    seen, objects = [], dynamic_render.FittedMovie.objects

    def counting(self, times):
        seen.append(len(times))
        return objects(self, times)

    monkeypatch.setattr(dynamic_render.FittedMovie, "objects", counting)
    fit(movie[0], movie={"channels": 4, "frames_per_step": 3})
    assert max(seen) == 3 and sum(seen) == 5 * 8


def test_frames_at_their_own_times(movie):
    """Frames that are not evenly spaced are fitted where they are in time."""
    measurement = replace(movie[0], frame_times_s=np.array([0, 1, 2, 3, 10, 11, 12, 13.0]))
    problems = problems_of(measurement)
    assert dynamic.frame_times(problems).tolist() == [0, 1, 2, 3, 10, 11, 12, 13]
    numbered = replace(measurement, frame_times_s=None)
    assert dynamic.frame_times(problems_of(numbered)).tolist() == list(range(8))


def test_variation_in_time_smooths(movie):
    rough, smooth = (
        fit(movie[0], iterations=20, movie={"channels": 8, "tv_time": weight}).objects for weight in (0.0, 30.0)
    )
    assert np.abs(np.diff(smooth, axis=0)).sum() < 0.7 * np.abs(np.diff(rough, axis=0)).sum()


def test_a_movie_can_begin_with_an_earlier_one(movie):
    measurement, truth = movie
    turned = truth.object * np.exp(2j * np.arange(8))[:, None, None].astype(np.complex64)
    cold, warm = (
        fit(measurement, start=start, iterations=2, movie={"channels": 12, "imitation": 60}).objects
        for start in (None, Start(object=turned))
    )
    assert correlation(warm, measurement, truth) > correlation(cold, measurement, truth) + 0.2


def test_a_diverging_fit_keeps_its_best_state(movie, caplog, monkeypatch):
    scores = iter([(1.0, 0.5), (float("nan"), 0.5)])
    monkeypatch.setattr(dynamic.FieldFit, "_pass", lambda *_: next(scores))
    with caplog.at_level(logging.WARNING):
        result = fit(movie[0])
    assert "diverged in pass 2 of 4; the field of pass 1 is kept" in caplog.text
    assert np.isfinite(result.objects).all() and result.error_trace.tolist() == [0.5]


def test_running_out_of_memory_names_what_to_lower(movie, monkeypatch):
    def starve(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB")

    monkeypatch.setattr(dynamic.FieldFit, "passes", starve)
    with pytest.raises(InputError, match=r"out of memory with a box of .* movie.frames_per_step 1; lower that"):
        fit(movie[0])


def test_an_isolated_movie_finds_its_box():
    scene = get_scene("particles")
    measurement, _ = simulate(scene, scene.parameters(**SMALL), seed=3)
    result = fit(measurement)
    assert result.supports[0].any() and not result.supports[0].all()
    assert (result.objects[~result.supports] == 0).all()
    given = Start(support=np.pad(np.ones((20, 20), bool), 14))
    box = dynamic.find_movie_box(problems_of(measurement), given, CdipParameters(**QUICK))
    assert box.sides == (22, 22) and box.first == (-11, -11)


def test_only_the_cells_of_the_times_at_hand_move():
    cells = dynamic_optimiser.touched_cells(torch.tensor([-1.0, 0.1, 1.0]), 5)
    assert cells.tolist() == [0, 2, 3, 4]
    field = MovieField((4, 4, 1, 5), torch.Generator().manual_seed(0), channels=2, hidden=4)
    before = [plane.detach().clone() for plane in field.planes]
    optimiser = dynamic_optimiser.TimedAdam(field, [], 1e-2, 1e-2, 1e-2)
    times = torch.tensor([0.5])
    for _ in range(2):
        optimiser.descend(field(times).square().sum(), times)
    moved = [(plane - old).abs().amax((0, 2)).detach() for plane, old in zip(field.planes[3:], before[3:], strict=True)]
    for change in moved:
        assert (change[[0, 1, 2, 4]] == 0).all() and float(change[3]) > 1e-3
    assert all(not torch.equal(plane, old) for plane, old in zip(field.planes[:3], before[:3], strict=True))


def test_a_transmission_that_a_fit_begins_with_is_darkest_where_matter_is():
    light = np.ones((8, 8))
    object_ = np.ones((8, 8), np.complex64)
    object_[:2] = np.exp(-0.8j)
    turned = object_ * np.exp(2j)
    np.testing.assert_allclose(turned * dynamic._background(turned, light, True), object_, atol=1e-6)


def test_the_misfit_of_a_lit_movie_is_that_of_counts(movie):
    """Not given is Poisson with a probe, and moduli without."""
    measurement = movie[0]
    unlit = replace(measurement, probe_modes=None)
    for seen, loss in ((measurement, "poisson"), (unlit, "amplitude_mse")):
        default, given = fit(seen, closing=0.25), fit(seen, closing=0.25, loss=loss)
        assert np.array_equal(default.objects, given.objects)
    assert not np.array_equal(fit(unlit, loss="poisson").objects, fit(unlit).objects)


@pytest.mark.parametrize("setting", [{"anchoring": 0.3}, {"anchor_px": 12}])
def test_what_only_single_patterns_have_is_refused_with_movies(movie, setting):
    recipe = recipe_from_mapping({"method": "cdip", **QUICK, **setting})
    with pytest.raises(InputError, match=f"{next(iter(setting))}: for single patterns"):
        reconstruct(movie[0], recipe)
