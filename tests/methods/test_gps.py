"""Generalised proximal smoothing: its identities, schedules, and what it makes of low-dose patterns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from objects import correlation, make_object

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement
from cdipipe.methods import hio, raar
from cdipipe.methods.gps.primal_dual import PrimalDual
from cdipipe.metrics.align import align_to
from cdipipe.metrics.evaluate import evaluate
from cdipipe.ops.projection import CONSTRAINTS
from cdipipe.optics import fourier
from cdipipe.optics.forward import ForwardModel
from cdipipe.phasing.loop import State
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import Start, reconstruct
from cdipipe.phasing.registry import get_method
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

GPS = get_method("gps")


def noisy(shape=(48, 48), photons=1e6, seed=3, **more):
    object_, support = make_object(shape, photons=photons)
    intensity = fourier.forward(torch.from_numpy(object_), len(shape)).abs().square().numpy()
    counts = np.random.default_rng(seed).poisson(intensity).astype(np.float32)
    measured = np.ones(shape, bool)
    measured[tuple(slice(n // 2, n // 2 + 3) for n in shape)] = False
    return Measurement(counts, measured, "single" if len(shape) == 2 else "volume", **more), object_, support


def low_dose(seed=0, photons=1.0, **settings):
    scene = get_scene("static_region")
    given = {"size": 128, "sample_photons_per_pixel": photons, **settings}
    return simulate(scene, validate(scene.parameters, given, "static_region"), seed)


def random_batch(problem, count=2):
    generator = torch.Generator().manual_seed(5)
    wave = torch.randn((count, *problem.shape), dtype=torch.complex64, generator=generator)
    return wave * (problem.photons / wave[0].numel()) ** 0.5


def static_region(shape=(48, 48)):
    static = np.zeros(shape, np.complex64)
    static[30:40, 35:45] = 300
    return static, np.abs(static) > 0


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("case", ["plane", "volume", "static region"])
def test_without_softness_and_filter_it_is_douglas_rachford(constraint, case):
    """s = t = 1, sigma = gamma = 0: w = F^-1 z - y obeys w+ = w + P_S (2 P_M w - w) - P_M w."""
    measurement, _, support = noisy((48, 48) if case != "volume" else (14, 16, 18))
    if case == "static region":
        static, place = static_region()
        measurement = replace(measurement, static_region=static, static_support=place, object_support=support & ~place)
    problem = Problem(measurement, constraint, (-0.4, 0.6))
    inside = fourier.to_corner(torch.from_numpy(support), problem.ndim).contiguous()
    pair = PrimalDual(problem, random_batch(problem), 1.0, 1.0)
    w = pair.project()
    for _ in range(8):
        p, r_factor = problem.impose_modulus(w)
        torch.testing.assert_close(pair.advance(inside), r_factor, rtol=1e-4, atol=1e-5)
        w = w + problem.project_object(2 * p - w, inside) - p
        mine = pair.project() - problem.model.backpropagate(pair.dual)
        assert float((mine - w).abs().max() / w.abs().max()) < 2e-4


@pytest.mark.parametrize("constraint", ["support", "re_nonneg", "quadrant", "phase_range"])
def test_douglas_rachford_is_raar_and_with_a_support_hio_at_beta_one(constraint):
    measurement, _, support = noisy()
    problem = Problem(measurement, constraint, (-0.4, 0.6))
    inside = fourier.to_corner(torch.from_numpy(support), 2).contiguous()
    pair = PrimalDual(problem, random_batch(problem), 1.0, 1.0)
    w = pair.project()
    others = [(raar, validate(raar.METHOD.parameters, {"beta": 1.0}, "raar"), w.clone())]
    if constraint == "support":
        others.append((hio, validate(hio.METHOD.parameters, {"beta": 1.0}, "hio"), w.clone()))
    for _ in range(10):
        pair.advance(inside)
        mine = pair.project() - problem.model.backpropagate(pair.dual)
        for index, (module, parameters, wave) in enumerate(others):
            wave = module.update(wave, problem, inside, parameters, 0)[0]
            others[index] = module, parameters, wave
            assert float((mine - wave).abs().max() / wave.abs().max()) < 2e-4


def test_the_filter_smooths_the_dual_alone_and_costs_no_accuracy():
    """y kept on the detector as F r, filtered there, is y smoothed in the object domain."""
    measurement, _, support = noisy()
    problem = Problem(measurement, "re_nonneg", (-1, 1))
    inside = fourier.to_corner(torch.from_numpy(support), 2).contiguous()
    low_pass = fourier.gaussian_corner((48, 48), (15.0, 15.0))
    pair, t, s, sigma = PrimalDual(problem, random_batch(problem, 1), 0.9, 0.8), 0.9, 0.8, 0.3
    pair.set_stage(sigma, low_pass=low_pass)
    z, y = pair.wavefront.clone(), torch.zeros_like(pair.wavefront)
    for _ in range(8):
        h = z - t * problem.model.propagate(y)
        measured_part = torch.where(problem.measured, problem.modulus * h / h.abs().clamp(min=1e-20), h)
        new = (t * measured_part + sigma * h) / (t + sigma)
        v = y + s * problem.model.backpropagate(2 * new - z)
        y = fourier.inverse_corner(low_pass * fourier.forward_corner(v - problem.project_object(v, inside)))
        z = new
        pair.advance(inside)
        assert float((pair.wavefront - z).abs().max() / z.abs().max()) < 1e-4
    assert float(((pair.dual * low_pass) - problem.model.propagate(y)).abs().max() / pair.dual.abs().max()) < 1e-3


def one_probe_mode(value=1.0):
    return np.full((1, 48, 48), value, np.complex64)


@pytest.mark.parametrize("variant", [{"alpha": [0.3]}, {"variant": "F", "width_px": [12]}], ids=["R", "F"])
@pytest.mark.parametrize("power", [1.0, 2.5])
def test_a_flat_probe_is_a_plane_wave(variant, power):
    """The path through probe modes agrees with that of the plane wave, whatever the probe's strength."""
    measurement, _, support = noisy()
    recipe = recipe_from_mapping({"method": "gps", "iterations": 20, "shrink_wrap": {"every": 0}, **variant})
    plane = reconstruct(measurement, recipe, start=Start(support=support))
    lit = replace(measurement, probe_modes=one_probe_mode(power))
    start = Start(plane.object / power, support)
    again = reconstruct(measurement, recipe, start=Start(plane.object, support))
    probed = reconstruct(lit, recipe, start=start)
    scale = np.vdot(probed.object, again.object) / np.vdot(probed.object, probed.object)
    assert correlation(probed.object, again.object) > 1 - 1e-4 and abs(scale) == pytest.approx(power, rel=1e-3)


def test_probe_modes_are_reconstructed_from():
    object_, support = make_object((48, 48), photons=1e7)
    y, x = np.meshgrid(*[(np.arange(48) - 24) / 48] * 2, indexing="ij")
    envelope = np.exp(-(x**2 + y**2) / 0.08)
    modes = np.stack([envelope, 2 * x * envelope]).astype(np.complex64)
    model = ForwardModel.of_centred(2, probe_modes=torch.from_numpy(modes))
    counts = np.random.default_rng(1).poisson(model.predict_centred(torch.from_numpy(object_)).numpy())
    measurement = Measurement(counts.astype(np.float32), np.ones((48, 48), bool), probe_modes=modes)
    near = object_ * np.exp(0.5j * np.random.default_rng(1).standard_normal(object_.shape)).astype(np.complex64)
    recipe = recipe_from_mapping({"method": "gps", "iterations": 100, "shrink_wrap": {"every": 0}})
    result = reconstruct(measurement, recipe, start=Start(near, support))
    assert correlation(object_, result.object) > 0.995 > correlation(object_, near) + 0.05


def test_schedules_of_the_papers_scale_with_the_iterations():
    stages = GPS.parameters(iterations=1000).blocks()
    assert [stage.iterations for stage in stages] == [100] * 10
    assert [stage.values[0] for stage in stages] == [0.01] * 4 + [0.1] * 3 + [1.0] * 3
    assert [round(512 * stage.values[1], 1) for stage in stages[:2] + stages[-1:]] == [1024, 921.6, 102.4]
    refinement = GPS.parameters(schedule="refinement")
    assert refinement.iterations == 50
    assert [stage.iterations for stage in refinement.blocks()] == [10] * 5
    assert [stage.values[0] for stage in refinement.blocks()] == [0.1, 0.1, 1, 1, 1]
    assert [round(512 * s.values[1], 1) for s in refinement.blocks()] == [1024, 819.2, 614.4, 409.6, 204.8]
    for iterations in (1, 3, 7, 201):
        assert sum(stage.iterations for stage in GPS.parameters(iterations=iterations).blocks()) == iterations
    free = GPS.parameters(iterations=10, sigma=(0, 2), sigma_from=(0, 0.3), alpha=(1, 0.5)).blocks()
    assert [(stage.iterations, *stage.values) for stage in free] == [(3, 0, 1), (2, 2, 1), (5, 2, 0.5)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "F"}, "needs width_px"),
        ({"variant": "F", "width_px": [9], "alpha": [1]}, "alpha means nothing"),
        ({"width_px": [9]}, "width_px means nothing"),
        ({"sigma": [-1]}, "numbers from 0"),
        ({"alpha": [0]}, "numbers above 0"),
        ({"sigma": [1, 2], "sigma_from": [0, 1]}, "2 growing shares"),
        ({"sigma_from": [0, 0.5]}, "3 growing shares"),
        ({"primal_step": 2}, "at most 1"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(InputError, match=message):
        recipe_from_mapping({"method": "gps", **settings})


def test_the_result_is_the_best_that_was_compared(monkeypatch):
    measurement, _, support = noisy(photons=3e4)
    seen, original = [], Problem.r_factor
    monkeypatch.setattr(Problem, "r_factor", lambda self, wave: seen.append(original(self, wave)) or seen[-1])
    recipe = {"method": "gps", "iterations": 60, "check_every": 1, "restarts": 3, "batch": 3}
    recipe["shrink_wrap"] = {"every": 0}
    start = Start(support=support)
    result = reconstruct(measurement, recipe_from_mapping(recipe), start=start, keep_runs=True)
    lowest = torch.stack(seen).min(0).values.numpy()
    order = result.run_scores["seed"].astype(int)
    objects = fourier.to_corner(torch.from_numpy(result.runs)).contiguous()
    found = original(Problem(measurement, "support", (-1, 1)), objects)
    np.testing.assert_allclose(found, lowest[order], rtol=1e-4)
    assert len(seen) == 60 and (torch.stack(seen)[-1].numpy() >= lowest).all()


@pytest.mark.parametrize("photons", [1.0, 1000.0])
@pytest.mark.parametrize("settings", [{}, {"schedule": "refinement"}], ids=["dpr", "refinement"])
def test_beside_a_static_region_it_reaches_the_linear_law(photons, settings):
    """10 log10(2 P), P photons per sample pixel, and no less than HIO that ends with error reduction."""
    found, law, projected = [], [], []
    for seed in range(2):
        measurement, truth = low_dose(seed, photons)
        for method, results in (({"method": "gps", "iterations": 100, **settings}, found), (None, projected)):
            recipe = recipe_from_mapping({**(method or {"sequence": "100*HIO+50*ER"}), "constraint": "real_nonneg"})
            results.append(evaluate(reconstruct(measurement, recipe), measurement, truth).metrics["psnr_db"])
        law.append(10 * np.log10(2 * truth.extra["incident_photons_per_sample_pixel"]))
    assert np.mean(found) == pytest.approx(np.mean(law), abs=0.5)
    assert np.mean(found) > np.mean(projected) - 0.1


def test_a_complex_sample_beside_a_static_region():
    measurement, truth = low_dose(photons=1000.0, phase_range_rad=1.0)
    result = reconstruct(measurement, recipe_from_mapping({"method": "gps", "iterations": 100}))
    found = evaluate(result, measurement, truth).metrics
    assert found["psnr_db"] > 47 and found["phase_rmse_rad"] < 0.02


def test_refinement_improves_a_given_object_and_does_not_move_it():
    measurement, object_, support = noisy(photons=1e6)
    noise = np.random.default_rng(2).standard_normal((2, *object_.shape))
    near = (object_ + 30 * support * (noise[0] + 1j * noise[1])).astype(np.complex64)
    recipe = recipe_from_mapping({"method": "gps", "schedule": "refinement"})
    result = reconstruct(measurement, recipe, start=Start(near, support))
    assert correlation(object_, result.object) > 0.999 > correlation(object_, near) + 0.002
    assert result.error_trace.shape[1] == 50


@pytest.mark.parametrize("shape", [(64, 64), (24, 24, 24)], ids=str)
@pytest.mark.parametrize("variant", [{}, {"variant": "F", "width_px": [40, 20]}], ids=["R", "F"])
def test_finds_the_object_from_random_starts_with_shrink_wrap(shape, variant):
    measurement, object_, _ = noisy(shape, 1e7)
    measurement = replace(measurement, measured=np.ones(shape, bool))
    result = reconstruct(measurement, recipe_from_mapping({"method": "gps", "restarts": 4, **variant}), seed=1)
    assert align_to(object_, result.object).correlation > 0.97


def test_a_start_does_not_depend_on_its_batch():
    measurement, _, support = noisy()
    mapping = {"method": "gps", "iterations": 40, "restarts": 3}
    runs = [
        reconstruct(measurement, recipe_from_mapping({**mapping, "batch": n}), start=Start(support=support), seed=4)
        for n in (1, 3)
    ]
    assert correlation(runs[0].object, runs[1].object) > 1 - 1e-4


def test_mean_of_the_last_estimates_early_stop_and_a_moving_support():
    measurement, _, _ = noisy()
    mapping = {"method": "gps", "iterations": 60, "constraint": "re_nonneg"}
    mean = reconstruct(measurement, recipe_from_mapping({**mapping, "average_last": 10}), seed=1)
    single = reconstruct(measurement, recipe_from_mapping(mapping), seed=1)
    assert 0.9 < correlation(mean.object, single.object) < 1 - 1e-7
    short = reconstruct(measurement, recipe_from_mapping({**mapping, "iterations": 400, "stop_below": 0.05}), seed=1)
    assert short.error_trace.shape[1] < 400
    fixed = recipe_from_mapping({**mapping, "shrink_wrap": {"every": 0}})
    assert not np.array_equal(reconstruct(measurement, fixed, seed=1).support, single.support)


def test_a_moving_support_stays_at_the_end(monkeypatch):
    measurement, _, _ = noisy()
    moved, original = [], State.shrink
    monkeypatch.setattr(State, "shrink", lambda self, *a: moved.append(self.done) or original(self, *a))
    reconstruct(measurement, recipe_from_mapping({"method": "gps", "iterations": 50, "settle": 0.3}), seed=1)
    assert moved == list(range(5, 36, 5))


def test_chains_with_other_methods():
    measurement, _, support = noisy()
    recipe = recipe_from_mapping({"sequence": "40*HIO+40*GPS+10*ER", "shrink_wrap": {"every": 0}})
    result = reconstruct(measurement, recipe, start=Start(support=support), seed=1)
    assert result.error_trace.shape[1] == 90 and np.isfinite(result.error_trace).all()
    assert result.error_trace[0, -1] < result.error_trace[0, 30]
