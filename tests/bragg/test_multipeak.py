"""One crystal from several reflections: the forward model, the fit, the withheld reflection."""

import dataclasses

import h5py
import numpy as np
import pytest
import torch

import cdipipe as cdi
from cdipipe.bragg.judge_crystal import judge_crystal
from cdipipe.bragg.multipeak import Settings, _trust, fit_crystal
from cdipipe.bragg.several import Peak, SampleGrid
from cdipipe.errors import InputError
from cdipipe.metrics.align import twin_of
from cdipipe.optics.bragg_frame import bragg_frame

SMALL = {"size": 32, "positions": 32, "voxels": 14, "displacement": "vector", "phase_range_rad": 4.0, "photons": 1e8}
HKL = ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (0, 0, 2))


@pytest.fixture(scope="module")
def curves():
    return [cdi.simulate("bragg", seed=4, with_truth=True, hkl=hkl, **SMALL) for hkl in HKL]


def test_one_seed_is_one_crystal_for_every_reflection(curves):
    for (measurement, truth), hkl in zip(curves, HKL, strict=True):
        frame = bragg_frame(measurement.geometry, measurement.intensity.shape)
        q = frame.sample_to_lab.T @ frame.q_per_nm
        np.testing.assert_allclose(q / np.linalg.norm(q), np.array(hkl) / np.linalg.norm(hkl), atol=2e-3)
        vectors = truth.extra["displacement_vectors_nm"]
        np.testing.assert_allclose(vectors @ (hkl / np.linalg.norm(hkl)), truth.extra["displacement_nm"], atol=1e-5)
    volumes = [t.support.sum() * bragg_frame(m.geometry, t.support.shape).voxel_volume_nm3 for m, t in curves]
    assert np.ptp(volumes) < 0.03 * np.mean(volumes)


def test_the_forward_model_predicts_the_pattern_of_a_sphere():
    """A uniform sphere without displacement: the modulus of its transform is known."""
    measurement, _ = cdi.simulate(
        "bragg", seed=1, with_truth=True, displacement="none", size=32, positions=32, voxels=14
    )
    grid = SampleGrid(48, 12.0)
    peak = Peak(measurement, grid)
    axis = (torch.arange(48) - 24) * 12.0
    distance = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()
    density = torch.sigmoid((120 - distance) / 4.0)
    object_ = peak.object_of(density, torch.zeros(3, 48, 48, 48), torch.zeros(3))
    frame = peak.frame
    volume = float(object_.abs().sum()) * frame.voxel_volume_nm3
    assert volume == pytest.approx(4 / 3 * np.pi * 120**3, rel=0.02)
    modulus = peak.predicted_modulus(object_)
    first = torch.roll(modulus, 0)[0, 0, :3] / modulus[0, 0, 0]
    for k in (1, 2):
        x = float(np.linalg.norm(frame.reciprocal_per_nm[:, 2])) * k * 120
        expected = abs(3 * (np.sin(x) - x * np.cos(x)) / x**3)
        assert float(first[k]) == pytest.approx(expected, abs=0.03)


def test_displacement_is_a_phase_along_q(curves):
    measurement, _ = curves[0]
    peak = Peak(measurement, SampleGrid(40, 15.0))
    density = torch.ones(40, 40, 40)
    u = torch.zeros(3, 40, 40, 40)
    u[0] = 0.01
    object_ = peak.object_of(density, u, torch.zeros(3))
    assert float(object_[16, 16, 16].angle()) == pytest.approx(-0.01 * float(peak.q_per_nm[0]), rel=1e-4)


def test_the_fit_finds_all_components_and_predicts_a_withheld_reflection(curves):
    measurements = [m for m, _ in curves]
    objects = [t.object for _, t in curves]
    crystal = fit_crystal(measurements, objects, Settings(iterations=60, withhold=3))
    assert crystal.started == (0, 1, 2) and not crystal.notes
    assert max(crystal.r_factors[:3]) < 0.2
    assert crystal.r_factors[3] < 0.35  # without the displacement it is 0.6
    error, signal = _against_truth(crystal, curves)
    assert error < 0.35 * signal
    np.testing.assert_allclose(crystal.strain, np.swapaxes(crystal.strain, 0, 1))


def _against_truth(crystal, curves) -> tuple[float, float]:
    """Rms error of the displacement and rms displacement, nm, over the bulk, without ramps."""
    from scipy import ndimage

    from cdipipe.bragg.multipeak import affine
    from cdipipe.bragg.multipeak_start import carried, register

    measurement, truth = curves[0]
    frame = bragg_frame(measurement.geometry, measurement.intensity.shape)
    inside = carried(truth.support.astype(float), frame, crystal.grid)
    true = np.stack(
        [
            carried(truth.extra["displacement_vectors_nm"][..., i].astype(float), frame, crystal.grid, 3)
            for i in range(3)
        ]
    )
    shift, _ = register(inside, crystal.inside.astype(float))
    own = np.stack([ndimage.shift(np.nan_to_num(u).astype(float), shift, order=1) for u in crystal.displacement_nm])
    moved = ndimage.shift(crystal.inside.astype(float), shift, order=1) > 0.5
    bulk = ndimage.binary_erosion(moved & (inside > 0.5), iterations=2)
    rest = own - true
    rest, true = rest - affine(rest, bulk), true - affine(true, bulk)
    return float(np.sqrt(np.mean(rest[:, bulk] ** 2))), float(np.sqrt(np.mean(true[:, bulk] ** 2)))


def test_the_judge_undoes_shift_twin_and_ramp(curves):
    measurements = [m for m, _ in curves]
    objects = [t.object for _, t in curves]
    found = judge_crystal(fit_crystal(measurements[:3], objects[:3], Settings(iterations=15)), curves[1][1])
    assert found["is_twin"] == 0 and found["shape_iou"] > 0.85
    assert found["strain_rmse"] < 0.25 * found["strain_rms"]
    twins = [twin_of(o) for o in objects[:3]]
    other = judge_crystal(fit_crystal(measurements[:3], twins, Settings(iterations=15)), curves[1][1])
    assert other["is_twin"] == 1 and other["strain_rmse"] < 0.25 * other["strain_rms"]
    with pytest.raises(InputError, match="displacement=vector"):
        judge_crystal(fit_crystal(measurements[:3], objects[:3], Settings(iterations=0)), _without_vectors(curves))


def _without_vectors(curves):
    return dataclasses.replace(curves[0][1], extra={})


def test_twins_that_shapes_do_not_tell_are_found_by_the_joint_fit(curves):
    """One object of three is replaced by its twin: the fit turns it back."""
    measurements = [m for m, _ in curves[:3]]
    objects = [curves[0][1].object, twin_of(curves[1][1].object), curves[2][1].object]
    crystal = fit_crystal(measurements, objects, Settings(iterations=40))
    assert max(crystal.r_factors) < 0.25


def test_a_reflection_counts_as_much_as_its_photons_allow(curves):
    grid = SampleGrid(40, 15.0)
    rich = Peak(curves[0][0], grid)
    counts = np.random.default_rng(0).poisson(curves[0][0].intensity * 3e-5).astype(np.float32)
    poor = Peak(dataclasses.replace(curves[0][0], intensity=counts), grid)
    assert poor.noise > 100 * rich.noise
    trust = _trust([rich, poor])
    assert trust[0] == 1 and trust[1] < 0.05


def test_coplanar_reflections_say_what_is_lost(curves):
    measurements = [m for m, _ in curves[:2]]
    crystal = fit_crystal(measurements, [t.object for _, t in curves[:2]], Settings(iterations=2))
    assert "is not determined" in crystal.notes[0]


def test_one_direction_is_refused(curves):
    (measurement, truth), _, _, _ = curves
    with pytest.raises(InputError, match="one direction"):
        fit_crystal([measurement] * 2, [truth.object] * 2, Settings(iterations=2))


def test_a_reflection_that_failed_to_phase_does_not_spoil_the_start(curves):
    measurements = [m for m, _ in curves[:3]]
    noise = np.random.default_rng(0).normal(size=(2, *curves[2][1].object.shape))
    objects = [curves[0][1].object, curves[1][1].object, noise[0] + 1j * noise[1]]
    crystal = fit_crystal(measurements, objects, Settings(iterations=40))
    assert crystal.started == (0, 1) and crystal.r_factors[2] < 0.5


def test_the_command_writes_metres_and_tells_the_withheld(curves, tmp_path, cli):
    from cdipipe.measurement import Reconstruction

    names, starts = [], []
    for index, (measurement, truth) in enumerate(curves[:3]):
        names.append(tmp_path / f"M{index}.cxi")
        starts.append(tmp_path / f"R{index}.cxi")
        cdi.save(names[-1], measurement)
        cdi.save(starts[-1], Reconstruction(truth.object, truth.support, "volume", geometry=measurement.geometry))
    given = [word for start in starts for word in ("--start", start)]
    told = cli("multipeak", *names, *given, "--iterations", 2, "--withhold", 3, "-o", tmp_path / "C.cxi")
    assert told.code == 0, told.err
    assert "withheld" in told.out and "rms strain" in told.out
    with h5py.File(tmp_path / "C.cxi") as file:
        group = file["entry_1/crystal_1"]
        assert group["strain"].shape[0] == 6 and group["displacement"].attrs["units"] == b"m"
        assert np.nanmax(np.abs(group["displacement"])) < 1e-9
    _check_what_others_make_of_it(tmp_path, curves[0][1], cli)
    assert (
        "expected 3, one for each rocking curve"
        in cli("multipeak", *names, "--start", starts[0], "-o", tmp_path / "D.cxi").complaint
    )
    assert "two to five" in cli("multipeak", names[0], "-o", tmp_path / "D.cxi").complaint
    assert "expected 1 to 3" in cli("multipeak", *names, "--withhold", 9, "-o", tmp_path / "D.cxi").complaint


def _check_what_others_make_of_it(folder, truth, cli):
    """Files of other programs, numbers and errors of a crystal that the command wrote."""
    import json

    import pyvista

    path, group = folder / "C.cxi", h5py.File(folder / "C.cxi")["entry_1/crystal_1"]
    for kind in ("npz", "vti"):
        assert cli("export", path, "-o", folder / f"C.{kind}").code == 0
    arrays, image = np.load(folder / "C.npz"), pyvista.read(folder / "C.vti")
    np.testing.assert_array_equal(arrays["strain_xz"], group["strain"][4])
    np.testing.assert_allclose(arrays["displacement_y_nm"], group["displacement"][1] * 1e9, rtol=1e-6)
    np.testing.assert_array_equal(
        image.point_data["strain_xz"].reshape(image.dimensions, order="F"), arrays["strain_xz"]
    )
    assert image.spacing == pytest.approx([float(arrays["voxel_nm"])] * 3)
    middle = image.dimensions[0] // 2
    assert image.origin[0] + middle * image.spacing[0] == pytest.approx(0, abs=1e-6)
    assert "exported as .vti, .npz" in cli("export", path, "-o", folder / "C.tif").complaint
    cdi.save(folder / "T.cxi", truth)
    assert cli("evaluate", path, "--truth", folder / "T.cxi", "-o", folder / "v.json").code == 0
    found = json.loads((folder / "v.json").read_text())
    assert found["strain_rmse"] < found["strain_rms"] and found["shape_iou"] > 0.8
    assert "--truth" in cli("evaluate", path, "-o", folder / "v.json").complaint
    assert '"rms_strain"' in cli("info", path, "--json").out
