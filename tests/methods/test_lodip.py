"""LoDIP and the deep image prior as the driver runs them."""

from dataclasses import replace

import numpy as np
import pytest
from objects import make_object

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement
from cdipipe.metrics.evaluate import evaluate
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import Start, reconstruct
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


def scene(name="static_region", seed=3, **settings):
    found = get_scene(name)
    given = {"size": 96, "sample_photons_per_pixel": 1.0, **settings}
    return simulate(found, found.parameters(**given), seed=seed)


def fit(measurement, method="lodip", start=None, seed=1, **settings):
    small = {"width": 16, "levels": 2, "input_channels": 8, "constraint": "real_nonneg"}
    recipe = recipe_from_mapping({"method": method, **small, **settings})
    return reconstruct(measurement, recipe, seed=seed, start=start, keep_runs=recipe.restarts > 1)


def psnr(result, measurement, truth):
    return evaluate(result, measurement, truth).metrics["psnr_db"]


def linear_law(truth):
    """What least squares without a prior reaches, in dB."""
    return 10 * np.log10(2 * truth.extra["incident_photons_per_sample_pixel"])


def test_stops_by_itself_and_beats_least_squares():
    measurement, truth = scene()
    result = fit(measurement, iterations=400)
    assert 20 < len(result.error_trace[0]) < 400
    assert psnr(result, measurement, truth) > linear_law(truth) + 3


def test_fits_the_noise_if_nothing_stops_it():
    measurement, truth = scene()
    stopped, on = (fit(measurement, iterations=300, jitter=0.0, stop=stop) for stop in ("misfit", "none"))
    assert len(on.error_trace[0]) == 300
    assert psnr(on, measurement, truth) < psnr(stopped, measurement, truth) - 1


@pytest.mark.parametrize(
    "settings",
    [
        {"stop": "wmv", "window": 20, "patience": 60},
        {"loss": "poisson"},
        {"network_input": "pattern"},
        {"average": 0.0, "final_rate": 0.1},
        {"jitter": 0.0, "tv": 0.2},
    ],
    ids=str,
)
def test_every_way_to_fit_beats_least_squares(settings):
    measurement, truth = scene()
    assert psnr(fit(measurement, iterations=200, **settings), measurement, truth) > linear_law(truth)


@pytest.mark.parametrize(
    "settings",
    [
        {"support_area": 4.0},
        {"detector": {"mask": {"dead_share": 0.1}}},
        {"phase_range_rad": 1.0, "constraint": "support"},
        {"phase_range_rad": 1.0, "constraint": "support", "probe": "gaussian", "detector": {"propagation": "fresnel"}},
        {"name": "cell", "static_offset_px": (0, 30)},
    ],
    ids=str,
)
def test_other_samples_and_detectors(settings):
    settings = dict(settings)
    constraint = settings.pop("constraint", "real_nonneg")
    measurement, truth = scene(**settings)
    result = fit(measurement, constraint=constraint, iterations=200)
    assert psnr(result, measurement, truth) > linear_law(truth) + 0.5
    assert not result.object[~measurement.object_support].any()


def test_same_seed_same_bits_and_starts_of_their_own():
    measurement, _ = scene(size=64)
    first, again, other = (fit(measurement, seed=s, iterations=5, restarts=2) for s in (1, 1, 2))
    assert np.array_equal(first.runs, again.runs)
    assert not np.array_equal(first.object, other.object)
    assert not np.array_equal(first.runs[0], first.runs[1])
    alone = fit(measurement, iterations=5, restarts=2, batch=1)
    assert np.array_equal(np.sort(alone.run_scores["seed"]), [0, 1])
    assert np.abs(alone.runs - first.runs).max() < 1e-4 * np.abs(first.runs).max()


def test_a_masked_pixel_is_never_used():
    measurement, _ = scene(size=64)
    measured = np.ones(measurement.intensity.shape, bool)
    measured[20:30, 28:36] = False
    wild = np.where(measured, measurement.intensity, 1e12).astype(np.float32)
    clean = replace(measurement, measured=measured)
    first, second = (fit(m, iterations=5) for m in (clean, replace(clean, intensity=wild)))
    assert np.array_equal(first.object, second.object)


def test_starts_from_a_given_object():
    measurement, truth = scene(sample_photons_per_pixel=1000.0)
    near = fit(
        measurement, start=Start(truth.object.astype(np.complex64)), iterations=1, warm_iterations=150, refine_steps=0
    )
    cold = fit(measurement, iterations=1, refine_steps=0)
    assert psnr(near, measurement, truth) > psnr(cold, measurement, truth) + 8


def test_chains_with_other_methods():
    measurement, truth = scene(sample_photons_per_pixel=100.0)
    steps = [{"lodip": {"iterations": 60, "width": 16, "levels": 2}}, {"er": {"iterations": 40}}]
    result = reconstruct(measurement, recipe_from_mapping({"steps": steps, "constraint": "real_nonneg"}), seed=1)
    assert result.method == "lodip+er"
    assert psnr(result, measurement, truth) == pytest.approx(linear_law(truth), abs=0.7)


def without_static(photons, shape=(64, 64)):
    object_, support = make_object(shape, phase_rad=0.0, photons=photons)
    intensity = np.abs(np.fft.fftn(object_, norm="ortho")) ** 2
    counts = np.random.default_rng(0).poisson(np.fft.fftshift(intensity)).astype(np.float32)
    stack = "single" if len(shape) == 2 else "volume"
    return Measurement(counts, np.ones(shape, bool), stack, object_support=support)


@pytest.mark.parametrize("shape", [(64, 64), (24, 24, 24)], ids=str)
def test_deep_image_prior_without_a_static_region(shape):
    measurement = without_static(1e6, shape)
    result = fit(measurement, "dip", iterations=100 if len(shape) == 2 else 30)
    assert result.error_trace[0][-1] < 0.5 * result.error_trace[0][0]
    assert not result.object[~measurement.object_support].any()


def test_deep_image_prior_without_a_known_support_starts_in_a_box():
    measurement = replace(without_static(1e6), object_support=None)
    result = fit(measurement, "dip", iterations=3)
    assert 0 < result.support.mean() < 0.5


def test_deep_image_prior_takes_the_static_region_as_part_of_the_object():
    measurement, _ = scene(size=64)
    result = fit(measurement, "dip", iterations=3)
    assert "static_region" not in result.forward and result.object[measurement.static_support].any()


def test_refuses_what_cannot_work():
    measurement, _ = scene(size=64)
    with pytest.raises(InputError, match="lodip needs a measurement with static region"):
        fit(without_static(1e6))
    with pytest.raises(InputError, match="--support"):
        fit(replace(measurement, object_support=None))
    with pytest.raises(InputError, match=r"scale_k.*greater than 0"):
        fit(measurement, scale_k=-1.0)
    with pytest.raises(InputError, match="window"):
        fit(measurement, stop="wmv", window=50, iterations=20)
    with pytest.raises(InputError, match="no photons"):
        fit(replace(measurement, intensity=np.zeros_like(measurement.intensity)))
    with pytest.raises(InputError, match="empty"):
        fit(measurement, start=Start(support=np.zeros(measurement.intensity.shape, bool)))


@pytest.mark.slow
@pytest.mark.parametrize(("photons", "gain_db"), [(1.0, 4.5), (30.0, -0.5), (1000.0, -0.5)])
def test_gain_over_least_squares_at_the_size_of_the_paper(photons, gain_db):
    gains = []
    for seed in (11, 12, 13):
        measurement, truth = scene(size=256, sample_photons_per_pixel=photons, seed=seed)
        result = reconstruct(measurement, recipe_from_mapping({"method": "lodip", "constraint": "real_nonneg"}), seed=1)
        gains.append(psnr(result, measurement, truth) - linear_law(truth))
    assert np.mean(gains) > gain_db and np.min(gains) > gain_db - 1
