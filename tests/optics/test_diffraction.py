"""Rocking curves: scattering vectors, axes of reciprocal and real space, and what is missing for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.geometry import Circle, Geometry, Scan
from cdipipe.optics import diffraction
from cdipipe.optics.bragg_frame import axis_angles_deg, bragg_frame, dual_axes
from cdipipe.optics.diffraction import reciprocal_axes, rotation_matrix, scattering_vectors

SHAPE = (96, 128, 128)
THETA_DEG = tuple(0.22 + 0.005 * (index - 48) for index in range(96))


def gold(**changes) -> Geometry:
    """The gold crystal of 34-ID-C: angles of its scan file, 9 keV, 0.5 m, pixels of 55 um."""
    known = {
        "energy_ev": 9000.0,
        "distance_m": 0.5,
        "pixel_y_m": 55e-6,
        "sample_circles": (Circle("theta", (0, 1, 0)), Circle("chi", (0, 0, -1), 90.0), Circle("phi", (0, 1, 0), -5.0)),
        "detector_circles": (Circle("delta", (0, 1, 0), 32.174), Circle("gamma", (-1, 0, 0), 12.6346)),
        "row_direction": (0, -1, 0),
        "column_direction": (1, 0, 0),
        "scan": Scan("theta", THETA_DEG),
    }
    return Geometry(**(known | changes))


def id01(**changes) -> Geometry:
    """A crystal rocked in eta at ID01 with the detector up and sideways, and the beam off the middle."""
    known = {
        "energy_ev": 8500.0,
        "distance_m": 1.2,
        "pixel_y_m": 55e-6,
        "sample_circles": (Circle("mu", (0, -1, 0), 0.3), Circle("eta", (-1, 0, 0)), Circle("phi", (0, -1, 0), 12.0)),
        "detector_circles": (Circle("nu", (0, -1, 0), 1.7), Circle("delta", (-1, 0, 0), 36.3)),
        "row_direction": (0, -1, 0),
        "column_direction": (1, 0, 0),
        "scan": Scan("eta", tuple(np.linspace(17.9, 18.4, 51))),
        "beam_centre_px": (100.0, 80.0),
    }
    return Geometry(**(known | changes))


def test_a_rotation_is_right_handed():
    assert rotation_matrix((0, 1, 0), 90) @ [0, 0, 1] == pytest.approx([1, 0, 0])
    assert rotation_matrix((-1, 0, 0), 90) @ [0, 0, 1] == pytest.approx([0, 1, 0])
    many = rotation_matrix((0, 0, 1), np.array([0.0, 90.0]))
    assert many.shape == (2, 3, 3) and many[1] @ [1, 0, 0] == pytest.approx([0, 1, 0])


def test_outer_circles_carry_the_inner_ones():
    delta, gamma = Circle("delta", (0, 1, 0), 90), Circle("gamma", (-1, 0, 0), 30)
    arm = diffraction.rotation_of((delta, gamma)) @ diffraction.BEAM
    assert arm == pytest.approx([np.cos(np.pi / 6), 0.5, 0])  # up by gamma, in the plane that delta has turned


def test_other_conventions():
    for name, beam, up in (("xrayutilities", [1, 0, 0], [0, 0, 1]), ("you1999", [0, 1, 0], [1, 0, 0])):
        matrix = diffraction.LAB_FROM[name]
        assert np.linalg.det(matrix) == pytest.approx(1)
        assert (matrix @ beam == [0, 0, 1]).all() and (matrix @ up == [0, 1, 0]).all()


def test_scattering_in_the_horizontal_plane_by_hand():
    """Two theta of 60 degrees: |q| = 2 k sin(30 deg) = k, halfway between -z and the detector."""
    arm = (Circle("two_theta", (0, 1, 0), 60.0),)
    geometry = replace(gold(), detector_circles=arm, energy_ev=12398.419843320026)  # 0.1 nm
    q = scattering_vectors(geometry, SHAPE, np.array([48, 64, 64]))
    k = 2 * np.pi / 0.1
    assert q == pytest.approx([k * np.sin(np.pi / 3), 0, k * (np.cos(np.pi / 3) - 1)])
    frame = bragg_frame(geometry, SHAPE)
    assert frame.bragg_angle_deg == pytest.approx(30) and frame.d_spacing_nm == pytest.approx(0.1)


XRAYUTILITIES_1_8 = {
    "34-ID-C": {
        (0, 0, 0): (-10.72309089041, 23.55661609004, -6.977803353649),
        (48, 20, 30): (-10.62231868907, 23.72894628719, -6.948468841753),
        (5, 39, 59): (-10.54257800224, 23.83341696841, -7.105089060919),
    },
    "ID01": {
        (0, 0, 0): (-1.242040448286, 27.02769000699, 0.06663425198574),
        (25, 20, 30): (-1.157261661889, 26.99041264144, 0.1834835176724),
        (5, 39, 59): (-1.118625506837, 26.95406981701, 0.09258761562306),
    },
}
"""q in 1/nm, in the sample's frame, of QConversion((sample), (detector), (0, 0, 1)).area on 40 x 60 pixels."""


@pytest.mark.parametrize(("name", "geometry"), [("34-ID-C", gold()), ("ID01", id01())])
def test_vectors_recorded_from_xrayutilities(name, geometry):
    places = np.array(list(XRAYUTILITIES_1_8[name]))
    ours = scattering_vectors(geometry, (len(geometry.scan.positions), 40, 60), places, "sample")
    assert ours == pytest.approx(np.array(list(XRAYUTILITIES_1_8[name].values())), rel=1e-11, abs=1e-11)


def test_the_gold_crystal_of_34_id_c():
    """Crop of 96 x 128 x 128 around the peak; with columns read the other way its angles would be 87, 104, 103."""
    frame = bragg_frame(gold(), SHAPE)
    assert frame.voxel_nm == pytest.approx([31.647388, 10.026910, 10.082722], abs=1e-5)
    assert frame.voxel_angles_deg == pytest.approx([93.02887, 76.02080, 102.63460], abs=1e-4)
    assert frame.d_spacing_nm == pytest.approx(0.2334841, abs=1e-7)  # 111 of gold 0.2355
    mirrored = bragg_frame(gold(column_direction=(-1, 0, 0)), SHAPE)
    assert mirrored.voxel_angles_deg == pytest.approx([86.97113, 103.97920, 102.63460], abs=1e-4)


@pytest.mark.parametrize("geometry", [gold(), id01()], ids=["34-ID-C", "ID01"])
def test_axes_are_the_slopes_of_the_scattering_vector(geometry):
    shape = (len(geometry.scan.positions), 128, 96)
    for peak in ((shape[0] // 2, 64, 48), (7, 30, 90)):
        step = 1e-3 * np.eye(3)
        ahead = scattering_vectors(geometry, shape, np.asarray(peak) + step)
        behind = scattering_vectors(geometry, shape, np.asarray(peak) - step)
        slopes = ((ahead - behind) / 2e-3).T
        assert reciprocal_axes(geometry, shape, peak) == pytest.approx(slopes, rel=1e-6, abs=1e-9)


def test_an_energy_scan_moves_along_q():
    geometry = gold(scan=Scan("energy", tuple(9000.0 + 2 * np.arange(-48, 48)), "eV"))
    axes = reciprocal_axes(geometry, SHAPE)
    q = scattering_vectors(geometry, SHAPE, np.array([48, 64, 64]))
    assert axes[:, 0] == pytest.approx(q * 2 / 9000)
    assert bragg_frame(geometry, SHAPE).voxel_nm.shape == (3,)


def test_phase_of_the_transform_is_q_times_r():
    """A point at index x scatters exp(-i q.r): its transform has the phase of A x against B k."""
    shape = (8, 10, 12)
    frame = bragg_frame(id01(scan=Scan("eta", tuple(np.linspace(17.9, 18.0, 8)))), shape)
    centre = np.array([size // 2 for size in shape])
    point, pixel = np.array([5, 2, 9]), np.array([1, 7, 4])
    image = np.zeros(shape)
    image[tuple(point)] = 1
    wave = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(image)))[tuple(pixel)]
    q = frame.reciprocal_per_nm @ (pixel - centre)
    assert wave == pytest.approx(np.exp(-1j * q @ frame.places_nm(point)))
    assert frame.indices(frame.places_nm(point)) == pytest.approx(point)


def test_q_of_the_sample_does_not_depend_on_where_the_goniometer_stands():
    """Theta turned by 3 degrees, crystal and all: the lab's vector stays, the sample's turns back."""
    turned = gold(scan=Scan("theta", tuple(place + 3 for place in THETA_DEG)))
    places = np.array([[48, 64, 64], [20, 3, 100]])
    lab, sample = (scattering_vectors(turned, SHAPE, places, frame) for frame in ("lab", "sample"))
    assert lab == pytest.approx(scattering_vectors(gold(), SHAPE, places))
    back = rotation_matrix((0, 1, 0), -3)
    untilted = gold(sample_circles=(Circle("theta", (0, 1, 0)),))
    assert scattering_vectors(replace(turned, sample_circles=untilted.sample_circles), SHAPE, places, "sample") == (
        pytest.approx(scattering_vectors(untilted, SHAPE, places, "sample") @ back.T)
    )
    assert np.linalg.norm(sample, axis=1) == pytest.approx(np.linalg.norm(lab, axis=1))


def test_cropping_and_binning_keep_every_pixel_in_its_place():
    geometry = id01(beam_centre_px=(70.0, 60.0))
    q = scattering_vectors(geometry, (51, 128, 128))
    start = (10, 20, 30)
    kept = scattering_vectors(geometry.cropped(start, (30, 64, 64)), (30, 64, 64), frame="sample")
    whole = scattering_vectors(geometry, (51, 128, 128), frame="sample")
    assert kept == pytest.approx(whole[10:40, 20:84, 30:94], abs=1e-9)
    binned = scattering_vectors(geometry.binned((3, 2, 4)), (17, 64, 32), frame="sample")
    blocks = whole.reshape(17, 3, 64, 2, 32, 4, 3).mean((1, 3, 5))
    assert binned == pytest.approx(blocks, abs=2e-4 * np.linalg.norm(q[0, 0, 0]) / 100)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"energy_ev": None}, r"the photon energy \(--energy-ev\)"),
        ({"distance_m": None, "pixel_y_m": None}, r"distance of the detector \(--distance-m\); .*--pixel-m"),
        ({"row_direction": None}, r"rows and columns lie \(--beamline\)"),
        ({"scan": None}, r"what was scanned \(--scan-file, --scan and --beamline\)"),
        ({"scan": Scan("eta", THETA_DEG)}, "the circle that 'eta' turned .*circles known: theta, chi, phi"),
        ({"scan": Scan("theta", (0.0, 0.1, 0.5, 0.9))}, "did not move in even steps"),
        ({"scan": Scan("theta", THETA_DEG[:50])}, "50 positions of 'theta', but the rocking curve has 96 patterns"),
    ],
)
def test_what_is_missing_is_named_with_the_option_that_gives_it(changes, words):
    with pytest.raises(InputError, match=words):
        bragg_frame(gold(**changes), SHAPE)


def test_a_sample_turned_about_q_gives_no_third_axis():
    q = scattering_vectors(gold(), SHAPE, np.array([48, 64, 64]))
    about_q = (Circle("theta", tuple(q / np.linalg.norm(q))),)
    with pytest.raises(InputError, match="lie in one plane"):
        bragg_frame(gold(sample_circles=about_q), SHAPE)


XRAYUTILITIES_AXES = {"34-ID-C": (("y+", "z-", "y+"), ("y+", "x-")), "ID01": (("y-", "x-", "y-"), ("y-", "x-"))}


@pytest.mark.parametrize(("name", "geometry"), [("34-ID-C", gold()), ("ID01", id01())])
def test_xrayutilities_finds_the_same_vectors(name, geometry):
    experiment = pytest.importorskip("xrayutilities.experiment", reason="xrayutilities (extra 'oracle') is missing")
    sample, detector = XRAYUTILITIES_AXES[name]
    peer = experiment.QConversion(sample, detector, (0, 0, 1), wl=geometry.wavelength_m * 1e10)
    shape = (len(geometry.scan.positions), 40, 60)
    centre = geometry.centre_of_window(shape[1:])
    sizes = {"distance": geometry.distance_m, "pwidth1": geometry.pixel_y_m, "pwidth2": geometry.pixel_x_m}
    peer.init_area("y-", "x+", *centre, *shape[1:], **sizes)
    angles = [
        np.array(geometry.scan.positions) if circle.name == geometry.scan.motor else circle.angle_deg
        for circle in geometry.sample_circles
    ]
    angles += [circle.angle_deg for circle in geometry.detector_circles]
    theirs = 10 * np.moveaxis(np.array(peer.area(*angles, deg=True)), 0, -1)
    ours = scattering_vectors(geometry, shape, frame="sample")
    assert np.abs(ours - theirs).max() < 1e-12 * np.abs(theirs).max()


@pytest.mark.parametrize(
    ("columns", "angles_deg"), [("x+", (93.03, 76.02, 102.63)), ("x-", (86.97, 103.98, 102.63))], ids=["now", "before"]
)
def test_axes_of_cohere_for_the_gold_crystal(columns, angles_deg):
    """cohere's post-processing at 34-ID-C: steps of q on a detector of 2 x 2 pixels, by xrayutilities; it read columns
    along x- in its earlier closed formula and reads them along x+ now."""
    experiment = pytest.importorskip("xrayutilities.experiment", reason="xrayutilities (extra 'oracle') is missing")
    peer = experiment.QConversion(("y+", "z-", "y+"), ("y+", "x-"), (0, 0, 1), en=9000.0)
    peer.init_area("y-", columns, 0, 0, 2, 2, distance=0.5, pwidth1=55e-6, pwidth2=55e-6)
    q = 10 * np.array(peer.area(np.array([0.22, 0.225]), 90.0, -5.0, 32.174, 12.6346, deg=True))
    steps = np.stack([q[:, 1, 0, 0], q[:, 0, 1, 0], q[:, 0, 0, 1]], axis=1) - q[:, 0, 0, 0, None]
    theirs = dual_axes(steps, SHAPE)
    ours = bragg_frame(gold(column_direction=(1 if columns == "x+" else -1, 0, 0)), SHAPE)
    assert np.linalg.norm(theirs, axis=0) == pytest.approx(ours.voxel_nm, rel=1e-3)
    assert axis_angles_deg(theirs) == pytest.approx(ours.voxel_angles_deg, abs=0.02)
    assert ours.voxel_angles_deg == pytest.approx(angles_deg, abs=0.01)


def test_axes_of_the_earlier_formula_of_cohere():
    """In closed form at the middle of the detector: columns against x, rows down, theta about y; no library."""
    delta, gamma, step = np.radians(32.174), np.radians(12.6346), np.radians(0.005)
    k = diffraction.wavenumber_per_nm(gold())
    columns = np.array([-np.cos(delta), 0, np.sin(delta)]) * k * 55e-6 / 0.5
    rows = np.array([np.sin(delta) * np.sin(gamma), -np.cos(gamma), np.cos(delta) * np.sin(gamma)]) * k * 55e-6 / 0.5
    positions = np.array([1 - np.cos(delta) * np.cos(gamma), 0, np.sin(delta) * np.cos(gamma)]) * k * step
    theirs = dual_axes(np.stack([positions, rows, columns], axis=1), SHAPE)
    ours = bragg_frame(gold(column_direction=(-1, 0, 0)), SHAPE)
    assert np.abs(ours.voxels_nm) == pytest.approx(np.abs(theirs), abs=1e-9)
    assert ours.voxel_angles_deg == pytest.approx(axis_angles_deg(theirs), abs=1e-6)


def test_six_circles_of_you():
    """J. Appl. Cryst. 32, 614: Z = mu eta chi phi, q = k (sin delta, cos delta cos nu - 1, cos delta sin nu)."""
    from cdipipe.beamlines.registry import get_beamline

    def turned(axis, angle_deg):
        c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
        return {
            "x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
            "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
            "z": np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]),  # eta, phi and delta are left-handed about z
        }[axis]

    angles = {"mu": 3.0, "eta": 17.0, "chi": 80.0, "phi": -20.0, "gamma": 11.0, "delta": 34.0}
    beamline = get_beamline("diamond_i16")
    sample, arm = (
        tuple(entry.circle(angles[entry.name]) for entry in part) for part in (beamline.sample, beamline.arm)
    )
    theirs = turned("x", 3) @ turned("z", 17) @ turned("y", 80) @ turned("z", -20)
    to_lab = diffraction.LAB_FROM["you1999"]
    assert diffraction.rotation_of(sample) == pytest.approx(to_lab @ theirs @ to_lab.T)
    geometry = gold(sample_circles=sample, detector_circles=arm, scan=Scan("eta", tuple(17 + 0.01 * np.arange(-2, 3))))
    k, delta, nu = diffraction.wavenumber_per_nm(geometry), np.radians(34), np.radians(11)
    q = k * np.array([np.sin(delta), np.cos(delta) * np.cos(nu) - 1, np.cos(delta) * np.sin(nu)])
    assert scattering_vectors(geometry, (5, 8, 8), np.array([2, 4, 4])) == pytest.approx(to_lab @ q)
    assert scattering_vectors(geometry, (5, 8, 8), np.array([2, 4, 4]), "sample") == pytest.approx(
        to_lab @ (theirs.T @ q)
    )


def test_axes_of_a_rocking_curve_about_x_by_hand():
    """ID01 with eta scanned: the three axes in closed form, as the bcdi package has them for this beamline."""
    nu, delta, step = np.radians(4.0), np.radians(33.0), np.radians(0.01)
    geometry = id01(
        beam_centre_px=None,
        sample_circles=(Circle("mu", (0, -1, 0)), Circle("eta", (-1, 0, 0)), Circle("phi", (0, -1, 0), 12.0)),
        detector_circles=(Circle("nu", (0, -1, 0), 4.0), Circle("delta", (-1, 0, 0), 33.0)),
        scan=Scan("eta", tuple(16 + 0.01 * np.arange(-8, 8))),
    )
    k = diffraction.wavenumber_per_nm(geometry)
    pixel = k * 55e-6 / 1.2
    across = pixel * np.array([np.cos(nu), 0, np.sin(nu)])
    down = pixel * np.array([-np.sin(nu) * np.sin(delta), -np.cos(delta), np.cos(nu) * np.sin(delta)])
    along = k * step * np.array([0, 1 - np.cos(nu) * np.cos(delta), np.sin(delta)])
    axes = reciprocal_axes(geometry, (16, 64, 64))
    assert axes[:, 2] == pytest.approx(across)
    assert axes[:, 1] == pytest.approx(down)
    assert axes[:, 0] == pytest.approx(along)
