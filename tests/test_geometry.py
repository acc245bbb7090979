"""The record of an experiment's geometry: what it derives, how windows and bins change it, what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.geometry import Circle, Geometry, Scan


def test_a_pixel_given_once_is_square():
    square = Geometry(9000, 0.5, 55e-6)
    assert (square.pixel_y_m, square.pixel_x_m, square.pixel_m) == (55e-6, 55e-6, 55e-6)
    oblong = Geometry(9000, 0.5, 100e-6, 50e-6)
    assert oblong.pixel_m is None and oblong.object_pixel_m(64) is None


def test_object_pixels_of_oblong_pixels_differ():
    rows, columns = Geometry(9000, 0.5, 100e-6, 50e-6).object_pixels_m((64, 64))
    assert columns == pytest.approx(2 * rows)
    assert columns == pytest.approx(1.3776e-10 * 0.5 / (64 * 50e-6), rel=1e-4)
    assert Geometry(9000, 0.5, 100e-6, 50e-6).object_pixels_m((8, 64, 64)) == pytest.approx((8 * rows, rows, columns))


def test_a_scan_of_an_angle_tells_the_rocking_step():
    geometry = Geometry(scan=Scan("theta", (0.1, 0.105, 0.11, 0.115)), sample_circles=(Circle("theta", (0, 1, 0), 7),))
    assert geometry.rocking_step_rad == pytest.approx(np.radians(0.005))
    assert geometry.sample_circles[0].angle_deg == 0.11  # that of the middle pattern, index 2
    assert geometry.object_pixels_m((4, 8, 8)) is None
    assert Geometry(scan=Scan("energy", (9000, 9001), "eV")).rocking_step_rad is None


def test_a_step_that_the_positions_contradict_is_refused():
    scan = Scan("theta", (0.0, 0.005, 0.01))
    assert Geometry(rocking_step_rad=8.8e-5, scan=scan).rocking_step_rad == 8.8e-5
    with pytest.raises(InputError, match=r"'theta' moved by 8\.72665e-05 rad; give one of them"):
        Geometry(rocking_step_rad=1e-3, scan=scan)


def test_a_noisy_scan_has_the_slope_of_all_its_positions():
    noise = 1e-4 * np.array([1, -1, 0, 0, -1, 1])
    assert Scan("th", tuple(0.01 * np.arange(6) + noise)).step == pytest.approx(0.01, rel=1e-2)
    assert Scan("th", (3.0,)).step == 0


def test_a_window_keeps_its_place_on_the_detector():
    geometry = Geometry(pixel_y_m=50e-6, beam_centre_px=(100.0, 200.0), scan=Scan("th", (0.0, 1.0, 2.0, 3.0)))
    binned = geometry.binned((2, 2, 4))
    assert (binned.pixel_y_m, binned.pixel_x_m) == (1e-4, 2e-4)
    assert binned.scan.positions == (0.5, 2.5)
    assert binned.rocking_step_rad == pytest.approx(np.radians(2))
    cropped = binned.cropped((0, 10, -5), (2, 64, 64))
    assert cropped.offset_px == (20, -20) and cropped.binning == (2, 4)
    assert cropped.centre_of_window((64, 64)) == (39.75, 54.625)  # (100 - 20 + .5) / 2 - .5, (200 + 20 + .5) / 4 - .5


def test_without_a_beam_centre_it_is_the_middle_pixel():
    assert Geometry(offset_px=(7, 7)).centre_of_window((65, 64)) == (32, 32)


def test_a_crop_beyond_the_scan_goes_on_with_its_step():
    geometry = Geometry(scan=Scan("th", (1.0, 2.0, 3.0)))
    assert geometry.cropped((-2, 0, 0), (6, 8, 8)).scan.positions == (-1, 0, 1, 2, 3, 4)


def test_chosen_frames_take_their_positions_along():
    geometry = Geometry(scan=Scan("th", (1.0, 2.0, 3.0, 4.0)))
    assert geometry.of_frames(np.array([0, 2])).scan.positions == (1, 3)
    assert geometry.of_frames(np.array([0, 2])).rocking_step_rad == pytest.approx(np.radians(2))
    assert Geometry(rocking_step_rad=1e-4).of_frames(np.array([1, 3, 5])).rocking_step_rad == pytest.approx(2e-4)


def test_swapped_axes():
    geometry = Geometry(pixel_y_m=1e-4, pixel_x_m=5e-5, offset_px=(3, 4), beam_centre_px=(1.0, 2.0), binning=(1, 2))
    geometry = replace(geometry, row_direction=(0, -1, 0), column_direction=(1, 0, 0))
    swapped = geometry.swapped()
    assert (swapped.pixel_y_m, swapped.offset_px, swapped.row_direction) == (5e-5, (4, 3), (1, 0, 0))
    assert swapped.swapped() == geometry


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Geometry(energy_ev=float("nan")), "energy_ev is nan; expected a positive number"),
        (lambda: Geometry(distance_m=-1), "distance_m is -1"),
        (lambda: Geometry(rocking_step_rad=0), "rocking_step_rad is 0"),
        (lambda: Geometry(beam_centre_px=(1.0, float("nan"))), "beam_centre_px is .* row and column"),
        (lambda: Geometry(offset_px=(1.0,)), "offset_px is"),
        (lambda: Geometry(binning=(0, 1)), "binning is"),
        (lambda: Geometry(row_direction=(0, 2, 0)), "must be two unit vectors"),
        (lambda: Geometry(row_direction=(0, 1, 0), column_direction=(0, -1, 0)), "not orthogonal"),
        (lambda: Circle("eta", (0, 0, 2)), "axis of 'eta'"),
        (lambda: Circle("eta", (0, 0, 1), float("inf")), "angle of 'eta' is inf"),
        (lambda: Scan("eta", ()), "positions of 'eta' must be finite"),
        (lambda: Scan("eta", (1.0, float("nan"))), "positions of 'eta' must be finite"),
    ],
)
def test_what_is_no_geometry_is_refused_in_one_line(make, words):
    with pytest.raises(InputError, match=words):
        make()
