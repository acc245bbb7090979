"""Brownian particles: their tracks diffuse as Stokes and Einstein say, their phase is negative, their field holds."""

from __future__ import annotations

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene
from cdipipe.simulation.scenes.particles import diffusion_m2_per_s

SCENE = get_scene("particles")


def parameters(**settings):
    return validate(SCENE.parameters, {"size": 96, "frames": 6, "particle_diameter_m": 100e-9, **settings}, "particles")


def build(seed=0, **settings):
    return SCENE.build(parameters(**settings), np.random.default_rng(seed))


def test_the_object_is_a_movie_of_the_asked_photons():
    measurement, truth = simulate(SCENE, parameters(photons=1e6), seed=3)
    assert measurement.stack == truth.stack == "movie"
    assert measurement.intensity.shape == truth.object.shape == (6, 96, 96)
    assert measurement.intensity.sum() / 6 == pytest.approx(1e6, rel=5e-3)
    np.testing.assert_allclose(measurement.frame_times_s, np.arange(6) * 7e-3)
    assert measurement.geometry.object_pixel_m(96) == pytest.approx(12e-9)
    assert truth.extra["positions_m"].shape == (6, 12, 2)
    assert not truth.object[~truth.support].any()


def test_default_photons_are_those_of_the_paper():
    assert SCENE.parameters().photons == 3e7


def test_matter_has_negative_phase_and_absorbs():
    probe = build(illumination="probe").object
    plane = build()
    transmission = 1 + plane.object / np.sqrt(plane.extra["incident_photons_per_pixel"])
    for wave in (probe, transmission):
        inside = np.abs(wave - 1) > 1e-3
        assert inside.any()
        assert (np.angle(wave[inside]) < 0).all()
        assert (np.abs(wave[inside]) < 1).all()


def test_phase_of_a_sphere_is_minus_k_delta_times_its_diameter():
    sample = build(size=128, particle_count=1, diameter_spread=0.0, delta=5e-5, beta=0.0, illumination="probe")
    wavenumber = 2 * np.pi / sample.geometry.wavelength_m
    assert np.angle(sample.object).min() == pytest.approx(-wavenumber * 5e-5 * 100e-9, rel=0.03)
    volume = np.pi / 6 * 100e-9**3
    total = np.angle(sample.object[0]).sum() * 12e-9**2
    assert total == pytest.approx(-wavenumber * 5e-5 * volume, rel=0.01)


def test_stokes_einstein():
    assert diffusion_m2_per_s(298.15, 0.89e-3, 100e-9) == pytest.approx(4.9e-12, rel=0.01)  # water, 100 nm


@pytest.mark.parametrize("boundary", ["periodic", "open"])
def test_diffusion_coefficient_is_recovered_from_the_tracks(boundary):
    p = parameters(frames=400, particle_count=60, diameter_spread=0.0, boundary=boundary, size=64, viscosity_pa_s=0.1)
    sample = SCENE.build(p, np.random.default_rng(5))
    box = sample.extra["box_m"]
    steps = np.diff(sample.extra["positions_m"], axis=0)
    steps -= box * np.round(steps / box)  # the nearest image
    found = np.mean(steps**2) / (2 * p.frame_time_s)
    expected = diffusion_m2_per_s(p.temperature_k, p.viscosity_pa_s, p.particle_diameter_m)
    assert found == pytest.approx(expected, rel=4 * np.sqrt(2 / steps.size))
    np.testing.assert_allclose(sample.extra["diffusion_m2_per_s"], expected)
    tracks = np.cumsum(steps, axis=0)
    lag = 10
    spread = np.mean((tracks[lag:] - tracks[:-lag]) ** 2) / (2 * lag * p.frame_time_s)
    assert spread == pytest.approx(expected, rel=0.15)


def test_small_particles_move_more():
    sample = build(diameter_spread=0.3)
    assert np.corrcoef(sample.extra["diffusion_m2_per_s"], 1 / sample.extra["diameters_m"])[0, 1] > 0.999


def test_reflected_particles_stay_inside_and_move_by_their_steps():
    sample = build(frames=300, viscosity_pa_s=0.003)
    places, diameters = sample.extra["positions_m"], sample.extra["diameters_m"]
    assert (np.abs(places) <= (sample.extra["box_m"] - diameters[:, None]) / 2 + 1e-15).all()
    steps = np.diff(places, axis=0)
    free = np.isclose(steps, sample.extra["steps_m"], atol=1e-15)
    assert 0.3 < free.mean() < 1


def test_particles_leave_and_enter_with_open_boundary():
    sample = build(frames=200, boundary="open", viscosity_pa_s=0.003)
    inside = (np.abs(sample.extra["positions_m"]) < 24 * 12e-9).all(-1)
    assert (inside[1:] & ~inside[:-1]).any() and (~inside[1:] & inside[:-1]).any()
    assert len(set(inside.sum(1))) > 2
    assert not sample.object[~sample.support].any()


def test_jumps_are_far_and_marked():
    sample = build(frames=100, jump_probability=0.2, viscosity_pa_s=1.0)
    lengths = np.linalg.norm(np.diff(sample.extra["positions_m"], axis=0), axis=-1)
    jumped = sample.extra["jumped"]
    assert jumped.mean() == pytest.approx(0.2, abs=0.05)
    assert np.median(lengths[jumped]) > 10 * np.median(lengths[~jumped])


def test_the_picture_is_where_the_track_says():
    sample = build(particle_count=1, illumination="probe", diameter_spread=0.0)
    depth = -np.angle(sample.object)
    axis = np.arange(96) - 48
    centre = np.stack([(depth.sum(2) * axis).sum(1), (depth.sum(1) * axis).sum(1)], 1) / depth.sum((1, 2))[:, None]
    np.testing.assert_allclose(centre, sample.extra["positions_m"][:, 0] / 12e-9, atol=0.03)


def test_probe_modes_are_incoherent_modes_within_the_field():
    measurement, truth = simulate(SCENE, parameters(illumination="probe", photons=1e6), seed=1)
    modes = measurement.probe_modes
    assert modes.shape == (4, 96, 96) and modes.dtype == np.complex64
    power = (np.abs(modes) ** 2).sum((1, 2))
    assert power[0] > power[1] == pytest.approx(power[2], rel=0.02) and power[3] < power[1]
    assert not modes[:, ~truth.support[0]].any()
    outside = truth.object[:, 0, :]
    np.testing.assert_allclose(outside, 1, atol=1e-6)
    overlap = np.abs(np.vdot(modes[0], modes[1])) / np.sqrt(power[0] * power[1])
    assert overlap < 1e-3


@pytest.mark.parametrize(
    "settings, named",
    [
        ({"particle_diameter_m": 1e-6}, "particle_diameter_m"),
        ({"field_px": 200}, "field_px 200"),
        ({"energy_ev": 20000.0}, "give delta and beta"),
        ({"viscosity_pa_s": 0}, "viscosity_pa_s"),
        ({"temperature_k": -3}, "temperature_k"),
        ({"frames": 1}, "frames"),
        ({"boundary": "wall"}, "boundary"),
    ],
)
def test_impossible_parameters_are_named(settings, named):
    with pytest.raises(InputError, match=named):
        parameters(**settings)


def test_other_energies_with_given_constants():
    assert parameters(energy_ev=20000.0, delta=7e-6, beta=5e-7).energy_ev == 20000.0
