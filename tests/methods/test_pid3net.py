"""PID3Net: the untrained network of a few frames, its refinement, and fits of small movies."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.methods.pid3net import Pid3NetParameters
from cdipipe.methods.pid3net import fit as fitting
from cdipipe.metrics.cases import MovieCase
from cdipipe.metrics.evaluate import judge_movie
from cdipipe.networks.pid3net.model import FrameNetwork, draw_weights
from cdipipe.networks.pid3net.refine import Beam, Refinement
from cdipipe.optics import fourier
from cdipipe.optics.forward import ForwardModel
from cdipipe.phasing.joint import run_frames
from cdipipe.phasing.loop import Watch
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import Start, reconstruct
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

SMALL = {"size": 32, "frames": 7, "photons": 3e7, "particle_count": 2, "particle_diameter_m": 5e-8}
QUICK = {"iterations": 2, "width": 2, "levels": 2, "refinement_width": 2, "refinement_steps": 2}


@pytest.fixture(scope="module")
def movie():
    """(Measurement, Truth): two gold spheres of four pixels in a focused beam of four modes."""
    scene = get_scene("particles")
    return simulate(scene, scene.parameters(**SMALL, illumination="probe"), seed=3)


def fit(measurement, seed=0, **changes):
    problems = [Problem(measurement.pattern(i), "support", (-1.6, 1.6)) for i in range(measurement.pattern_count)]
    parameters, recipe, watch = (
        Pid3NetParameters(**{**QUICK, **changes}),
        recipe_from_mapping({"method": "pid3net"}),
        Watch(),
    )
    return run_frames(fitting.NetworkRun(problems, Start(), parameters, recipe, seed, watch), watch)


def test_particles_are_found_and_the_trace_falls(movie):
    measurement, truth = movie
    steps = {"refinement": "gradient", "refinement_steps": 10, "window": 3, "windows": 1}
    settings = {**QUICK, "iterations": 40, "width": 4, "rate": 5e-3, "tv": 1, "tv_refined": 1, **steps}
    recipe = recipe_from_mapping({"method": "pid3net", **settings})
    result = reconstruct(measurement, recipe, seed=1)
    found = judge_movie(MovieCase(result.object, measurement.probe_modes, truth.object))[0]["field_phase_correlation"]
    assert found > 0.55
    assert result.error_trace.shape[-1] == 40 and result.error_trace.ravel()[-1] < 0.3 * result.error_trace.ravel()[0]
    power = (np.abs(measurement.probe_modes) ** 2).sum(0)
    assert (result.object[:, power < 0.005 * power.max()] == 1).all()


def test_same_seed_same_bits(movie):
    one, two, other = (fit(movie[0], seed) for seed in (5, 5, 6))
    assert np.array_equal(one.objects, two.objects) and np.array_equal(one.error_trace, two.error_trace)
    assert not np.array_equal(one.objects, other.objects)
    assert one.error_trace.shape == (2,) and one.supports.shape == one.objects.shape


@pytest.mark.parametrize("choice", [{"refinement": "gradient"}, {"refinement": "none"}, {"loss": "amplitude"}])
def test_every_choice_runs(movie, choice):
    assert np.isfinite(fit(movie[0], **choice).objects).all()


def test_masked_pixels_are_never_looked_at(movie):
    measured = movie[0].measured.copy()
    measured[14:18, 20:24] = False
    clean = replace(movie[0], measured=measured)
    counts = clean.intensity.copy()
    counts[:, ~measured] = 1e9
    assert np.array_equal(fit(clean).objects, fit(replace(clean, intensity=counts)).objects)


def test_few_counts_can_be_taken_for_none(movie):
    assert not np.array_equal(fit(movie[0]).objects, fit(movie[0], count_threshold=50).objects)


def test_the_whole_movie_is_drawn_in_windows_of_any_length(movie):
    whole = fit(movie[0], window=50)  # more than there are frames
    parts = fit(movie[0], window=3, windows=1)
    assert whole.objects.shape == parts.objects.shape == movie[0].intensity.shape
    assert (np.abs(parts.objects).reshape(7, -1).std(1) > 0).all()


def test_a_step_never_holds_more_windows_than_asked_for(movie, monkeypatch):
    seen, forward = [], FrameNetwork.forward

    def counting(self, moduli):
        seen.append(moduli.shape[:2])
        return forward(self, moduli)

    monkeypatch.setattr(FrameNetwork, "forward", counting)
    fit(movie[0], window=2, windows=3)
    assert max(batch for batch, _ in seen) == 3 and {frames for _, frames in seen} == {2}


def test_sides_of_any_size_and_any_number_of_frames():
    network = FrameNetwork(width=2, levels=3)
    draw_weights(network, torch.Generator().manual_seed(0))
    objects = network(torch.rand(2, 3, 21, 30))
    assert objects.shape == (2, 3, 21, 30) and float(objects.detach().abs().max()) < 1


def test_a_step_is_the_gradient_of_the_misfit_of_moduli():
    generator = torch.Generator().manual_seed(0)
    probes, objects = (torch.randn(2, 8, 8, 2, generator=generator).double() for _ in range(2))
    beam, objects = (
        Beam(ForwardModel(probe_modes=torch.view_as_complex(probes))),
        torch.view_as_complex(objects[:1]).requires_grad_(True),
    )
    moduli, measured = torch.rand(1, 8, 8, generator=generator).double(), torch.ones(8, 8, dtype=torch.bool)
    ((beam.photons(objects) + 1e-3).sqrt() - moduli).square().sum().backward()
    torch.testing.assert_close(beam.step(objects, moduli, measured) * beam.most, -objects.grad / 2)


def test_gradient_steps_bring_the_moduli_nearer(movie):
    measurement, _ = movie
    beam = Beam(ForwardModel.of_measurement(measurement))
    moduli = fourier.to_corner(torch.from_numpy(measurement.intensity)).sqrt()[None]
    refinement, lit = Refinement("gradient", steps=5), torch.ones(32, 32, dtype=torch.bool)
    begin = torch.ones_like(moduli, dtype=torch.complex64)
    end = refinement(begin, beam, moduli, lit, lit)
    before, after = (float((beam.photons(o).sqrt() - moduli).abs().sum()) for o in (begin, end))
    assert after < 0.9 * before


def test_a_diverging_fit_keeps_its_best_weights(movie, caplog, monkeypatch):
    scores = iter([(1.0, 0.5), (float("nan"), 0.5)])
    monkeypatch.setattr(fitting.NetworkFit, "_pass", lambda *_: next(scores))
    with caplog.at_level(logging.WARNING):
        result = fit(movie[0])
    assert "pid3net: the fit diverged in pass 2 of 2; the best weights are kept" in caplog.text
    assert np.isfinite(result.objects).all() and result.error_trace.tolist() == [0.5]


def test_running_out_of_memory_names_what_to_lower(movie, monkeypatch):
    def starve(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB")

    monkeypatch.setattr(fitting.NetworkFit, "passes", starve)
    with pytest.raises(InputError, match=r"out of memory with 4 windows of 5 frames of 32 x 32 pixels; lower windows"):
        fit(movie[0])


def test_a_movie_without_probe_modes_is_refused(movie):
    with pytest.raises(InputError, match="pid3net needs a measurement with probe modes"):
        reconstruct(replace(movie[0], probe_modes=None), recipe_from_mapping({"method": "pid3net"}))
