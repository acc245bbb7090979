"""The moving star chart: its velocity is found in its truth, it moves by parts of a pixel, its phase is negative."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.registration import phase_cross_correlation

from cdipipe.errors import InputError
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.movies.probes import field_support, probe_modes
from cdipipe.simulation.registry import get_scene
from cdipipe.simulation.scenes.test_chart import star_coverage

SCENE = get_scene("test_chart")


def parameters(**settings):
    return validate(SCENE.parameters, {"size": 128, "frames": 4, **settings}, "test_chart")


def window(size: int) -> np.ndarray:
    axis = np.hanning(size)
    return axis[:, None] * axis[None, :]


@pytest.mark.parametrize("lag", [10, 25, 50])
def test_velocity_is_recovered_from_the_truth(lag):
    p = parameters(frames=lag + 6, direction_deg=30.0)
    sample = SCENE.build(p, np.random.default_rng(2))
    phase = np.angle(sample.object).astype(float) * window(128)
    phase -= phase.mean((1, 2), keepdims=True)
    shifts = [
        phase_cross_correlation(phase[t + lag], phase[t], upsample_factor=200, normalization=None)[0] for t in range(6)
    ]
    velocity = np.mean(shifts, axis=0) * p.object_pixel_m / (lag * p.frame_time_s)
    assert np.linalg.norm(velocity) == pytest.approx(340e-9, rel=0.06)
    assert np.rad2deg(np.arctan2(*velocity)) == pytest.approx(30, abs=4)


def test_default_motion_is_a_part_of_a_pixel_per_frame():
    sample = SCENE.build(parameters(), np.random.default_rng(0))
    step = np.linalg.norm(np.diff(sample.extra["positions_m"], axis=0), axis=1)
    np.testing.assert_allclose(step, 2.47e-9, rtol=1e-3)
    np.testing.assert_allclose(sample.extra["velocity_m_per_s"], [0, 340e-9], atol=1e-20)
    assert np.abs(sample.object[1] - sample.object[0]).max() < 0.2


def test_motion_by_parts_of_a_pixel_is_a_shift():
    """Against the chart drawn 8 times finer and averaged; a pixel on an edge or a corner may differ by a little."""
    p = parameters()
    fine = parameters(size=1024, object_pixel_m=p.object_pixel_m / 8, inner_radius_m=p.inner_m)
    place = np.array([3.3, -7.8])
    drawn = star_coverage(p, place, 0.3)
    averaged = star_coverage(fine, 8 * place + 3.5, 0.3).reshape(128, 8, 128, 8).mean((1, 3))
    assert np.sqrt(np.mean((drawn - averaged) ** 2)) < 0.03
    shifted = star_coverage(p, place + np.array([1, 2]), 0.3)
    np.testing.assert_allclose(shifted[1:, 2:], drawn[:-1, :-2], atol=1e-9)


def test_matter_has_negative_phase():
    frames = SCENE.build(parameters(), np.random.default_rng(1)).object
    metal = np.abs(frames - 1) > 1e-3
    assert 0.2 < metal.mean() < 0.6
    assert (np.angle(frames[metal]) < 0).all()
    assert (np.abs(frames[metal]) < 1).all()


def test_five_modes_photons_and_geometry():
    measurement, truth = simulate(SCENE, parameters(photons=1e6), seed=2)
    assert measurement.probe_modes.shape == (5, 128, 128)
    assert measurement.intensity.sum() / 4 == pytest.approx(1e6, rel=5e-3)
    assert measurement.geometry.object_pixel_m(128) == pytest.approx(20e-9)
    expected = sum(np.abs(np.fft.fft2(mode * truth.object[0], norm="ortho")) ** 2 for mode in measurement.probe_modes)
    assert expected.sum() == pytest.approx(1e6, rel=1e-2)


def test_a_small_chart_enters_and_leaves_the_field():
    p = parameters(outer_radius_m=0.8e-6, velocity_m_per_s=1e-4, frames=9, start_offset=0.0)
    sample = SCENE.build(p, np.random.default_rng(0))
    inside = [(np.abs(frame - 1) > 1e-3)[sample.support[0]].mean() for frame in sample.object]
    assert inside[0] == inside[-1] == 0
    assert inside[4] > 0.1


@pytest.mark.parametrize(
    "settings, named",
    [
        ({"inner_radius_m": 1e-8}, "narrower"),
        ({"outer_radius_m": 1e-8}, "outer_radius_m"),
        ({"energy_ev": 10000.0}, "tantalum"),
        ({"velocity_m_per_s": -1.0}, "velocity_m_per_s"),
        ({"spokes": 2}, "spokes"),
    ],
)
def test_impossible_parameters_are_named(settings, named):
    with pytest.raises(InputError, match=named):
        parameters(**settings)


def test_same_seed_same_movie():
    first, second = (SCENE.build(parameters(), np.random.default_rng(4)).object for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_triangular_aperture_is_no_twin_of_itself():
    """Side, area and light of the triangle; turned by half a turn it covers other pixels, a disc the same."""
    for aperture, area, most in (("triangle", np.sqrt(3) / 4 * 64**2, 0.75), ("round", np.pi * 32**2, 1.0)):
        p = parameters(probe_aperture=aperture)
        inside = field_support(p.size, p.field, aperture)
        assert inside.sum() == pytest.approx(area, rel=0.02)
        assert np.ptp(np.nonzero(inside)[1]) == pytest.approx(64, abs=2)
        turned = np.roll(inside[::-1, ::-1], (1, 1), (0, 1))
        shared = (inside & turned).sum() / inside.sum()
        assert shared == 1 if most == 1 else shared < most
        modes = probe_modes(p)
        assert (modes[:, ~inside] == 0).all()
        assert np.sum(np.abs(modes) ** 2) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("settings", "warned"), [({"size": 64}, True), ({"size": 64, "spokes": 10}, False)])
def test_a_chart_beside_the_light_is_told(settings, warned, caplog):
    SCENE.build(parameters(start_offset=0.1, **settings), np.random.default_rng(1))
    assert ("fewer spokes" in caplog.text) == warned
