"""CDIP: a neural field fitted to a pattern."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from objects import make_object

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement
from cdipipe.methods.cdip.box import Box, centred_box, find_box, object_extents
from cdipipe.methods.cdip.model import BoxModel
from cdipipe.metrics.align import align_to
from cdipipe.optics import fourier
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import Start, reconstruct
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


def recipe(**settings):
    return recipe_from_mapping({"method": "cdip", "start": "hio", "channels": 8, "hidden": 16, **settings})


def polygon(seed=5, **settings):
    scene = get_scene("polygons")
    wanted = {"size": 64, "photons": 1e6, "phase_range_rad": 1.0, "object_size": 16, **settings}
    return simulate(scene, scene.parameters(**wanted), seed)


def problem_of(measurement, **options):
    return Problem(measurement, "support", (-1, 1), **options)


@pytest.fixture(scope="module")
def weak():
    return polygon()


@pytest.mark.parametrize("start", ["both", "hio", "random"])
def test_finds_an_object_without_a_support(weak, start):
    measurement, truth = weak
    result = reconstruct(measurement, recipe(start=start, iterations=200, population=4, guided_starts=4), seed=1)
    assert align_to(truth.object, result.object).correlation > 0.97
    steps = 400 if start == "both" else 200
    assert np.isfinite(result.error_trace).all() and result.error_trace.shape == (1, steps)
    assert result.error_trace[0, -1] < 0.3


def test_same_seed_gives_the_same_bits_whatever_the_batch(weak):
    settings = {"start": "random", "iterations": 20, "population": 2}
    first, again, other = (reconstruct(weak[0], recipe(**settings), seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.object, again.object) and not np.array_equal(first.object, other.object)
    settings["iterations"] = 4  # rounding differs with the batch, and grows
    pairs = [reconstruct(weak[0], recipe(**settings, restarts=3, batch=b), seed=1, keep_runs=True) for b in (1, 3)]
    scores = [pair.run_scores["poisson_nll"][np.argsort(pair.run_scores["seed"])] for pair in pairs]
    assert np.allclose(*scores, rtol=1e-3)


def test_a_given_support_is_kept(weak):
    measurement, truth = weak
    support = np.zeros(truth.object.shape, bool)
    support[20:44, 20:44] = True
    support[30:34, 30:34] = False
    result = reconstruct(measurement, recipe(iterations=30), start=Start(support=support), seed=1)
    assert not result.object[~support].any() and result.object[support].any()
    assert not result.support[~support].any()


def test_goes_on_from_a_given_object(weak):
    measurement, truth = weak
    support = np.abs(truth.object) > 0
    start = Start(truth.object.astype(np.complex64), support)
    result = reconstruct(measurement, recipe(iterations=40), start=start, seed=1)
    assert align_to(truth.object, result.object, subpixel=False).shift_px == (0, 0)
    assert align_to(truth.object, result.object).correlation > 0.98
    chained = recipe_from_mapping({"steps": [{"hio": {"iterations": 100}}, {"cdip": {"iterations": 20}}]})
    assert reconstruct(measurement, chained, seed=1).error_trace.shape == (1, 120)


def test_a_volume_needs_no_projection():
    object_, _ = make_object((24, 24, 24), photons=1e6)
    intensity = fourier.forward(torch.from_numpy(object_), 3).abs().square().numpy()
    measurement = Measurement(intensity, np.ones(intensity.shape, bool), "volume")
    result = reconstruct(measurement, recipe(iterations=60, population=2, hio_iterations=100), seed=1)
    assert align_to(object_, result.object).correlation > 0.9


def test_masked_pixels_are_never_looked_at(weak):
    measurement, _ = weak
    measured = np.ones(measurement.intensity.shape, bool)
    measured[30:35, 30:35] = False
    poisoned = np.where(measured, measurement.intensity, 1e9).astype(np.float32)
    results = [
        reconstruct(replace(measurement, measured=measured, intensity=i), recipe(iterations=15, population=2), seed=1)
        for i in (measurement.intensity, poisoned)
    ]
    assert np.array_equal(results[0].object, results[1].object)


def test_withheld_pixels_choose_and_stop(weak):
    result = reconstruct(weak[0], recipe(iterations=60, population=2), seed=1, free_fraction=0.05)
    assert result.run_scores["r_factor_free"][0] < 0.5


def test_a_diverging_fit_stops_and_says_so(weak, caplog):
    settings = {
        "start": "random",
        "iterations": 80,
        "population": 2,
        "anchoring": 0.2,
        "plane_rate": 1e8,
        "head": "leaky_relu",
    }
    result = reconstruct(weak[0], recipe(**settings), seed=1)
    assert "diverged at step" in caplog.text and "plane_rate" in caplog.text
    assert np.isfinite(result.object).all()
    assert result.error_trace.shape[1] < 80


def test_coherence_and_background_are_found():
    measurement, truth = polygon(photons=3e6)
    dim = replace(measurement, intensity=measurement.intensity + 4.0)
    problem = problem_of(dim)
    from cdipipe.methods.cdip import CdipParameters
    from cdipipe.methods.cdip.fit import Fit

    inside = fourier.to_corner(torch.from_numpy(np.abs(truth.object) > 0), 2)
    fit = Fit(problem, centred_box((20, 20)), [torch.Generator().manual_seed(1)], CdipParameters(),
              inside[None], ("background",))  # fmt: skip
    fit.imitate(fourier.to_corner(torch.from_numpy(truth.object.astype(np.complex64)), 2)[None], 60)
    fit.start_optimiser()
    for step in range(200):
        fit.step(fit.box.sides, "poisson", 1.0, step / 200)
    assert fit.model.log_background.exp().item() == pytest.approx(4.0, rel=0.15)


def test_the_boxed_model_is_the_forward_model():
    generator = torch.Generator().manual_seed(0)
    modes = torch.randn(2, 30, 32, generator=generator, dtype=torch.complex64)
    block = torch.randn(1, 12, 10, generator=generator, dtype=torch.complex64)
    counts = np.ones((30, 32), np.float32)
    for probes in (None, modes.numpy()):
        problem = problem_of(Measurement(counts, counts > 0, "single", probe_modes=probes))
        for refractive in (False, True):
            model = BoxModel(problem, Box((-7, -4), (12, 10)), 1, refractive)
            whole = model.embed(block)
            assert torch.allclose(model.intensity(block), problem.model.predict_intensity(whole), rtol=1e-3, atol=1e-3)
            assert whole[0, 15, 16] == float(refractive)
            inner = block[:, 2:10, 3:7]
            expected = problem.model.predict_intensity(model.embed(inner))
            assert torch.allclose(model.intensity(inner), expected, rtol=1e-3, atol=1e-3)


def test_matter_delays_the_phase_and_absorbs():
    problem = problem_of(Measurement(np.ones((16, 16), np.float32), np.ones((16, 16), bool), "single"))
    model = BoxModel(problem, centred_box((8, 8)), 1, refractive=True)
    transmission = model.exit_wave(torch.full((1, 8, 8, 3, 2), 4.0))
    assert (transmission.abs() < 1).all() and (transmission.angle() < 0).all()
    assert model.exit_wave(torch.full((1, 8, 8, 3, 2), -50.0)).real.min() > 0.999


def test_a_blurred_pattern_keeps_its_photons():
    problem = problem_of(polygon()[0])
    sharp = BoxModel(problem, centred_box((20, 20)), 1)
    block = torch.randn(1, 20, 20, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    problem.set_light(15.0, 0.5)
    blurred = BoxModel(problem, centred_box((20, 20)), 1)
    predicted = blurred.intensity(block)
    assert predicted.sum() == pytest.approx(float(sharp.intensity(block).sum()) + 0.5 * 64**2, rel=1e-3)
    assert (predicted - 0.5).std() < sharp.intensity(block).std()


@pytest.mark.parametrize("phase_rad", [1.0, 5.5])
@pytest.mark.parametrize("photons", [1e4, 1e6])
def test_the_box_fits_the_object(phase_rad, photons):
    for seed in range(3):
        measurement, truth = polygon(seed, size=128, object_size=32, phase_range_rad=phase_rad, photons=photons)
        problem = problem_of(measurement)
        found = object_extents(problem.intensity, problem.measured, 2)
        true = [np.ptp(places) + 1 for places in np.nonzero(truth.object)]
        assert all(0.7 * t <= f <= 1.25 * t for f, t in zip(found, true, strict=True))
        sides = find_box(problem, None, None, 1.3).sides
        assert all(0.95 * t <= side < 1.6 * t for side, t in zip(sides, true, strict=True))


def test_the_box_of_the_measured_crystal_is_compact(data_dir):
    with np.load(data_dir / "aps34idc_bcdi_S54" / "S54_crop_96x128x128_int32.npz") as file:
        frame = file[file.files[0]][48].astype(np.float32)
    sides = find_box(problem_of(Measurement(frame, np.ones(frame.shape, bool), "single")), None, None, 1.3).sides
    assert all(24 <= side <= 56 for side in sides)


def test_a_box_larger_than_the_array_is_refused(weak):
    with pytest.raises(InputError, match="box_px 65 is larger than the array"):
        reconstruct(weak[0], recipe(box_px=65))


def test_the_perceptual_loss_looks_at_the_pattern_with_real_weights(weak, data_dir):
    file = str(data_dir / "vgg19_relu3_1" / "vgg_normalised_conv3_1.pth")
    settings = {"start": "random", "population": 1, "iterations": 6}
    plain = reconstruct(weak[0], recipe(**settings), seed=1)
    other = reconstruct(weak[0], recipe(**settings, perceptual=0.1, perceptual_weights=file), seed=1)
    assert np.isfinite(other.object).all() and not np.array_equal(plain.object, other.object)
    with pytest.raises(InputError, match="perceptual needs perceptual_weights"):
        recipe(perceptual=0.1)


def test_random_fields_close_where_the_object_was_found(weak):
    settings = {"start": "random", "population": 2, "iterations": 120}
    wide, close = (reconstruct(weak[0], recipe(**settings, confine=c), seed=1) for c in (False, True))
    assert close.support.sum() < 0.8 * wide.support.sum()
    assert not close.object[~close.support].any()


def test_a_lack_of_memory_says_what_to_lower(weak, monkeypatch):
    from cdipipe.methods.cdip.fit import Fit

    def fail(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte")

    monkeypatch.setattr(Fit, "step", fail)
    with pytest.raises(InputError, match="lower box_px"):
        reconstruct(weak[0], recipe(start="random", iterations=5))


def test_light_that_is_fitted_is_told_and_scored_with():
    measurement, truth = polygon(photons=3e6, detector={"coherence_px": 12.0, "background_photons": 20.0})
    settings = {"iterations": 150, "population": 2, "start": "guided"}
    plain = reconstruct(measurement, recipe(**settings), seed=1)
    light = {"coherence": {"fit": True}, "background": {"fit": True}}
    result = reconstruct(measurement, recipe(**settings, **light), seed=1)
    assert result.forward["coherence_px"] == pytest.approx(12.0, rel=0.25)
    assert result.forward["background"] == pytest.approx(20.0, rel=0.3)
    assert result.run_scores["r_factor"][0] < 0.8 * plain.run_scores["r_factor"][0]
    found, before = (align_to(truth.object, r.object).correlation for r in (result, plain))
    assert found > before


def test_a_background_is_fitted_by_a_method_that_can():
    with pytest.raises(InputError, match=r"background\.fit: hio does not take it; these do: cdip$"):
        recipe_from_mapping({"method": "hio", "background": {"fit": True}})
