"""Scenes of a low-dose sample beside a static structure."""

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io.cxi import read_measurement, read_truth
from cdipipe.optics.far_field import photons as diffract
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.low_dose.dose import dose_gray, photons_per_pixel
from cdipipe.simulation.registry import get_scene
from cdipipe.simulation.sources.biological_cell import cell_thickness
from cdipipe.simulation.sources.lacey import lacey_film

SCENES = ("static_region", "cell")


def draw(name, seed=0, **settings):
    scene = get_scene(name)
    return simulate(scene, validate(scene.parameters, settings, name), seed)


def energy(wave):
    return float(np.sum(np.abs(np.asarray(wave, np.complex128)) ** 2))


@pytest.mark.parametrize("name", SCENES)
def test_geometry_of_the_paper(name):
    measurement, truth = draw(name)
    assert measurement.intensity.shape == (256, 256)
    assert [int(np.ptp(index)) + 1 for index in np.nonzero(truth.support)] == [70, 70]
    assert [int(np.ptp(index)) + 1 for index in np.nonzero(measurement.static_support)] == [35, 35]
    assert not (truth.support & measurement.static_support).any()
    assert (truth.object[~truth.support] == 0).all() and not truth.object.imag.any() and truth.object.real.min() >= 0
    assert (measurement.static_region[~measurement.static_support] == 0).all()
    assert measurement.geometry.object_pixel_m(256) == pytest.approx(42.9e-9)


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("per_pixel", [1.0, 1000.0])
def test_sample_photons_are_per_detector_pixel(name, per_pixel):
    measurement, truth = draw(name, 1, sample_photons_per_pixel=per_pixel)
    light = truth.extra
    assert energy(truth.object) / 256**2 == pytest.approx(per_pixel, rel=1e-5)
    assert light["sample_photons_per_detector_pixel"] == pytest.approx(per_pixel)
    assert light["total_photons"] == pytest.approx(energy(truth.object) + energy(measurement.static_region), rel=1e-5)
    assert measurement.intensity.sum(dtype=float) == pytest.approx(light["total_photons"], rel=1e-3)
    assert measurement.provenance["light"] == light
    assert light["incident_photons_per_sample_pixel"] == pytest.approx(np.abs(truth.object).max() ** 2, rel=0.2)
    assert light["dose_static_per_um2"] == pytest.approx(1e10)


def test_doses_per_area_are_the_other_definition():
    for dose in (1e3, 1e7):
        _, truth = draw("static_region", 2, dose_sample_per_um2=dose)
        per_pixel = dose * 0.0429**2
        assert truth.extra["incident_photons_per_sample_pixel"] == pytest.approx(per_pixel)
        assert np.abs(truth.object).max() ** 2 == pytest.approx(per_pixel, rel=1e-5)
        assert truth.extra["amplitude_ratio"] == pytest.approx(np.sqrt(dose / 1e10))
    measurement, truth = draw("static_region", 2, amplitude_ratio=0.01)
    ratio = np.abs(truth.object).max() / np.abs(measurement.static_region).max()
    assert ratio == pytest.approx(0.01, rel=1e-5)


def test_photographs_have_the_scale_that_is_common():
    _, truth = draw("static_region", 0, count=20, sample_photons_per_pixel=1)
    per_pixel = np.array(truth.extra["incident_photons_per_sample_pixel"])
    assert per_pixel.shape == (20,) and 25 < np.median(per_pixel) < 110


def test_the_pattern_is_of_both_together():
    measurement, truth = draw("static_region", 3, photons=0, phase_range_rad=2.0)
    both = truth.object.astype(np.complex128) + measurement.static_region
    np.testing.assert_allclose(measurement.intensity, diffract(both, 2), rtol=1e-3, atol=1e-6 * energy(both) / 256**2)
    phase = np.angle(truth.object[np.abs(truth.object) > 0])
    assert np.ptp(phase) == pytest.approx(2.0, rel=0.05)


def test_a_total_is_kept_with_or_without_light_on_the_sample():
    measurement, truth = draw("cell", 4, photons=1e8)
    assert measurement.intensity.sum(dtype=float) == pytest.approx(1e8, rel=1e-3)
    assert truth.extra["total_photons"] == pytest.approx(1e8)
    measurement, truth = draw("cell", 4, photons=1e8, sample_photons_per_pixel=2)
    assert measurement.intensity.sum(dtype=float) == pytest.approx(1e8, rel=1e-3)
    assert energy(truth.object) / 256**2 == pytest.approx(2, rel=1e-5)
    with pytest.raises(InputError, match="leave none for the static structure"):
        draw("cell", 4, photons=1e5, sample_photons_per_pixel=2)


def test_a_probe_weighs_both():
    measurement, truth = draw("static_region", 5, probe="gaussian", probe_sigma_px=40, sample_photons_per_pixel=3)
    probe = measurement.probe_modes[0]
    assert measurement.probe_modes.shape == (1, 256, 256) and np.abs(probe).max() == pytest.approx(1)
    assert energy(probe * truth.object) / 256**2 == pytest.approx(3, rel=1e-4)
    whole = probe * (truth.object + measurement.static_region)
    assert measurement.intensity.sum(dtype=float) == pytest.approx(energy(whole), rel=1e-3)


def test_files_hold_the_static_region_and_the_light(tmp_path, cli):
    out = ("-o", tmp_path / "m.cxi", "--truth", tmp_path / "t.cxi")
    assert cli("simulate", "static_region", *out, "--set", "count=3", "--set", "size=64").code == 0
    measurement, truth = read_measurement(tmp_path / "m.cxi"), read_truth(tmp_path / "t.cxi")
    assert measurement.static_region.shape == truth.object.shape == (3, 64, 64)
    assert measurement.static_support.shape == (64, 64) or measurement.static_support.shape == (3, 64, 64)
    assert len(measurement.provenance["light"]["total_photons"]) == 3
    np.testing.assert_allclose(truth.extra["total_photons"], measurement.intensity.sum((1, 2)), rtol=1e-2)


@pytest.mark.parametrize("name", SCENES)
def test_sample_i_does_not_depend_on_count(name):
    few, many = (draw(name, 6, size=64, count=count) for count in (2, 3))
    np.testing.assert_array_equal(few[0].intensity, many[0].intensity[:2])
    np.testing.assert_array_equal(few[1].object, many[1].object[:2])
    assert (many[1].object[0] != many[1].object[1]).any()


def test_dose_in_gray():
    assert dose_gray(1, 1, 1) == pytest.approx(1.602e-8, rel=1e-3)
    fluence = 43 / photons_per_pixel(1, 42.9e-9)
    assert photons_per_pixel(1, 42.9e-9) == pytest.approx(1.84e-3, rel=1e-3)
    assert dose_gray(fluence, 530) == pytest.approx(1.97e3, rel=0.02)


def test_cells_and_films_made_by_code():
    cells = [cell_thickness(70, np.random.default_rng(seed)) for seed in range(8)]
    for cell in cells:
        assert cell.min() == 0 and cell.max() == 1
        assert 0.3 < (cell > 0).mean() < 0.85
        assert not cell[0].any() and not cell[:, -1].any()
        assert np.isin(np.bincount((cell > 0).ravel())[1], range(1500, 4200))
    films = [lacey_film(64, np.random.default_rng(seed)) for seed in range(8)]
    for film in films:
        assert film.shape == (64, 64) and film.min() >= 0 and film.max() <= 1 + 1e-9
        assert 0.2 < film.mean() < 0.8
        assert ((film < 0.02) | (film > 0.98)).mean() > 0.5


def test_a_phantom_of_the_user(data_dir):
    phantom = str(data_dir / "cell_phantom_lowdose" / "cell_lacey_phantom.npz")
    measurement, truth = draw("cell", 7, phantom=phantom, phase_range_rad=1.0)
    lit = np.abs(truth.object) > 0
    assert lit[truth.support].mean() > 0.4
    phase = np.angle(truth.object[lit])
    assert phase.max() <= 0 and -1.001 < phase.min() < -0.5
    assert 0.1 < (np.abs(measurement.static_region[measurement.static_support]) > 0).mean() < 1


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"photons": -1}, "photons"),
        ({"sample_photons_per_pixel": 0}, "sample_photons_per_pixel"),
        ({"sample_photons_per_pixel": 1, "dose_sample_per_um2": 1e3}, "give one"),
        ({"photons": 1e9, "amplitude_ratio": 0.1, "sample_photons_per_pixel": 1}, "give two"),
        ({"object_size": 300}, "larger than the array"),
        ({"object_size": 200}, "beyond the array"),
        ({"static_offset_px": [0, 40]}, "overlaps the sample"),
        ({"static_offset_px": [0, 120]}, "beyond the array"),
        ({"phase_range_rad": -1}, "phase_range_rad"),
        ({"probe_sigma_px": 3}, "probe"),
        ({"detector": {"coherence_px": 0}}, "coherence_px"),
        ({"dose_static_per_um2": 0}, "dose_static_per_um2"),
    ],
)
@pytest.mark.parametrize("name", SCENES)
def test_impossible_parameters_are_named(name, settings, word):
    with pytest.raises(InputError, match=word) as caught:
        draw(name, **settings)
    assert "\n" not in str(caught.value)


def test_bad_phantoms_are_named(tmp_path):
    np.savez(tmp_path / "none.npz", lacey=np.ones((9, 9)))
    np.savez(tmp_path / "flat.npz", cell=np.ones((9, 9)))
    np.save(tmp_path / "array.npz.npy", np.ones((9, 9)))
    (tmp_path / "text.npz").write_text("no")
    cases = {
        "none.npz": "no array 'cell'",
        "flat.npz": "not constant",
        "text.npz": "cannot be read",
        "x": "no such file",
    }
    for name, word in (cases | {"array.npz.npy": "cannot be read"}).items():
        with pytest.raises(InputError, match=word):
            draw("cell", phantom=str(tmp_path / name))


def test_info_counts_a_shared_static_support_once(tmp_path, cli):
    assert cli("simulate", "static_region", "-o", tmp_path / "m.cxi", "--set", "count=3").code == 0
    assert "support px: 1225" in cli("info", tmp_path / "m.cxi").out
