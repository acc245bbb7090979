"""From a simulated rocking curve to strain, through files and the command line."""

import json

import h5py
import numpy as np
import pytest

import cdipipe as cdi
from cdipipe.bragg.files import read_strain
from cdipipe.bragg.reference import Reference, parse_reference
from cdipipe.bragg.strain import Choices, analyse
from cdipipe.errors import InputError
from cdipipe.measurement import Reconstruction
from cdipipe.metrics.align import twin_of
from cdipipe.optics.bragg_frame import bragg_frame
from cdipipe.optics.lattice import Lattice

SMALL = {"size": 40, "positions": 40, "voxels": 18, "photons": 1e8}


@pytest.fixture(scope="module")
def simulated():
    return cdi.simulate("bragg", seed=1, with_truth=True, **SMALL)


@pytest.fixture
def perfect(simulated, tmp_path):
    """A reconstruction that is the truth, and the truth, as files."""
    measurement, truth = simulated
    result = Reconstruction(truth.object, truth.support, "volume", "truth", geometry=measurement.geometry)
    cdi.save(tmp_path / "R.cxi", result)
    cdi.save(tmp_path / "T.cxi", truth)
    return tmp_path


def test_the_way_through_files(perfect, cli):
    told = cli("strain", perfect / "R.cxi", "-o", perfect / "S.cxi", "--lattice", "Au", "--hkl", "1,1,1")
    assert told.code == 0, told.err
    assert "strain in the bulk" in told.out and "twin explains the pattern as well" in told.out
    judged = cli("evaluate", perfect / "S.cxi", "--truth", perfect / "T.cxi", "-o", perfect / "v.json")
    assert judged.code == 0, judged.err
    found = json.loads((perfect / "v.json").read_text())
    assert found["shape_iou"] > 0.97 and found["displacement_rmse_planes"] < 1e-3 and found["strain_rmse"] < 1e-5
    assert found["is_twin"] == 0


def test_lengths_in_the_file_are_metres_and_say_so(perfect, cli):
    assert cli("strain", perfect / "R.cxi", "-o", perfect / "S.cxi").code == 0
    back = read_strain(perfect / "S.cxi")
    with h5py.File(perfect / "S.cxi") as file:
        stored = file["entry_1/strain_1/displacement"]
        assert stored.attrs["units"] == b"m"
        inside = back.fields.inside
        np.testing.assert_allclose(stored[()][inside] * 1e9, back.fields.displacement_nm[inside], rtol=1e-5)
        assert file["entry_1/orthogonal_1/voxel_size"][()] == pytest.approx(back.orthogonal.voxel_nm * 1e-9)
    assert np.array_equal(back.fields.inside, analyse(cdi.load(perfect / "R.cxi")).fields.inside)


def test_the_sign_of_displacement_is_that_of_the_truth(simulated):
    measurement, truth = simulated
    result = analyse(Reconstruction(truth.object, truth.support, "volume", "", geometry=measurement.geometry))
    bulk = result.fields.bulk
    u, own = truth.extra["displacement_nm"][bulk], result.fields.displacement_nm[bulk]
    design = np.column_stack([np.argwhere(bulk), np.ones(bulk.sum())])
    u = u - design @ np.linalg.lstsq(design, u, rcond=None)[0]
    own = own - design @ np.linalg.lstsq(design, own, rcond=None)[0]
    assert np.corrcoef(u, own)[0, 1] > 0.998


def test_the_twin_is_the_other_crystal(simulated):
    measurement, truth = simulated
    own = Reconstruction(truth.object, truth.support, "volume", geometry=measurement.geometry)
    one, other = analyse(own).fields, analyse(own, Choices(twin=True)).fields
    assert np.array_equal(other.inside, twin_of(one.inside.astype(complex)).real > 0.5)
    mirrored = twin_of(np.where(one.bulk, one.strain, 0).astype(complex)).real
    assert np.corrcoef(mirrored[other.bulk], other.strain[other.bulk])[0, 1] > 0.999


def test_runs_give_numbers_a_spread(simulated):
    measurement, truth = simulated
    noise = np.random.default_rng(0).normal(size=(3, 2, *truth.object.shape)) * 0.02 * np.abs(truth.object).max()
    runs = truth.object + (noise[:, 0] + 1j * noise[:, 1]).astype(np.complex64)
    result = analyse(
        Reconstruction(truth.object, truth.support, "volume", "", geometry=measurement.geometry, runs=runs)
    )
    assert result.numbers["runs"] == 3
    assert 0 < result.numbers["strain_std"] < 1e-3 and 0 < result.numbers["diameter_nm_std"] < 5
    assert len(result.facets) > 3
    assert all(0 < facet["mean_strain_std"] < 3 * result.numbers["strain_std"] for facet in result.facets)


def test_a_reference_whose_peak_lies_outside_the_detector_is_told(simulated):
    measurement, truth = simulated
    frame = bragg_frame(measurement.geometry, truth.object.shape)
    least, largest = frame.spacings_nm
    assert least < frame.d_spacing_nm < largest
    for d_nm, outside in ((frame.d_spacing_nm, False), (0.999 * least, True), (1.001 * largest, True)):
        reference = Reference(Lattice("oddium", *[d_nm * 3**0.5] * 3), (1, 1, 1))
        found = analyse(
            Reconstruction(truth.object, truth.support, "volume", "", geometry=measurement.geometry),
            Choices(reference=reference),
        )
        assert any("lies outside scan and detector" in note for note in found.notes) == outside


def test_a_simulated_peak_lies_within_its_detector(cli, tmp_path):
    told = cli("simulate", "bragg", "--set", "peak_offset_px=[0,40,0]", "-o", tmp_path / "M.cxi")
    assert told.code == 2 and "outside the detector" in told.complaint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--lattice", "Pt"), "would fit gold (1,1,1)"),
        (("--lattice", "Xy"), "unknown material"),
        (("--lattice", "Au", "--hkl", "1,1"), "three whole numbers"),
        (("--surface", "1.5"), "a share between 0 and 1"),
        (("--frame", "moon"), "one of lab, sample, crystal"),
        (("--voxel-nm", "0.01"), "too many"),
        (("--voxel-nm", "-1"), "positive length"),
        (("--toward", "0,0,0"), "expected a direction"),
    ],
)
def test_wrong_choices_are_one_line(perfect, cli, options, words):
    assert words in cli("strain", perfect / "R.cxi", "-o", perfect / "S.cxi", *options).complaint
    assert not (perfect / "S.cxi").exists()


def test_what_has_no_geometry_says_what_is_missing(simulated, tmp_path, cli):
    _, truth = simulated
    cdi.save(tmp_path / "R.cxi", Reconstruction(truth.object, truth.support, "volume"))
    line = cli("strain", tmp_path / "R.cxi", "-o", tmp_path / "S.cxi").complaint
    assert "--energy-ev" in line and "--beamline" in line


def test_a_flat_object_is_refused(tmp_path, cli):
    cdi.save(tmp_path / "R.cxi", Reconstruction(np.ones((16, 16), np.complex64), np.ones((16, 16), bool)))
    assert "needs a volume" in cli("strain", tmp_path / "R.cxi", "-o", tmp_path / "S.cxi").complaint


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        (0, "cut by the scan: .*take more rocking positions"),
        (1, "cut by the detector's rows: .*larger --crop"),
        (2, "cut by the detector's columns"),
    ],
)
def test_a_peak_that_is_cut_is_refused(simulated, axis, words):
    measurement, truth = simulated
    ramp = np.exp(2j * np.pi * 20 * (np.arange(40) - 20) / 40)
    moved = truth.object * ramp.reshape([-1 if a == axis else 1 for a in range(3)])
    with pytest.raises(InputError, match=words):
        analyse(Reconstruction(moved, truth.support, "volume", geometry=measurement.geometry))


def test_references():
    assert parse_reference("Au", "1,1,1").d_nm == pytest.approx(0.40782 / 3**0.5)
    assert parse_reference("0.4", "2 0 0").d_nm == pytest.approx(0.2)
    assert parse_reference(None, "1,1,1") is None
