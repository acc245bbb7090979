"""The geometry of a simulated rocking curve: a crystal of a known lattice at a beamline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cdipipe.beamlines.record import Beamline, CircleEntry
from cdipipe.errors import InputError
from cdipipe.geometry import PLANCK_TIMES_C_EV_M, Circle, Geometry, Scan
from cdipipe.optics.bragg_frame import BraggFrame, bragg_frame
from cdipipe.optics.diffraction import BEAM, rotation_of
from cdipipe.optics.lattice import rotation_to_z

SIDEWAYS_DEG = 9.0
"""Angle of the detector's other circles, so that the scattering plane is no plane of the lab."""

LARGEST_ANGLE_DEG = 170.0


def rocking_geometry(
    beamline: Beamline,
    shape: Sequence[int],
    d_nm: float,
    energy_ev: float,
    voxel_nm: float,
    distance_m: float | None = None,
    step_deg: float | None = None,
    motor: str | None = None,
) -> Geometry:
    """Where detector and goniometer stand so that the peak of planes ``d_nm`` apart is at the array's centre.

    Parameters
    ----------
    shape : (D, H, W): rocking positions, rows, columns
    voxel_nm : length of the object's voxels; distance and step are chosen for it where they are not given
    motor : circle of the sample that is scanned; default the one that the beamline scans most often

    Raises
    ------
    InputError   the planes cannot diffract at this energy, or no circle or detector can do it
    """
    wavelength_nm = PLANCK_TIMES_C_EV_M * 1e9 / energy_ev
    if wavelength_nm >= 2 * d_nm:
        raise InputError(f"planes {d_nm:.4g} nm apart do not diffract at {energy_ev:g} eV; take a higher energy_ev")
    two_theta = 2 * np.arcsin(wavelength_nm / (2 * d_nm))
    sample = [entry.circle(_resting(entry)) for entry in beamline.sample]
    names = [circle.name for circle in sample]
    motor = motor or beamline.rocking[0]
    if motor not in names:
        raise InputError(f"motor '{motor}': {beamline.name} has {', '.join(names)}")
    scanned = names.index(motor)
    axis = rotation_of(sample[:scanned]) @ np.asarray(sample[scanned].axis)
    detector = beamline.detectors[beamline.default_detector]
    pixel_y, pixel_x = detector.pixel_m
    if distance_m is None:
        distance_m = max(size * pixel for size, pixel in zip(shape[1:], detector.pixel_m, strict=True))
        distance_m *= voxel_nm / wavelength_nm
    geometry = Geometry(
        energy_ev=energy_ev,
        distance_m=distance_m,
        pixel_y_m=pixel_y,
        pixel_x_m=pixel_x,
        sample_circles=tuple(sample),
        detector_circles=_arm(beamline, axis, two_theta),
        row_direction=detector.rows,
        column_direction=detector.columns,
        beamline=beamline.name,
        detector=beamline.default_detector,
    )
    first = _scanned(geometry, motor, 0.01 if step_deg is None else step_deg, shape[0])
    if step_deg is None:
        length = float(bragg_frame(first, shape).voxel_nm[0])
        first = _scanned(geometry, motor, 0.01 * length / voxel_nm, shape[0])
    return first


def _resting(entry: CircleEntry) -> float:
    return entry.absent_deg or 0.0


def _scanned(geometry: Geometry, motor: str, step_deg: float, count: int) -> Geometry:
    places = (np.arange(count) - count // 2) * step_deg
    return replace(geometry, scan=Scan(motor, tuple(places)), rocking_step_rad=None)


def _arm(beamline: Beamline, rocking_axis: np.ndarray, two_theta: float) -> tuple[Circle, ...]:
    """The detector's circles: the one nearest to the rocking axis carries the Bragg angle, the others a little."""
    from scipy.optimize import brentq

    if not beamline.arm:
        raise InputError(f"{beamline.name} has no circles of a detector; give another beamline")
    along = [abs(np.dot(entry.axis, rocking_axis)) * _moves_beam(entry) for entry in beamline.arm]
    main = int(np.argmax(along))
    if along[main] == 0:
        main = int(np.argmax([_moves_beam(entry) for entry in beamline.arm]))
    others = [SIDEWAYS_DEG if index != main and _moves_beam(entry) else 0.0 for index, entry in enumerate(beamline.arm)]

    def circles(angle: float) -> tuple[Circle, ...]:
        return tuple(e.circle(angle if i == main else others[i]) for i, e in enumerate(beamline.arm))

    def excess(angle: float) -> float:
        return float(np.arccos(np.clip(BEAM @ rotation_of(circles(angle)) @ BEAM, -1, 1)) - two_theta)

    if excess(0.0) > 0:
        others = [0.0] * len(others)
    if excess(LARGEST_ANGLE_DEG) < 0:
        raise InputError(
            f"{beamline.name}: no angle of '{beamline.arm[main].name}' reaches {np.degrees(two_theta):.1f}"
        )
    return circles(brentq(excess, 0.0, LARGEST_ANGLE_DEG))


def _moves_beam(entry: CircleEntry) -> bool:
    """Whether the circle's axis is not along the beam."""
    return bool(abs(np.dot(entry.axis, BEAM)) < 0.99)


def crystal_axes(frame: BraggFrame) -> np.ndarray:
    """Rows x, y, z of the crystal frame in the lab: z along Q, x near the beam."""
    z = frame.q_per_nm / np.linalg.norm(frame.q_per_nm)
    x = BEAM - (BEAM @ z) * z
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


def cubic_to_lab(frame: BraggFrame, hkl: Sequence[int]) -> np.ndarray:
    """Rotation (3, 3) of a cubic crystal whose reflection ``hkl`` is at its scattering vector."""
    return crystal_axes(frame).T @ rotation_to_z(hkl)


def with_mount(geometry: Geometry, to_lab: np.ndarray) -> Geometry:
    """The geometry with one more, innermost circle, so that the sample's axes are carried to the lab by ``to_lab``."""
    turn = rotation_of(geometry.sample_circles).T @ to_lab
    angle = float(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    if np.linalg.norm(axis) < 1e-6:  # no turn, or half a turn
        axis = np.linalg.eigh(turn + turn.T)[1][:, -1]
    axis = axis / np.linalg.norm(axis)
    mount = Circle("mount", tuple(axis), float(np.degrees(angle)))
    return replace(geometry, sample_circles=(*geometry.sample_circles, mount))
