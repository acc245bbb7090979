"""Movies: speeds of a moving chart, particles apart from their background, correlation where the light is."""

import numpy as np
import pytest

from cdipipe.metrics import dynamics
from cdipipe.metrics.cases import MovieCase
from cdipipe.metrics.evaluate import judge_movie
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


@pytest.fixture(scope="module")
def chart():
    scene = get_scene("test_chart")
    settings = {"size": 96, "frames": 25, "photons": 0, "object_pixel_m": 1e-8, "spokes": 12}
    return simulate(scene, scene.parameters(**settings), seed=4)


def test_the_true_chart_moves_at_its_speed(chart):
    measurement, truth = chart
    pixel = measurement.geometry.object_pixel_m(96)
    case = MovieCase(truth.object, measurement.probe_modes, truth.object, measurement.frame_times_s, pixel)
    found, curves = judge_movie(case)
    true_speed = float(np.linalg.norm(truth.extra["velocity_m_per_s"]))
    assert found["speed_lag10_m_per_s"] == pytest.approx(true_speed, rel=0.02)
    assert len(curves["movie_speed_lag10_m_per_s"]) == 15 and found["speed_lag10_m_per_s_std"] < 0.1 * true_speed
    assert found["field_phase_correlation"] == pytest.approx(1) and found["otsu_separation"] > 4


def test_a_still_movie_does_not_move_and_direction_is_right(chart):
    measurement, truth = chart
    light = dynamics.light_on_object(measurement.probe_modes)
    still = np.stack([dynamics.phase_in_field(truth.object[0], light)] * 3)
    assert not dynamics.displacements_px(still, light, 1).any()
    rng = np.random.default_rng(0)
    image = rng.normal(size=(64, 64))
    wide = np.exp(-(np.hypot(*np.mgrid[-32:32, -32:32]) ** 2) / 800)
    moved = dynamics.displacements_px(np.stack([image, np.roll(image, (2, -3), (0, 1))]), wide, 1)
    assert np.allclose(moved, [[2, -3]], atol=0.1)


def test_global_phase_and_dark_pixels_do_not_matter(chart):
    measurement, truth = chart
    light = dynamics.light_on_object(measurement.probe_modes)
    frame = truth.object[0]
    spoiled = np.where(light > 0, frame * np.exp(1.3j), 7)
    one, two = dynamics.phase_in_field(frame, light), dynamics.phase_in_field(spoiled, light)
    assert dynamics.weighted_correlation(one, two, light) == pytest.approx(1, abs=1e-6)


def test_what_lies_in_the_dark_does_not_turn_the_object_nor_count_for_its_resolution(chart):
    from cdipipe.measurement import Reconstruction
    from cdipipe.metrics.evaluate import evaluate, lay_over_truth

    measurement, truth = chart
    lit = dynamics.light_on_object(measurement.probe_modes) > 0
    rng = np.random.default_rng(3)
    noise = 5 * np.exp(2j * np.pi * rng.random(truth.object.shape) / 3)
    found = np.where(lit, truth.object * np.exp(0.7j), noise).astype(np.complex64)
    forward = {"kind": "far_field", "ndim": 2, "probe_modes": measurement.probe_modes}
    result = Reconstruction(found, truth.support, "movie", forward=forward)
    laid = lay_over_truth(result, measurement, truth, 3)
    np.testing.assert_allclose(laid[lit], truth.object[3][lit], atol=1e-5)
    assert evaluate(result, measurement, truth).metrics["frc_resolution_px"] == 2


def test_particles_are_separated_by_their_negative_phase():
    rng = np.random.default_rng(1)
    light = np.ones((64, 64))
    inside = np.hypot(*np.mgrid[-32:32, -32:32]) < 12
    phase = np.where(inside, -0.5, 0.0) + rng.normal(0, 0.05, light.shape)
    found = dynamics.separate_particles(phase, light)
    assert found.distance == pytest.approx(10, rel=0.1) and found.share == pytest.approx(inside.mean(), rel=0.02)
    assert found.particles_rad == pytest.approx(-0.5, abs=0.02) and dynamics.separate_particles(light, light) is None


def test_evaluate_judges_a_movie_in_place(chart):
    from cdipipe.measurement import Reconstruction
    from cdipipe.metrics.evaluate import evaluate

    measurement, truth = chart
    forward = {"kind": "far_field", "ndim": 2, "probe_modes": measurement.probe_modes}
    turned = truth.object * np.exp(0.7j)
    result = Reconstruction(turned.astype(np.complex64), truth.support, "movie", forward=forward)
    found = evaluate(result, measurement, truth).metrics
    assert found["complex_correlation"] > 0.9999 and found["field_phase_correlation"] > 0.999
    assert found["r_factor"] < 1e-3 and "otsu_separation_std" in found
