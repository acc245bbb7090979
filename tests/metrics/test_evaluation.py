import json
from dataclasses import replace

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.measurement import Reconstruction
from cdipipe.metrics.align import twin_of
from cdipipe.metrics.evaluate import evaluate
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


def scene(**settings):
    polygons = get_scene("polygons")
    return simulate(polygons, validate(polygons.parameters, {"size": 48, **settings}, "polygons"), seed=2)


def reconstruction_of(truth, **changes):
    fields = {"object": truth.object, "support": truth.support, "stack": truth.stack, "backend": "test", "seconds": 1.5}
    return Reconstruction(**(fields | changes))


BY_TRUTH = {
    *("complex_correlation", "psnr_db", "ssim", "pcc", "psnr_box_db", "ssim_box", "phase_rmse_rad", "frc_resolution_px")
}


def test_without_truth_and_runs_their_metrics_are_absent():
    measurement, truth = scene()
    found = evaluate(reconstruction_of(truth), measurement).metrics
    assert set(found) - {"reasons"} == {
        *("r_factor", "r_factor_local", "chi2", "poisson_nll", "device", "backend", "seconds", "seconds_per_pattern"),
        *("r_factor_noise", "nll_over_noise", "verdict"),
    }
    assert found["seconds"] == 1.5
    assert "seconds" not in evaluate(reconstruction_of(truth, seconds=None), measurement).metrics


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_truth_scores_as_its_own_reconstruction_under_every_ambiguity(dimensions):
    measurement, truth = scene(dimensions=dimensions, size=24, object_size=12)
    moved = 1.7j * np.roll(twin_of(truth.object), 3, -1)
    found = evaluate(reconstruction_of(truth, object=moved), measurement, truth).metrics
    assert found["complex_correlation"] == pytest.approx(1, abs=1e-6)
    assert found["phase_rmse_rad"] < 1e-3
    assert found["frc_resolution_px"] == 2
    assert found["psnr_db"] > 80
    assert found["r_factor"] == pytest.approx(found["r_factor_truth"], rel=1e-4)
    assert found["poisson_nll"] == pytest.approx(found["poisson_nll_truth"], rel=1e-3)
    assert set(found) >= BY_TRUTH


def test_misfits_follow_the_contract_literally():
    measurement, truth = scene(beamstop_px=2)
    rng = np.random.default_rng(0)
    free = rng.random((48, 48)) < 0.1
    object_ = truth.object * (1 + 0.2 * rng.normal(size=(48, 48)))
    found = evaluate(reconstruction_of(truth, object=object_, free_pixels=free), measurement).metrics
    predicted = np.abs(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(object_), norm="ortho"))) ** 2
    m, i = measurement.measured & ~free, measurement.intensity.astype(float)
    model = i[m].sum() / predicted[m].sum() * predicted
    misfit = np.abs(np.sqrt(model) - np.sqrt(i))
    withheld = free & measurement.measured
    assert found["r_factor"] == pytest.approx(misfit[m].sum() / np.sqrt(i[m]).sum(), rel=1e-6)
    assert found["r_factor_free"] == pytest.approx(misfit[withheld].sum() / np.sqrt(i[withheld]).sum(), rel=1e-6)
    assert found["chi2"] == pytest.approx((misfit[m] ** 2).sum() / i[m].sum(), rel=1e-6)
    ratio = np.where(i > 0, i, 1) / model
    nll = np.mean((model - i + i * np.log(np.where(i > 0, ratio, 1)))[m])
    assert found["poisson_nll"] == pytest.approx(nll, rel=1e-6)


def test_masked_pixels_do_not_matter():
    measurement, truth = scene(beamstop_px=3)
    wild = replace(measurement, intensity=np.where(measurement.measured, measurement.intensity, np.float32(1e6)))
    runs = np.stack([truth.object] * 3)
    first, second = (evaluate(reconstruction_of(truth, runs=runs), m, truth).metrics for m in (measurement, wild))
    assert first == second


def test_shots_give_medians_and_spread():
    measurement, truth = scene(count=3)
    found = evaluate(reconstruction_of(truth), measurement, truth)
    single = [
        evaluate(
            reconstruction_of(truth, object=truth.object[i], support=truth.support[i], stack="single"),
            measurement.pattern(i),
        ).metrics["r_factor"]
        for i in range(3)
    ]
    assert found.metrics["r_factor"] == pytest.approx(np.median(single))
    assert found.metrics["r_factor_std"] == pytest.approx(np.std(single))
    assert found.metrics["complex_correlation"] == pytest.approx(1, abs=1e-6)
    assert found.curves["frc"].shape == found.curves["frc_frequency"].shape


def test_runs_that_agree_reach_the_detector_and_those_that_do_not_stop_short():
    measurement, truth = scene(photons=0)
    agreeing = np.stack([np.roll(truth.object, s, 0) for s in range(6)])
    found = evaluate(reconstruction_of(truth, runs=agreeing), measurement).metrics
    assert found["repeatability"] == pytest.approx(1, abs=1e-6)
    assert found["prtf_resolution_px"] == 2
    rng = np.random.default_rng(0)
    modulus = np.sqrt(measurement.intensity)
    waves = modulus * np.exp(2j * np.pi * rng.random((20, 48, 48)))
    random = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(waves, (1, 2)), norm="ortho"), (1, 2))
    other = evaluate(reconstruction_of(truth, runs=random.astype(np.complex64)), measurement).metrics
    assert other["prtf_resolution_px"] > 6
    assert other["repeatability"] < 0.5


def with_random_phases(measurement, runs, index):
    """So many objects that explain one pattern of a stack and agree on nothing."""
    rng = np.random.default_rng(index)
    waves = np.sqrt(measurement.intensity[index]) * np.exp(2j * np.pi * rng.random((runs, 48, 48)))
    return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(waves, (1, 2)), norm="ortho"), (1, 2))


def test_every_shot_has_a_transfer_function_of_its_own_and_their_median_is_given():
    measurement, truth = scene(photons=0, count=3)
    runs = np.stack([np.roll(truth.object, s, -1) for s in range(20)])
    runs[:, 2] = with_random_phases(measurement, 20, 2)
    found = evaluate(reconstruction_of(truth, runs=runs), measurement, truth)
    of_shots, resolutions = found.curves["prtf_of_patterns"], found.curves["pattern_prtf_resolution_px"]
    assert of_shots.shape == (3, 25) and of_shots[:2, 1:].min() > 0.999
    assert of_shots[2, 5:].mean() == pytest.approx(found.metrics["prtf_floor"], rel=0.2)
    assert list(resolutions[:2]) == [2, 2] and resolutions[2] > 6
    np.testing.assert_allclose(found.curves["prtf_smooth"], of_shots.mean(0))
    assert found.metrics["prtf_resolution_px"] == pytest.approx(np.median(resolutions))
    assert found.metrics["prtf_runs"] == 20 and "prtf_runs_std" not in found.metrics
    assert found.curves["pattern_repeatability"][0] == pytest.approx(1, abs=1e-6)
    alone = replace(measurement.pattern(2), geometry=measurement.geometry)
    single = reconstruction_of(truth, object=truth.object[2], support=truth.support[2], stack="single", runs=runs[:, 2])
    np.testing.assert_allclose(evaluate(single, alone).curves["prtf_smooth"], of_shots[2])


def test_a_shot_without_light_leaves_the_mean_to_the_others():
    measurement, truth = scene(count=2)
    dark = np.stack([measurement.intensity[0], 0 * measurement.intensity[1]])
    objects = np.stack([truth.object[0], 0 * truth.object[1]])
    found = evaluate(
        reconstruction_of(truth, object=objects, runs=np.stack([objects] * 4)), replace(measurement, intensity=dark)
    )
    json.dumps(found.metrics, allow_nan=False)
    assert np.isnan(found.curves["prtf_of_patterns"][1]).all()
    np.testing.assert_array_equal(found.curves["prtf_smooth"], found.curves["prtf_of_patterns"][0])
    assert np.isnan(found.curves["pattern_repeatability"][1]) and found.metrics["repeatability"] == pytest.approx(1)


def test_runs_in_a_known_beam_are_not_moved_before_they_are_compared():
    measurement, truth = scene(photons=0)
    probe = np.ones((1, 48, 48), np.complex64)
    runs = np.stack([truth.object, 1j * np.roll(truth.object, 4, 0)])
    free, fixed = reconstruction_of(truth, runs=runs), {"kind": "far_field", "probe_modes": probe}
    moved = evaluate(replace(free, forward=fixed), measurement)
    free = evaluate(free, measurement)
    assert free.metrics["repeatability"] == pytest.approx(1, abs=1e-6) and moved.metrics["repeatability"] < 0.9


def test_metrics_of_the_runs_do_not_depend_on_the_truth():
    measurement, truth = scene()
    rng = np.random.default_rng(1)
    runs = np.stack([truth.object * np.exp(0.3j * rng.normal(size=(48, 48))) for _ in range(6)]).astype(np.complex64)
    result = reconstruction_of(truth, runs=runs)
    alone, beside = evaluate(result, measurement).metrics, evaluate(result, measurement, truth).metrics
    assert {"prtf_resolution_px", "repeatability"} <= set(alone)
    assert all(beside[name] == value for name, value in alone.items())


def test_one_run_says_nothing_about_repeatability():
    measurement, truth = scene()
    found = evaluate(reconstruction_of(truth, runs=truth.object[None]), measurement).metrics
    assert not {"prtf_resolution_px", "repeatability", "prtf_runs"} & set(found)


def test_the_stored_forward_model_predicts():
    measurement, truth = scene(photons=0)
    probe = np.exp(1j * np.random.default_rng(0).normal(size=(2, 48, 48))).astype(np.complex64)
    waves = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe * truth.object, (1, 2)), norm="ortho"), (1, 2))
    measurement = replace(measurement, intensity=np.sum(np.abs(waves) ** 2, axis=0).astype(np.float32))
    forward = {"kind": "far_field", "ndim": 2, "probe_modes": probe}
    runs = np.stack([truth.object] * 6)
    found = evaluate(reconstruction_of(truth, forward=forward, runs=runs), measurement).metrics
    assert found["r_factor"] < 1e-4
    assert found["prtf_resolution_px"] == 2


def test_a_dark_object_leaves_out_what_it_cannot_have():
    measurement, truth = scene()
    found = evaluate(reconstruction_of(truth, object=0 * truth.object), measurement, truth)
    json.dumps(found.metrics, allow_nan=False)
    assert "r_factor" not in found.metrics
    assert found.metrics["complex_correlation"] == 0


@pytest.mark.parametrize("factor", [np.inf, np.nan, 1e30])
def test_values_that_overflow_are_refused(factor):
    measurement, truth = scene()
    wild = truth.object + np.where(truth.support, np.float32(factor), 0)
    with pytest.raises(InputError, match="reconstruction: values up to"):
        evaluate(reconstruction_of(truth, object=wild), measurement, truth)


@pytest.mark.parametrize("runs", [np.full((2, 48, 48), np.nan, np.complex64), np.ones((2, 8, 8), np.complex64)])
def test_runs_that_cannot_be_compared_are_refused(runs):
    measurement, truth = scene()
    with pytest.raises(InputError, match="stored runs"):
        evaluate(reconstruction_of(truth, runs=runs), measurement)


def test_shapes_and_stacks_must_match():
    measurement, truth = scene(count=2)
    one, one_truth = scene()
    with pytest.raises(InputError, match=r"reconstruction.*single.*\(48, 48\).*shots.*\(2, 48, 48\)"):
        evaluate(reconstruction_of(one_truth), measurement)
    with pytest.raises(InputError, match="truth"):
        evaluate(reconstruction_of(one_truth), one, truth)
    with pytest.raises(InputError, match="movie"):
        evaluate(reconstruction_of(truth, stack="movie"), measurement)
    with pytest.raises(InputError, match="free pixels"):
        evaluate(reconstruction_of(one_truth, free_pixels=np.zeros((3, 3), bool)), one)
    with pytest.raises(InputError, match="axes"):
        evaluate(reconstruction_of(one_truth, forward={"kind": "far_field", "ndim": 3}), one)


def test_a_pattern_of_a_stack_is_judged_as_it_is_alone():
    measurement, truth = scene(count=18, size=32, object_size=12)
    rng = np.random.default_rng(1)
    found = truth.object * (1 + 0.3 * rng.normal(size=truth.object.shape)).astype(np.float32)
    together = evaluate(reconstruction_of(truth, object=found), measurement, truth)
    for index in (0, 17):
        alone = replace(truth, object=truth.object[index], support=truth.support[index], stack="single")
        result = reconstruction_of(alone, object=found[index])
        metrics = evaluate(result, measurement.pattern(index), alone).metrics
        for name in BY_TRUTH | {"r_factor", "poisson_nll", "nll_over_noise"}:
            assert together.curves[f"pattern_{name}"][index] == pytest.approx(metrics[name], rel=1e-6), name
