"""Headers of images and HDF5 files: every number that they give of the geometry, in its unit."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from cdipipe.io.hdf5 import open_source
from cdipipe.io.importing.headers import motors_of_edf, read_header
from cdipipe.io.importing.nexus import read_nexus
from cdipipe.io.importing.plausible import doubt

PILATUS = """# Detector: PILATUS 6M, S/N 60-0001
# 2011-05-12T11:24:09.123
# Pixel_size 172e-6 m x 86e-6 m
# Silicon sensor, thickness 0.000320 m
# Exposure_time 0.0950 s
# Exposure_period 0.1 s
# Wavelength 0.9790 A
# Detector_distance 0.19000 m
# Beam_xy (1231.50, 1263.25) pixels
"""
AT_0_979 = 12398.419843320026 / 0.979


def test_the_mini_header_of_a_pilatus_in_a_cbf_or_a_tiff():
    for kind, key in (("cbf", "_array_data.header_contents"), ("tif", "ImageDescription")):
        found = read_header(kind, {key: PILATUS})
        assert found["energy_ev"] == pytest.approx(AT_0_979)
        assert (found["pixel_y_m"], found["pixel_x_m"]) == (86e-6, 172e-6)
        assert (found["distance_m"], found["exposure_s"]) == (0.19, 0.095)
        assert found["beam_centre_px"] == (1263.25, 1231.5)


def test_a_full_cbf_has_angstrom_and_millimetres():
    header = {"_diffrn_radiation_wavelength.wavelength": "0.979", "_diffrn_measurement.sample_detector_distance": "190"}
    assert read_header("cbf", header) == {"energy_ev": pytest.approx(AT_0_979), "distance_m": 0.19}


def test_an_edf_of_the_esrf():
    header = {"PSize_1": "5.5e-05_m", "PSize_2": "7.5e-05_m", "SampleDistance": "1.2 m", "WaveLength": "0.979e-10"}
    header |= {"Center_1": "120.5", "Center_2": "99", "Dummy": "-10", "ExposureTime": "0.1"}
    found = read_header("edf", header)
    assert (found["pixel_y_m"], found["pixel_x_m"], found["distance_m"]) == (75e-6, 55e-6, 1.2)
    assert found["energy_ev"] == pytest.approx(AT_0_979)
    assert (found["beam_centre_px"], found["exposure_s"]) == ((99.0, 120.5), 0.1)


@pytest.mark.parametrize(("text", "metres"), [("1.2", 1.2), ("1200", 1.2), ("1200 mm", 1.2), ("1.2 furlong", None)])
def test_a_distance_without_a_unit_is_the_plausible_one(text, metres):
    assert read_header("edf", {"SampleDistance": text}).get("distance_m") == metres


def test_what_is_no_number_is_not_there():
    assert read_header("edf", {"PSize_1": "none", "WaveLength": "", "SampleDistance": "-3", "Center_1": "3"}) == {}
    text = "# Wavelength nan A\n# Beam_xy (1e999, 3)\n# Pixel_size x"
    assert read_header("cbf", {"_array_data.header_contents": text}) == {}


def test_motors_in_an_edf_header():
    header = {"motor_mne": "eta phi", "motor_pos": "17.5 -3", "counter_mne": "mon", "counter_pos": "1e5"}
    assert motors_of_edf(header) == {"eta": 17.5, "phi": -3.0, "mon": 1e5}


@pytest.fixture
def nexus(tmp_path):
    def write(values: dict, classes: dict | None = None) -> tuple[dict, list]:
        with h5py.File(tmp_path / "a.nxs", "w") as file:
            for name, given in values.items():
                value, unit = given if isinstance(given, tuple) else (given, None)
                file[name] = value
                if unit is not None:
                    file[name].attrs["units"] = unit
            for name, text in (classes or {}).items():
                file[name].attrs["NX_class"] = text
        with open_source(tmp_path / "a.nxs") as source:
            return read_nexus(source, "/entry/instrument/detector/data", None)

    return write


DETECTOR = "entry/instrument/detector"


def test_nxmx_and_the_master_file_of_an_eiger(nexus):
    found, notes = nexus(
        {
            f"{DETECTOR}/data": np.ones((2, 3)),
            f"{DETECTOR}/detector_distance": (1.5, "m"),
            f"{DETECTOR}/x_pixel_size": (7.5e-5, "m"),
            f"{DETECTOR}/y_pixel_size": (7.5e-5, "m"),
            f"{DETECTOR}/beam_center_x": (1030.5, "pixel"),
            f"{DETECTOR}/beam_center_y": (1080.0, "pixel"),
            f"{DETECTOR}/count_time": (0.5, "s"),
            "entry/instrument/beam/incident_wavelength": (0.979, "angstrom"),
        },
        {DETECTOR: "NXdetector", "entry/instrument/beam": "NXbeam"},
    )
    assert found.pop("energy_ev") == pytest.approx(AT_0_979)
    known = {"distance_m": 1.5, "pixel_x_m": 7.5e-5, "pixel_y_m": 7.5e-5, "exposure_s": 0.5}
    assert found == known | {"beam_centre_px": (1080.0, 1030.5)} and notes == []


@pytest.mark.parametrize(
    ("name", "given", "energy"),
    [
        ("sample/beam/incident_energy", (8.5, "keV"), 8500),
        ("instrument/monochromator/energy", (8500.0, "eV"), 8500),
        ("instrument/Monochromator/wavelength", (0.1458, "nm"), pytest.approx(12398.419843 / 1.458)),
        ("instrument/monochromator/energy", 8.5, 8500),
    ],
)
def test_the_light_in_a_nexus_file(nexus, name, given, energy):
    found, notes = nexus({f"entry/{name}": given, f"{DETECTOR}/data": np.ones((2, 3))})
    assert found["energy_ev"] == energy
    assert bool(notes) == (given == 8.5)  # taken as keV, and said so


def test_the_energy_of_the_ring_is_not_that_of_the_light(nexus):
    found, _ = nexus({"entry/instrument/source/energy": (6.0, "GeV"), f"{DETECTOR}/data": np.ones((2, 3))})
    assert found == {}


def test_a_beam_centre_in_millimetres(nexus):
    values = {f"{DETECTOR}/x_pixel_size": (55.0, "um"), f"{DETECTOR}/y_pixel_size": (110.0, "um")}
    values |= {f"{DETECTOR}/beam_center_x": (5.5, "mm"), f"{DETECTOR}/beam_center_y": (5.5, "mm")}
    found, _ = nexus({f"{DETECTOR}/data": np.ones((2, 3)), **values})
    assert found["beam_centre_px"] == pytest.approx((50, 100))


def test_a_unit_that_is_none_is_named(nexus):
    found, notes = nexus({f"{DETECTOR}/distance": (3.0, "furlong"), f"{DETECTOR}/data": np.ones((2, 3))})
    assert found == {} and "3 in 'furlong', which is no unit of length" in notes[0]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("pixel_m", 55, "55 m? detector pixels are 1e-7 to 5e-3 m; did you mean 55e-6"),
        ("energy_ev", 8, "did you mean 8000"),
        ("energy_ev", 9e6, "did you mean 9000"),
        ("distance_m", 1120, "did you mean 1.12"),
        ("rocking_step_rad", 0.5, "0.5 rad? rocking steps are 1e-8 to 0.1 rad"),
    ],
)
def test_absurd_values_are_questioned(name, value, words):
    assert words in doubt(name, value)


@pytest.mark.parametrize(
    ("name", "value"), [("pixel_m", 55e-6), ("energy_ev", 1.96), ("energy_ev", 92), ("distance_m", 1e-3)]
)
def test_what_can_be_is_believed(name, value):
    assert doubt(name, value) is None


@pytest.fixture
def chains(tmp_path):
    """NeXus transformations of a goniometer and a detector on an arm, changed by a function."""

    def write(change=lambda file: None) -> dict:
        with h5py.File(tmp_path / "a.nxs", "w") as file:
            file["entry/instrument/detector/data"] = np.ones((3, 4, 4))
            axes = {
                "entry/sample/transformations/mu": (0.1, (0, 1, 0), "rotation", "deg", "."),
                "entry/sample/transformations/eta": ([17.0, 17.5, 18.0], (-1, 0, 0), "rotation", "deg", "mu"),
                "entry/sample/transformations/phi": (np.pi / 2, (0, 1, 0), "rotation", "rad", "eta"),
                "entry/instrument/detector/transformations/nu": (2.0, (0, 1, 0), "rotation", "deg", "."),
                "entry/instrument/detector/transformations/delta": (35.0, (-1, 0, 0), "rotation", "deg", "nu"),
                "entry/instrument/detector/transformations/z": (1200.0, (0, 0, 1), "translation", "mm", "delta"),
                "entry/instrument/detector/module/slow_pixel_direction": (55.0, (0, -1, 0), "translation", "um", "."),
                "entry/instrument/detector/module/fast_pixel_direction": (-75.0, (1, 0, 0), "translation", "um", "."),
            }
            for name, (value, vector, kind, units, outer) in axes.items():
                file[name] = value
                file[name].attrs.update(vector=vector, transformation_type=kind, units=units, depends_on=outer)
            file["entry/sample/depends_on"] = "transformations/phi"
            file["entry/instrument/detector/depends_on"] = "/entry/instrument/detector/transformations/z"
            change(file)
        with open_source(tmp_path / "a.nxs") as source:
            return read_nexus(source, "/entry/instrument/detector/data", None)[0]

    return write


def test_chains_of_nexus_are_circles_and_a_scan(chains):
    found = chains()
    assert [(c.name, c.axis, c.angle_deg) for c in found["sample_circles"]] == [
        ("mu", (0, 1, 0), 0.1),
        ("eta", (-1, 0, 0), 17.5),
        ("phi", (0, 1, 0), pytest.approx(90)),
    ]
    assert [(c.name, c.angle_deg) for c in found["detector_circles"]] == [("nu", 2), ("delta", 35)]
    assert (found["scan"].motor, found["scan"].positions) == ("eta", (17, 17.5, 18))
    assert (found["row_direction"], found["column_direction"]) == ((0, -1, 0), (-1, 0, 0))
    assert (found["pixel_y_m"], found["pixel_x_m"]) == pytest.approx((55e-6, 75e-6))
    assert found["distance_m"] == pytest.approx(1.2)


def test_a_chain_that_leads_nowhere_or_in_a_circle_is_left_out(chains):
    def circle(file):
        file["entry/sample/transformations/mu"].attrs["depends_on"] = "phi"

    def broken(file):
        del file["entry/sample/transformations/eta"]

    def no_vector(file):
        del file["entry/sample/transformations/eta"].attrs["vector"]

    for change in (circle, broken, no_vector):
        assert "sample_circles" not in chains(change)
