"""Resolution without a truth: fine where the phasing is good, coarse where not; what cannot be told is refused."""

from dataclasses import replace

import numpy as np
import pytest

import cdipipe as cdi
from cdipipe.cli.main import run
from cdipipe.errors import InputError
from cdipipe.io.cxi import write_measurement, write_reconstruction
from cdipipe.io.metrics_file import read_metrics
from cdipipe.metrics import fourier
from cdipipe.optics.noise import thin
from cdipipe.uncertainty.choices import ResolutionChoices
from cdipipe.uncertainty.resolution import cone, noise_limit, recipe_of, resolve

FEW = ResolutionChoices(twins=1, starts=1)
RECIPE = {"method": "hio", "iterations": 200, "restarts": 4}


@pytest.fixture(scope="module")
def phased():
    measurement, truth = cdi.simulate(
        "pseudo_objects", size=48, photons=1e7, phase_range_rad=0.5, seed=1, with_truth=True
    )
    return cdi.reconstruct(measurement, RECIPE), measurement, truth


def test_the_recipe_of_a_result_is_the_one_that_it_was_phased_by(phased):
    result, measurement, _ = phased
    again = cdi.reconstruct(measurement, recipe_of(result))
    np.testing.assert_array_equal(again.object, result.object)


def test_few_photons_and_the_object_of_another_pattern_are_coarser(phased):
    result, measurement, _ = phased
    fine = resolve(result, measurement, FEW).numbers["resolution_px"]
    other = cdi.simulate("pseudo_objects", size=48, phase_range_rad=0.5, seed=2, with_truth=True)[1]
    wrong = other.object * np.linalg.norm(result.object) / np.linalg.norm(other.object)
    assert fine < 4
    assert resolve(replace(result, object=wrong), measurement, FEW).numbers["resolution_px"] > 2 * fine
    dim = replace(measurement, intensity=thin(measurement.intensity, 1e-4, np.random.default_rng(0)))
    assert resolve(cdi.reconstruct(dim, RECIPE), dim, FEW).numbers["resolution_px"] > 1.5 * fine


def test_the_noise_limit_is_what_is_left_of_a_truth_once_its_moduli_are_noisy():
    measurement, truth = cdi.simulate("polygons", size=64, photons=3e4, phase_range_rad=0.5, seed=2, with_truth=True)
    true = truth.object * np.sqrt(3e4 / np.sum(np.abs(truth.object) ** 2))
    counts = measurement.intensity
    wave = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(true), norm="ortho"))
    for _ in range(30):  # error reduction from the truth: no phasing could do better
        found = np.fft.fftshift(
            np.fft.ifft2(np.fft.ifftshift(np.sqrt(counts) * np.exp(1j * np.angle(wave))), norm="ortho")
        )
        found = found * truth.support
        wave = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(found), norm="ortho"))
    curve = fourier.fourier_ring_correlation(true, found)
    limit = noise_limit(fourier.ring_means(counts), truth.support.mean())
    assert np.abs(curve - limit)[1:19].max() < 0.06
    assert limit[18] < 0.95


def test_three_cones_hold_every_frequency():
    shape = (8, 10, 12)
    cones = [cone(shape, axis) for axis in range(3)]
    assert np.any(cones, axis=0)[4, 5, 6]
    assert [c[4 + a, 5 + b, 6 + d] for c, (a, b, d) in zip(cones, np.eye(3, dtype=int) * 3, strict=True)] == [True] * 3
    assert not cones[0][4, 5, 9] and not cones[2][7, 5, 6]


def test_a_volume_has_a_resolution_along_each_axis():
    measurement = cdi.simulate("polygons", size=16, dimensions=3, photons=1e6, seed=1)
    result = cdi.reconstruct(measurement, "raar", iterations=40)
    found = resolve(result, measurement, FEW)
    assert {"resolution_z_px", "resolution_y_px", "resolution_x_px"} <= found.numbers.keys()
    assert found.curves["resolution_z"].shape == found.curves["frequency"].shape


def test_what_cannot_be_phased_anew_is_refused(phased):
    result, measurement, _ = phased
    with pytest.raises(InputError, match="recipe"):
        resolve(replace(result, recipe={}), measurement)
    with pytest.raises(InputError, match="zero everywhere"):
        resolve(replace(result, object=result.object * 0), measurement)
    with pytest.raises(InputError, match="stack of shots"):
        resolve(replace(result, stack="shots"), measurement)


def test_thinning_keeps_the_share_and_never_more_than_there_is():
    counts = np.full((50, 50), 40.0)
    kept = thin(counts, 0.25, np.random.default_rng(0), draws=3)
    assert kept.shape == (3, 50, 50) and kept.max() <= 40
    assert kept.mean() == pytest.approx(10, rel=0.02)
    assert kept.var() == pytest.approx(40 * 0.25 * 0.75, rel=0.1)


def test_the_command_writes_numbers_curves_and_a_picture(phased, tmp_path, capsys):
    result, measurement, _ = phased
    r, m = tmp_path / "r.cxi", tmp_path / "m.cxi"
    write_reconstruction(r, result)
    write_measurement(m, measurement)
    out = tmp_path / "resolution.json"
    few = ["--set", "twins=1", "--set", "starts=1"]
    more = ["--curves", str(tmp_path / "c.npz"), "--figure", str(tmp_path / "f.png")]
    assert run(["resolution", str(r), "--measurement", str(m), "-o", str(out), *few, *more]) == 0
    assert read_metrics(out)["resolution_px"] >= 2 and read_metrics(out)["verdict"] == "plausible"
    assert "resolution" in np.load(tmp_path / "c.npz") and (tmp_path / "f.png").stat().st_size > 5000
    assert run(["resolution", str(r), "--measurement", str(m), "-o", str(m), *few]) == 2
    assert "replace an input" in capsys.readouterr().err
    assert run(["resolution", str(r), "--measurement", str(m), "-o", str(out), "--set", "twin=1"]) == 2
    assert "did you mean 'twins'" in capsys.readouterr().err
