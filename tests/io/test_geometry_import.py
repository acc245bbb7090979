"""Geometry through the whole import: command line over scan file over header, told in the account."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scan_files import NANOMAX, SPEC

from cdipipe.cli.main import run
from cdipipe.errors import InputError
from cdipipe.geometry import Geometry
from cdipipe.io.cxi import read_measurement, write_measurement
from cdipipe.io.importing.assemble import import_files
from cdipipe.io.importing.options import ImportOptions, options_from_command

COUNTS = np.random.default_rng(0).poisson(5, (5, 16, 12))


@pytest.fixture
def brought_in(tmp_path):
    """Geometry and printed steps of an import of counts beside a SPEC file."""

    def make(counts=COUNTS, **options):
        np.save(tmp_path / "counts.npy", counts)
        (tmp_path / "a.spec").write_text(SPEC)
        given = {"stack": "volume", "scan_file": str(tmp_path / "a.spec"), "scan": 54, "beamline": "aps_34idc"}
        measurement, account = import_files(
            [str(tmp_path / "counts.npy")], ImportOptions.model_validate({**given, **options})
        )
        return measurement.geometry, "\n".join(account.told())

    return make


def test_the_angles_of_the_scan_are_in_the_measurement(brought_in):
    geometry, told = brought_in()
    assert geometry.scan.positions == (0.1, 0.15, 0.2, 0.25, 0.3)
    assert [circle.angle_deg for circle in geometry.sample_circles] == [0.2, 90, -5]
    assert (geometry.energy_ev, geometry.distance_m, geometry.pixel_m) == (9000, 0.5, 55e-6)
    assert geometry.rocking_step_rad == pytest.approx(np.radians(0.05))
    assert (geometry.beamline, geometry.detector) == ("aps_34idc", "34idcTIM2")
    assert "energy 9000 eV, distance 0.5 m" in told and "a.spec scan 54" in told
    assert "theta scanned from 0.1 to 0.3 deg in steps of 0.05; at chi 90, phi -5, delta 32.174" in told
    assert "of the middle pixel of what is kept (a guess)" in told


def test_the_command_line_wins_and_says_so(brought_in):
    geometry, told = brought_in(energy_ev=9100, pixel_m="5e-5,6e-5", angles="phi=3", beam_centre_px=(100, 200))
    assert (geometry.energy_ev, geometry.pixel_y_m, geometry.pixel_x_m) == (9100, 5e-5, 6e-5)
    assert geometry.sample_circles[2].angle_deg == 3 and geometry.beam_centre_px == (100, 200)
    assert "energy_ev: 9100 as given is taken" in told and "says 9000" in told
    assert "energy 9100 eV" in told and "from the command line" in told


def test_a_step_given_by_hand_replaces_the_positions(brought_in):
    geometry, _ = brought_in(rocking_step_rad=1e-3)
    assert geometry.rocking_step_rad == 1e-3 or geometry.rocking_step_rad == pytest.approx(1e-3)
    assert np.radians(np.diff(geometry.scan.positions)) == pytest.approx(1e-3)
    assert geometry.scan.middle == 0.2


def test_frames_crop_and_bin_take_their_positions_along(brought_in):
    geometry, _ = brought_in(frames="1:5", bin=(2, 2, 2), crop=(2, 6, 4), centre=(1, 4, 3))
    assert geometry.scan.positions == pytest.approx((0.175, 0.275))
    assert geometry.pixel_m == 110e-6 and geometry.binning == (2, 2) and geometry.offset_px == (2, 2)


def test_the_region_of_the_detector_is_where_the_window_begins(brought_in):
    geometry, _ = brought_in(counts=COUNTS[:, :4, :8])
    assert geometry.offset_px == (32, 16)  # UIMR5 16 8 32 4: x, width, y, height
    assert brought_in()[0].offset_px == (0, 0)  # frames of another size


def test_fewer_frames_than_positions_are_the_middle_ones_and_that_is_a_guess(brought_in):
    geometry, told = brought_in(counts=COUNTS[:3])
    assert geometry.scan.positions == (0.15, 0.2, 0.25)
    assert "3 frames for 5 positions of theta: the frames are taken from the middle of the scan (a guess)" in told


def test_a_beamline_alone_with_angles_and_step(brought_in):
    angles = {"theta": 0.2, "chi": 90, "phi": 0, "delta": 32, "gamma": 12}
    geometry, told = brought_in(scan_file=None, scan=None, angles=angles, rocking_step_rad=1e-3)
    assert geometry.scan.motor == "theta" and geometry.scan.middle == pytest.approx(0.2)
    assert "theta was scanned, with its angle at the middle frame (a guess)" in told
    geometry, _ = brought_in(scan_file=None, scan=None, angles=angles, rocking_step_rad=1e-3, scan_motor="Phi")
    assert geometry.scan.motor == "phi"


def test_a_header_is_used_and_what_cannot_be_is_left_out_with_a_note(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/instrument/detector/data"] = COUNTS
        file["entry/instrument/detector/distance"] = 1.2
        file["entry/instrument/detector/x_pixel_size"] = 55.0
        file["entry/instrument/detector/x_pixel_size"].attrs["units"] = "mm"
    measurement, account = import_files([str(tmp_path / "a.h5")], ImportOptions(stack="shots"))
    assert measurement.geometry == Geometry(distance_m=1.2)
    assert any("pixel_x_m is not believed and left out (0.055 m?" in line for line in account.told())


PILATUS = (
    "# Pixel_size 172e-6 m x 86e-6 m\n# Wavelength 0.9790 A\n# Detector_distance 0.19 m\n# Beam_xy (3.5, 5) pixels\n"
)
IN_HEADER = Geometry(12398.419843320026 / 0.979, 0.19, 86e-6, 172e-6, beam_centre_px=(5.0, 3.5))


def cbf(path):
    import fabio

    fabio.cbfimage.CbfImage(data=COUNTS[0].astype(np.int32), header={"_array_data.header_contents": PILATUS}).write(
        path
    )


def full_cbf(path):
    cbf(path)
    tags = "_diffrn_radiation_wavelength.wavelength 0.979\n_diffrn_measurement.sample_detector_distance 190\n"
    content = (
        Path(path).read_bytes().replace(b"# Wavelength 0.9790 A", b"# none").replace(b"# Detector_distance", b"# no")
    )
    Path(path).write_bytes(
        content.replace(b"_array_data.header_contents", tags.encode() + b"_array_data.header_contents")
    )


def pilatus_tif(path):
    import tifffile

    tifffile.imwrite(path, COUNTS[0].astype(np.int32), description=PILATUS, metadata=None)


def edf(path):
    import fabio

    header = {"PSize_1": "172e-6_m", "PSize_2": "86e-6_m", "WaveLength": "0.979e-10", "SampleDistance": "0.19"}
    header |= {"Center_1": "3.5", "Center_2": "5"}
    fabio.edfimage.EdfImage(data=COUNTS[0].astype(np.int32), header=header).write(path)


def eiger_master(path):
    with h5py.File(path, "w") as file:
        detector = file.create_group("entry/instrument/detector")
        detector.attrs["NX_class"] = "NXdetector"
        numbers = {"x_pixel_size": 172e-6, "y_pixel_size": 86e-6, "detector_distance": 190.0}
        for name, value in (numbers | {"beam_center_x": 3.5, "beam_center_y": 5.0}).items():
            detector[name] = value
        detector["detector_distance"].attrs["units"] = "mm"
        file["entry/instrument/beam/incident_wavelength"] = 0.979
        file["entry/data/data_000001"] = COUNTS[0]


def cxi_of_another_tool(path):
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        file["entry_1/data_1/data"] = COUNTS[0]
        file["entry_1/instrument_1/source_1/wavelength"] = 0.979e-10
        detector = file.create_group("entry_1/instrument_1/detector_1")
        for name, value, unit in (
            ("distance", 190.0, "mm"),
            ("x_pixel_size", 172.0, "um"),
            ("y_pixel_size", 86.0, "um"),
        ):
            detector[name] = value
            detector[name].attrs["units"] = unit
        detector["beam_center_x"], detector["beam_center_y"] = 3.5, 5.0


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.cbf", cbf),
        ("b.cbf", full_cbf),
        ("a.tif", pilatus_tif),
        ("a.edf", edf),
        ("a_master.h5", eiger_master),
        ("a.cxi", cxi_of_another_tool),
        ("b.h5", cxi_of_another_tool),
    ],
)
def test_the_header_of_every_format(tmp_path, name, write):
    write(str(tmp_path / name))
    measurement, account = import_files([str(tmp_path / name)], ImportOptions())
    found = measurement.geometry
    assert found.energy_ev == pytest.approx(IN_HEADER.energy_ev, rel=1e-9)
    assert replace(found, energy_ev=IN_HEADER.energy_ev) == IN_HEADER
    assert any(f"from the header of {tmp_path / name}" in line for line in account.told())


def test_counts_and_positions_in_one_hdf5_file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, value in NANOMAX.items():
            file[name] = value
        file["entry/measurement/eiger500k/frames"] = COUNTS[:3]
    options = ImportOptions(stack="volume", beamline="maxiv_nanomax", dataset="/entry/measurement/eiger500k/frames")
    measurement, _ = import_files([str(tmp_path / "a.h5")], options)
    assert measurement.geometry.scan.positions == (10, 10.5, 11) and measurement.geometry.energy_ev == 1e4


def test_geometry_survives_another_import(tmp_path, brought_in):
    geometry, _ = brought_in()
    np.save(tmp_path / "counts.npy", COUNTS)
    options = ImportOptions(stack="volume", scan_file=str(tmp_path / "a.spec"), scan=54, beamline="aps_34idc")
    write_measurement(tmp_path / "a.cxi", import_files([str(tmp_path / "counts.npy")], options)[0])
    again, _ = import_files([str(tmp_path / "a.cxi")], ImportOptions())
    assert again.geometry == geometry
    assert read_measurement(tmp_path / "a.cxi").geometry == geometry


def test_voxels_are_in_info(tmp_path, brought_in, capsys):
    brought_in()
    places = ["--scan-file", str(tmp_path / "a.spec"), "--scan", "54", "--beamline", "aps_34idc", "--stack", "volume"]
    assert run(["import", str(tmp_path / "counts.npy"), *places, "-o", str(tmp_path / "M.cxi")]) == 0
    capsys.readouterr()
    assert run(["info", str(tmp_path / "M.cxi"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert len(facts["voxel_nm"]) == 3 and facts["d_spacing_nm"] == pytest.approx(0.23348, abs=1e-4)
    assert facts["voxel_angles_deg"] == pytest.approx([93.0, 76.0, 102.6], abs=0.5)
    assert run(["import", str(tmp_path / "counts.npy"), *places[:4], "--stack", "volume", "-o", "N.cxi"]) == 2
    assert "--scan-file needs --beamline" in capsys.readouterr().err


def test_info_says_what_a_rocking_curve_lacks(tmp_path, capsys):
    np.save(tmp_path / "counts.npy", COUNTS)
    given = ["--stack", "volume", "--rocking-step-rad", "1e-4", "-o", str(tmp_path / "M.cxi")]
    assert run(["import", str(tmp_path / "counts.npy"), *given]) == 0
    capsys.readouterr()
    assert run(["info", str(tmp_path / "M.cxi"), "--json"]) == 0
    lacks = json.loads(capsys.readouterr().out)["voxels_unknown"]
    assert "--energy-ev" in lacks and "--beamline" in lacks


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pixel_m": "55"}, "--pixel-m 55: 55 m? detector pixels are 1e-7 to 5e-3 m; did you mean 55e-6"),
        ({"energy_ev": "8"}, "did you mean 8000"),
        ({"pixel_m": "1e-5,1e-5,1e-5"}, "expected one number, or two"),
        ({"beam_centre_px": "5"}, "--beam-centre-px 5: expected row,column"),
        ({"angles": "theta"}, "--angles theta: expected circles and degrees such as theta=0.2,delta=32"),
        ({"scan": "-1"}, "--scan -1"),
    ],
)
def test_options_that_cannot_be(given, words):
    with pytest.raises(InputError) as caught:
        options_from_command(given)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"beamline": None}, "--scan-file needs --beamline"),
        ({"beamline": "aps"}, "unknown beamline 'aps'"),
        ({"scan_file": None}, "--scan 54 needs --scan-file"),
        ({"scan_file": "nowhere.spec"}, "nowhere.spec"),
    ],
)
def test_scan_files_that_cannot_be(brought_in, options, words):
    with pytest.raises((InputError, OSError)) as caught:
        brought_in(**options)
    assert words in str(caught.value)


def test_the_gold_crystals_own_scan_file(tmp_path, data_dir):
    folder = data_dir / "aps34idc_bcdi_S54"
    shutil.copy(folder / "example_scan54.spec.txt", tmp_path / "scan.txt")
    options = ImportOptions(stack="volume", scan_file=str(tmp_path / "scan.txt"), scan=54, beamline="aps_34idc")
    measurement, _ = import_files([str(folder / "S54_crop_96x128x128_int32.npz")], options)
    from cdipipe.optics.bragg_frame import bragg_frame

    frame = bragg_frame(measurement.geometry, measurement.intensity.shape)
    assert frame.voxel_nm == pytest.approx([31.65, 10.03, 10.08], abs=0.01)
    assert frame.voxel_angles_deg == pytest.approx([93.03, 76.02, 102.63], abs=0.01)


def test_a_study_gives_the_same_options(tmp_path):
    from cdipipe.study.entries import ImportEntry

    given = {"beamline": "aps_34idc", "angles": {"theta": 0.2, "chi": 90}, "pixel_m": [55e-6, 75e-6]}
    entry = ImportEntry.model_validate({"files": ["a.npy"], "scan_file": "s.spec", "scan": 54, **given})
    arguments = entry.inside(tmp_path).arguments()
    assert "--angles=theta=0.2,chi=90.0" in arguments and "--pixel-m=5.5e-05,7.5e-05" in arguments
    assert (
        f"--scan-file={tmp_path / 's.spec'}" in arguments
        and str(tmp_path / "s.spec") in entry.inside(tmp_path).sources()
    )


def test_motors_in_the_headers_of_an_edf_series_are_a_scan(tmp_path):
    from fabio.edfimage import EdfImage

    for number, eta in enumerate((17.4, 17.45, 17.5, 17.55, 17.6)):
        header = {"motor_mne": "mu eta phi nu del mononrj", "motor_pos": f"0 {eta} 120 9.5 33 9.0"}
        EdfImage(data=COUNTS[number].astype(np.int32), header=header).write(str(tmp_path / f"shot_{number:03d}.edf"))
    options = ImportOptions.model_validate({"stack": "volume", "beamline": "esrf_id01", "distance_m": 1.2})
    measurement, account = import_files([str(tmp_path / "shot_*.edf")], options)
    geometry = measurement.geometry
    assert geometry.scan.motor == "eta" and geometry.scan.positions == pytest.approx((17.4, 17.45, 17.5, 17.55, 17.6))
    assert [circle.angle_deg for circle in geometry.sample_circles] == pytest.approx([0, 17.5, 120])
    assert [circle.angle_deg for circle in geometry.detector_circles] == pytest.approx([9.5, 33])
    assert geometry.energy_ev == 9000 and "the header of" in "\n".join(account.told())


def test_an_edf_of_many_frames_has_one_header_and_tells_no_scan(tmp_path):
    from fabio.edfimage import EdfImage

    image = EdfImage(data=COUNTS[0].astype(np.int32), header={"motor_mne": "eta", "motor_pos": "17.4"})
    for counts in COUNTS[1:]:
        image.append_frame(data=counts.astype(np.int32))
    image.write(str(tmp_path / "all.edf"))
    options = ImportOptions.model_validate({"stack": "volume", "beamline": "esrf_id01", "distance_m": 1.2})
    assert import_files([str(tmp_path / "all.edf")], options)[0].geometry.scan is None
