"""Scan files of beamlines: motors and scanned positions become circles and a scan of the measurement."""

from __future__ import annotations

from dataclasses import dataclass

import h5py
import numpy as np
import pytest
from scan_files import FIO, NANOMAX, SPEC

from cdipipe.beamlines.registry import get_beamline
from cdipipe.errors import InputError
from cdipipe.io.importing.experiment import read_experiment
from cdipipe.io.importing.scans import read_scan


@dataclass
class Places:
    """What was found, in short."""

    sample: dict[str, float]
    arm: dict[str, float]
    scan: tuple
    fields: dict
    guesses: list
    notes: list


@pytest.fixture
def read(tmp_path):
    """Experiment of a beamline from text or HDF5 values in a file of this name."""

    def make(beamline, name, content, number=None, angles=None, motor=None) -> Places:
        path = tmp_path / name
        if isinstance(content, str):
            path.write_text(content)
        else:
            with h5py.File(path, "w") as file:
                for key, value in content.items():
                    file[key] = value
        record = get_beamline(beamline)
        found = read_experiment(record, read_scan(str(path), number, record), angles or {}, motor)
        circles = [
            {circle.name: circle.angle_deg for circle in found.fields.get(name, ())}
            for name in ("sample_circles", "detector_circles")
        ]
        scan = found.fields.get("scan")
        shown = None if scan is None else (scan.motor, scan.positions, scan.unit)
        return Places(*circles, shown, found.fields, found.guesses, found.notes)

    return make


def test_a_spec_file_of_34_id_c(read):
    found = read("aps_34idc", "a.spec", SPEC, 54)
    assert found.scan == ("theta", (0.1, 0.15, 0.2, 0.25, 0.3), "deg")
    assert found.sample == {"theta": 0.2, "chi": 90, "phi": -5}
    assert found.arm == {"delta": 32.174, "gamma": 12.6346}
    assert (found.fields["energy_ev"], found.fields["distance_m"], found.fields["exposure_s"]) == (9000, 0.5, 0.5)
    assert found.fields["detector"] == "34idcTIM2"
    assert found.fields["region"] == {"x": 16, "width": 8, "y": 32, "height": 4}
    assert (found.guesses, found.notes) == ([], [])


def test_another_scan_of_the_file_turns_another_circle(read):
    found = read("aps_34idc", "a.spec", SPEC, 53)
    assert found.scan == ("phi", (1, 1.5, 2), "deg") and found.sample["theta"] == 0.2
    assert found.guesses == ["the detector is the beamline's usual one, 34idcTIM2"]


def test_an_energy_scan_in_kev(read):
    text = SPEC.replace("ascan  th 0.1 0.3", "ascan  en 8.9 9.1").replace("#L Theta", "#L Energy")
    text = text.replace("0.1 0.5 10\n0.15 0.5 11\n0.2 0.5 12\n0.25 0.5 13\n0.3 0.5 14", "8.9 1 1\n9 1 1\n9.1 1 1")
    assert read("aps_34idc", "a.spec", text, 54).scan == ("energy", pytest.approx((8900, 9000, 9100)), "eV")


def test_a_scan_without_points_is_that_of_its_command(read):
    text = SPEC[: SPEC.index("0.1 0.5 10")]
    found = read("aps_34idc", "a.spec", text, 54)
    assert found.scan[:2] == ("theta", pytest.approx((0.1, 0.15, 0.2, 0.25, 0.3)))
    assert "those of the command 'ascan  th 0.1 0.3  4 0.5'" in found.guesses[0]


def test_a_fio_file_of_p10(read):
    found = read("petra_p10", "a_00012.fio", FIO)
    assert found.scan == ("om", (17.9, 18.0, 18.1), "deg")
    assert found.sample == {"mu": 0.1, "om": 18.0, "chi": 2.0, "phi": 3.0}  # chi reads 90 where it is level
    assert found.arm == {"gamma": 0.5, "delta": 36.5}
    assert (found.fields["energy_ev"], found.fields["distance_m"], found.fields["detector"]) == (8170, 1.8, "e4m")


BLISS = {
    "sample_7.1/title": "ascan eta 17.9 18.1 2 1",
    "sample_7.1/instrument/positioners/eta": [17.9, 18.0, 18.1],
    "sample_7.1/instrument/positioners/phi": 3.0,
    "sample_7.1/instrument/positioners/nu": 1.5,
    "sample_7.1/instrument/positioners/delta": 36.0,
    "sample_7.1/instrument/positioners/mononrj": 8.5,
    "sample_7.1/instrument/mpx1x4/distance": 1.2,
    "sample_7.1/measurement/mpx1x4": np.ones((3, 4, 4)),
    "sample_17.1/title": "ascan phi 0 1 2 1",
}


def test_a_bliss_file_of_id01(read):
    found = read("esrf_id01", "a.h5", BLISS, 7)
    assert found.scan == ("eta", (17.9, 18.0, 18.1), "deg")
    assert found.sample == {"mu": 0.0, "eta": 18.0, "phi": 3.0} and found.arm == {"nu": 1.5, "delta": 36.0}
    assert (found.fields["energy_ev"], found.fields["distance_m"]) == (8500, 1.2)
    assert found.fields["detector"] == "mpx1x4"


def test_an_older_spec_file_of_id01(read):
    text = (
        "#F a\n#O0 eta  phi  nu  del  nrj\n\n#S 3  ascan  eta 1 2  1 1\n#P0 1 2 3 4 8.5\n#N 2\n#L eta  mon\n1 9\n2 9\n"
    )
    found = read("esrf_id01", "a.spec", text, 3)
    assert found.scan == ("eta", (1, 2), "deg") and found.arm == {"nu": 3, "delta": 4}


I16 = {
    "entry/scan_command": "scan eta 10 11 0.5 merlin 1",
    "entry/measurement/eta": [10.0, 10.5, 11.0],
    "entry/instrument/diffractometer_sample/mu": 0.2,
    "entry/instrument/diffractometer_sample/chi": 91.0,
    "entry/instrument/diffractometer_sample/phi": -4.0,
    "entry/instrument/diffractometer_sample/gam": 0.1,
    "entry/instrument/diffractometer_sample/delta": 22.0,
    "entry/sample/beam/incident_energy": 8.0,
}
SIXS = {
    "com/scan_data/data_07": [30.0, 30.5, 31.0],
    "com/SIXS/i14-c-cx1-ex-diff-med-h-mu/position_pre": [30.0],
    "com/SIXS/i14-c-cx1-ex-simulator/position_pre": [99.0],
    "com/SIXS/i14-c-cx1-ex-diff-med-tpp-beta/position_pre": [0.5],
    "com/SIXS/i14-c-cx1-ex-diff-med-h-gamma/position_pre": [36.0],
    "com/SIXS/i14-c-cx1-ex-diff-med-h-delta/position_pre": [0.4],
    "com/SIXS/i14-c-c02-op-mono/energy": [8.5],
}
CRISTAL = {
    "exp_0054/scan_config/name": "ascan i06-c-c07-ex-mg_omega",
    "exp_0054/scan_data/actuator_1_1": [10.0, 10.5, 11.0],
    "exp_0054/CRISTAL/i06-c-c07-ex-mg_omega/position": [10.0],
    "exp_0054/CRISTAL/i06-c-c07-ex-mg_phi/position": [2.0],
    "exp_0054/CRISTAL/Diffractometer/i06-c-c07-ex-dif-gamma/position": [11.0],
    "exp_0054/CRISTAL/Diffractometer/i06-c-c07-ex-dif-delta/position": [33.0],
    "exp_0054/CRISTAL/Monochromator/energy": [8.3],
}


@pytest.mark.parametrize(
    ("beamline", "content", "number", "scan", "sample", "arm", "energy"),
    [
        ("maxiv_nanomax", NANOMAX, None, "theta", {"theta": 10.5, "phi": 4}, {"gamma": 20, "delta": 1}, 1e4),
        (
            "diamond_i16",
            I16,
            None,
            "eta",
            {"mu": 0.2, "eta": 10.5, "chi": 91, "phi": -4},
            {"gamma": 0.1, "delta": 22},
            8000,
        ),
        (
            "soleil_sixs",
            SIXS,
            None,
            "mu",
            {"beta": 0.5, "mu": 30.5},
            {"beta_arm": 0.5, "gamma": 36, "delta": 0.4},
            8500,
        ),
        ("soleil_cristal", CRISTAL, 54, "omega", {"omega": 10.5, "phi": 2}, {"gamma": 11, "delta": 33}, 8300),
    ],
)
def test_hdf5_files_of_beamlines(read, beamline, content, number, scan, sample, arm, energy):
    found = read(beamline, "a.nxs", content, number)
    assert found.scan[0] == scan and len(found.scan[1]) == 3 and found.sample == sample
    assert found.arm == arm and found.fields["energy_ev"] == energy and found.notes == []


def test_units_in_an_hdf5_scan_win_over_the_beamlines(read, tmp_path):
    read("maxiv_nanomax", "a.h5", NANOMAX)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["entry/measurement/gontheta"][:] = np.radians([10.0, 10.5, 11.0])
        file["entry/measurement/gontheta"].attrs["units"] = "rad"
        file["entry/snapshots/post_scan/radius"].attrs["units"] = "m"
        file["entry/snapshots/post_scan/radius"][:] = 1.5
    record = get_beamline("maxiv_nanomax")
    found = read_experiment(record, read_scan(str(tmp_path / "a.h5"), None, record), {}, None)
    assert found.fields["scan"].positions == pytest.approx((10, 10.5, 11)) and found.fields["distance_m"] == 1.5


def test_angles_given_win_and_what_nobody_says_is_asked_for(read):
    lacking = {name: value for name, value in NANOMAX.items() if not name.endswith("gamma")}
    found = read("maxiv_nanomax", "a.h5", lacking)
    assert "does not say where gamma stood: the geometry is not complete; --angles gamma=DEGREES" in found.notes[0]
    assert found.arm == {}
    found = read("maxiv_nanomax", "a.h5", lacking, angles={"gamma": 21.0, "gonphi": -1.0})
    assert found.arm == {"gamma": 21, "delta": 1} and found.sample["phi"] == -1


@pytest.mark.parametrize(
    ("beamline", "name", "content", "number", "options", "words"),
    [
        ("aps_34idc", "a.spec", SPEC, None, {}, "holds 2 scans (53, 54); say which with --scan"),
        ("aps_34idc", "a.spec", SPEC, 55, {}, "no such scan; there are 53, 54"),
        ("aps_34idc", "a.spec", SPEC, 54, {"angles": {"nu": 1}}, "nu: no circle of aps_34idc; it has theta, chi, phi"),
        ("aps_34idc", "a.spec", SPEC, 54, {"motor": "eta"}, "eta: no circle of the sample at aps_34idc"),
        ("aps_34idc", "a.spec", "nothing\n", 1, {}, "not readable as a SPEC file"),
        ("petra_p10", "a_1.fio", "%c\nascan\n", None, {}, "not readable as a FIO file (no data section"),
        ("petra_p10", "a_1.fio", FIO.replace("DOUBLE", "WORD"), None, {}, "not readable as a FIO file"),
        ("aps_34idc", "a.h5", BLISS, 7, {}, "aps_34idc keeps its scans in SPEC files"),
        ("esrf_id01", "a.h5", BLISS, 8, {}, "no such scan; there are sample_17.1, sample_7.1"),
    ],
)
def test_what_cannot_be_read_is_named(read, beamline, name, content, number, options, words):
    with pytest.raises(InputError) as caught:
        read(beamline, name, content, number, **options)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("end", ["#S 53", "#S", "#O0 Delta"])
def test_a_file_that_ends_in_a_header_is_cut_off(read, end):
    """silx stops the process at some of these; it has one of its own."""
    with pytest.raises(InputError, match=r"not readable as a SPEC file|no such scan"):
        read("aps_34idc", "a.spec", SPEC[: SPEC.index(end) + len(end)], 99)


def test_mutated_scan_files_give_a_result_or_one_line(tmp_path):
    rng = np.random.default_rng(5)
    for beamline, name, text in (("aps_34idc", "a.spec", SPEC), ("petra_p10", "a_1.fio", FIO)):
        record, path = get_beamline(beamline), tmp_path / name
        for _ in range(6):
            content = bytearray(text.encode())
            for _ in range(rng.integers(1, 6)):
                content[rng.integers(len(content))] = rng.integers(256)
            path.write_bytes(bytes(content[: rng.integers(len(content) // 2, len(content) + 1)]))
            try:
                read_experiment(record, read_scan(str(path), 54, record), {}, None)
            except InputError as error:
                assert "\n" not in str(error)
