"""Geometry in CXI files: ours comes back to the bit, that of other tools with its units."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.geometry import Circle, Geometry, Scan
from cdipipe.io.cxi import read_measurement, write_measurement
from cdipipe.measurement import Measurement
from cdipipe.optics.diffraction import rotation_of

FULL = Geometry(
    9000.3,
    0.5,
    55e-6,
    75e-6,
    beam_centre_px=(250.5, -3.0),
    offset_px=(64.0, 32.0),
    binning=(2, 1),
    sample_circles=(
        Circle("theta", (0, 1, 0), 0.22),
        Circle("chi", (0, 0, -1), 90.0),
        Circle("phi", (0, 0.6, 0.8), -5.0),
    ),
    detector_circles=(Circle("delta", (0, 1, 0), 32.174), Circle("gamma", (-1, 0, 0), 12.6346)),
    row_direction=(0.0, -1.0, 0.0),
    column_direction=(1.0, 0.0, 0.0),
    scan=Scan("theta", tuple(0.2 + 0.005 * np.arange(6))),
    beamline="aps_34idc",
    detector="34idcTIM2",
    exposure_s=0.25,
)


def measured(geometry: Geometry) -> Measurement:
    counts = np.arange(6 * 8 * 8, dtype=np.float32).reshape(6, 8, 8)
    return Measurement(counts, np.ones(counts.shape, bool), "volume", geometry)


@pytest.mark.parametrize(
    "geometry",
    [
        FULL,
        Geometry(),
        Geometry(distance_m=0.12345678901234567, exposure_s=1e-3, offset_px=(3.0, 0.0)),
        replace(FULL, scan=Scan("energy", tuple(9000.0 + np.arange(6)), "eV"), rocking_step_rad=None),
        replace(FULL, sample_circles=(), detector_circles=(), scan=None, rocking_step_rad=-8.7e-5),
    ],
    ids=["full", "empty", "little", "energy scan", "no circles"],
)
def test_a_geometry_comes_back_to_the_bit(tmp_path, geometry):
    write_measurement(tmp_path / "a.cxi", measured(geometry))
    assert read_measurement(tmp_path / "a.cxi").geometry == geometry


def test_other_tools_find_it_where_cxi_and_nexus_have_it(tmp_path):
    write_measurement(tmp_path / "a.cxi", measured(FULL))
    with h5py.File(tmp_path / "a.cxi") as file:
        detector = file["entry_1/instrument_1/detector_1"]
        assert (detector["y_pixel_size"][()], detector["x_pixel_size"][()]) == (55e-6, 75e-6)
        assert (detector["beam_center_y"][()], detector["beam_center_x"][()]) == (250.5, -3.0)
        assert detector["basis_vectors"].shape == (3, 2)
        assert np.linalg.norm(detector["basis_vectors"][()], axis=0) == pytest.approx([55e-6, 75e-6])
        chi = file["entry_1/sample_1/transformations/chi"]
        assert (chi[()], chi.attrs["depends_on"], tuple(chi.attrs["vector"])) == (90.0, b"theta", (0, 0, -1))
        assert file["entry_1/sample_1/transformations/theta"].attrs["depends_on"] == b"."
        assert file["entry_1/sample_1/transformations/theta"].shape == (6,)


def foreign(path, **fields) -> Geometry:
    """Geometry of a CXI file of another tool with these fields: a value, or (value, units)."""
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        file["entry_1/data_1/data"] = np.ones((8, 8), np.uint32)
        for name, given in fields.items():
            group = "source_1" if name in ("energy", "wavelength") else "detector_1"
            value, unit = given if isinstance(given, tuple) else (given, None)
            file[f"entry_1/instrument_1/{group}/{name}"] = value
            if unit is not None:
                file[f"entry_1/instrument_1/{group}/{name}"].attrs["units"] = unit
    return read_measurement(path).geometry


@pytest.mark.parametrize(("value", "unit"), [(1.12, None), (1.12, "m"), (1120.0, "mm"), (112.0, "cm"), (1120.0, b"mm")])
def test_a_length_has_its_unit(tmp_path, value, unit):
    assert foreign(tmp_path / "a.cxi", distance=(value, unit)).distance_m == 1.12


@pytest.mark.parametrize("unit", ["um", "µm", "micron", "[um]"])
def test_micrometres_are_written_in_many_ways(tmp_path, unit):
    assert foreign(tmp_path / "a.cxi", x_pixel_size=(55.0, unit)).pixel_m == 55e-6


@pytest.mark.parametrize(
    ("field", "value", "unit"),
    [
        ("energy", 9.0, "keV"),
        ("energy", 9000.0, "eV"),
        ("energy", 9000 * 1.602176634e-19, None),
        ("wavelength", 1.3776022048, "angstrom"),
        ("wavelength", 1.3776022048e-10, None),
    ],
)
def test_energies_and_wavelengths_have_units(tmp_path, field, value, unit):
    assert foreign(tmp_path / "a.cxi", **{field: (value, unit)}).energy_ev == pytest.approx(9000, rel=1e-9)


def test_a_unit_that_is_none_leaves_the_value_unknown(tmp_path):
    assert foreign(tmp_path / "a.cxi", distance=(3.0, "furlong")).distance_m is None


def test_both_pixel_sizes_are_read(tmp_path):
    geometry = foreign(tmp_path / "a.cxi", x_pixel_size=50e-6, y_pixel_size=(0.1, "mm"))
    assert (geometry.pixel_y_m, geometry.pixel_x_m) == (1e-4, 50e-6)


STRAIGHT = np.array([[0, -5.5e-5], [-1.1e-4, 0], [0, 0]], np.float32)


@pytest.mark.parametrize(
    "vectors", [STRAIGHT, STRAIGHT.T, np.stack([STRAIGHT] * 3)], ids=["(3, 2)", "(2, 3)", "frames"]
)
def test_basis_vectors_are_steps_from_row_to_row_and_from_column_to_column(tmp_path, vectors):
    geometry = foreign(tmp_path / "a.cxi", basis_vectors=vectors)
    assert (geometry.pixel_y_m, geometry.pixel_x_m) == (1.1e-4, 5.5e-5)
    assert (geometry.row_direction, geometry.column_direction) == ((0, -1, 0), (-1, 0, 0))
    assert geometry.detector_circles == ()


def test_basis_vectors_of_a_detector_on_an_arm(tmp_path):
    """Turned by 30 degrees about y and raised by 20: circles bring the beam's direction there."""
    turned = rotation_of((Circle("a", (0, 1, 0), 30), Circle("b", (-1, 0, 0), 20)))
    geometry = foreign(tmp_path / "a.cxi", basis_vectors=turned @ STRAIGHT.astype(float), x_pixel_size=5.5e-5)
    assert [circle.angle_deg for circle in geometry.detector_circles] == pytest.approx([30, 20])
    assert (geometry.row_direction, geometry.column_direction) == ((0, -1, 0), (-1, 0, 0))


def test_the_corner_of_the_detector_tells_distance_and_beam_centre(tmp_path):
    """A beam through the middle of pixel (10, 20), half a pixel from its corner."""
    corner = [20.5 * 5.5e-5, 10.5 * 1.1e-4, 1.5]
    geometry = foreign(tmp_path / "a.cxi", basis_vectors=STRAIGHT, corner_position=corner)
    assert geometry.distance_m == pytest.approx(1.5) and geometry.beam_centre_px == pytest.approx((10, 20), abs=1e-5)
    geometry = foreign(tmp_path / "a.cxi", basis_vectors=STRAIGHT, corner_position=corner, distance=1.4)
    assert geometry.distance_m == 1.4


def test_basis_vectors_that_are_none_are_left_alone(tmp_path):
    for vectors in (np.zeros((3, 2)), np.full((3, 2), np.nan), np.ones((3, 2)), np.ones(6), np.ones((4, 4))):
        assert foreign(tmp_path / "a.cxi", basis_vectors=vectors, x_pixel_size=1e-5) == Geometry(pixel_y_m=1e-5)


def test_a_beam_centre_in_metres_is_none_in_pixels(tmp_path):
    assert foreign(tmp_path / "a.cxi", beam_center_x=3.5, beam_center_y=4.5).beam_centre_px == (4.5, 3.5)
    assert foreign(tmp_path / "a.cxi", beam_center_x=(3.5, "mm"), beam_center_y=4.5).beam_centre_px is None


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        ("entry_1/geometry_1/row_direction", [0.0, np.nan, 0.0], "not finite"),
        ("entry_1/geometry_1/row_direction", [0.0, 3.0, 0.0], "unit vectors"),
        ("entry_1/geometry_1/scan_positions", [0.0, np.nan], "must be finite"),
        ("entry_1/instrument_1/detector_1/rocking_step", 0.5, "give one of them"),
    ],
)
def test_a_geometry_that_cannot_be_is_named_with_its_file(tmp_path, where, value, words):
    write_measurement(tmp_path / "a.cxi", measured(FULL))
    with h5py.File(tmp_path / "a.cxi", "a") as file:
        del file[where]
        file[where] = value
    with pytest.raises(InputError, match=rf"a\.cxi: .*{words}"):
        read_measurement(tmp_path / "a.cxi")
