"""Geometry of Bragg diffraction: from detector indices to reciprocal space, and from object indices to nanometres.

**Lab frame** (that of NeXus and McStas, right-handed): z along the beam, y up, x = y x z. The circles of the sample
and of the detector are listed outermost first; a positive angle is a right-handed rotation about the circle's axis.
:data:`LAB_FROM` turns vectors of other conventions into this frame.

**Scattering vector** q = k_f - k_i with |k| = 2 pi / wavelength, in 1/nm. The lab frame of a rocking curve is that of
its middle pattern, index ``N // 2`` of the scan; ``frame="sample"`` is the goniometer's innermost table with all
circles at zero, so q there does not depend on the scan.

**Signs.** The amplitude at q is the integral of rho(r) exp(-i q.r), as in :mod:`cdipipe.optics.fourier` (forward
transforms have exp(-2 pi i ...)). Index k of a pattern is q = Q + B (k - N // 2), index x of the object is
r = A (x - N // 2) with A = 2 pi inv(B)^T / N, so that q.r = Q.r + 2 pi k.x / N. A lattice displaced by u(r) then has
the **phase -Q.u** in the phased object; the object and its conjugated, inverted twin explain the same pattern.

The same conversion: Maddali and Li et al., "General approaches for shear-correcting coordinate transformations in
Bragg coherent diffraction imaging", parts I and II, J. Appl. Cryst. 53 (2020), arXiv:1909.05354.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from cdipipe.errors import InputError
from cdipipe.geometry import Circle, Geometry

BEAM = np.array([0.0, 0.0, 1.0])
ENERGY_MOTOR = "energy"
EVEN_STEPS = 0.3
"""How far, in steps, a scanned position may be off the straight line through all of them."""

LAB_FROM: dict[str, np.ndarray] = {
    "mcstas": np.eye(3),
    "xrayutilities": np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]),
    "you1999": np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
}
"""Matrices M with ``v_lab = M v`` by convention: ``xrayutilities`` x along the beam, z up (its usual axes);
``you1999`` (H. You, J. Appl. Cryst. 32, 614, doi:10.1107/S0021889899001223) x up, y along the beam."""


def rotation_matrix(axis: Sequence[float], angle_deg: float | np.ndarray) -> np.ndarray:
    """Right-handed rotation about a unit vector (Rodrigues).

    Parameters
    ----------
    axis : three numbers, a unit vector
    angle_deg : one angle, or (...) angles

    Returns
    -------
    (3, 3) or (..., 3, 3) float64
    """
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = np.radians(np.asarray(angle_deg, dtype=np.float64))[..., None, None]
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def rotation_of(circles: Sequence[Circle]) -> np.ndarray:
    """Rotation (3, 3) of what the innermost circle carries; the outermost circle comes first.

    Parameters
    ----------
    circles : axes in the lab frame and angles in degrees

    Returns
    -------
    (3, 3) float64
    """
    matrix = np.eye(3)
    for circle in circles:
        matrix = matrix @ rotation_matrix(circle.axis, circle.angle_deg)
    return matrix


def wavenumber_per_nm(geometry: Geometry) -> float:
    """2 pi / wavelength in 1/nm.

    Parameters
    ----------
    geometry : with the photon energy
    """
    return 2e-9 * np.pi / geometry.wavelength_m


def pixel_steps_m(geometry: Geometry) -> np.ndarray | None:
    """Vectors from row to row and from column to column in the lab frame, as the detector stood.

    Parameters
    ----------
    geometry : of the detector; its circles turn the resting directions

    Returns
    -------
    (3, 2) float64, metres; None where pixel sizes or directions are unknown
    """
    if None in (geometry.pixel_y_m, geometry.pixel_x_m, geometry.row_direction, geometry.column_direction):
        return None
    resting = np.stack(
        [
            geometry.pixel_y_m * np.asarray(geometry.row_direction),
            geometry.pixel_x_m * np.asarray(geometry.column_direction),
        ],
        axis=1,
    )
    return rotation_of(geometry.detector_circles) @ resting


def missing(geometry: Geometry) -> list[str]:
    """What a rocking curve's geometry still lacks, each with the option of ``cdipipe import`` that gives it.

    Parameters
    ----------
    geometry : of a rocking curve

    Returns
    -------
    list of text, empty where nothing lacks
    """
    facts = {
        "the photon energy (--energy-ev)": geometry.energy_ev,
        "the distance of the detector (--distance-m)": geometry.distance_m,
        "the detector's pixel size (--pixel-m)": geometry.pixel_y_m,
        "how the detector's rows and columns lie (--beamline)": geometry.row_direction and geometry.column_direction,
        "what was scanned (--scan-file, --scan and --beamline)": geometry.scan,
    }
    gaps = [what for what, value in facts.items() if not value]
    if geometry.scan and _rotated(geometry) is None and geometry.scan.motor != ENERGY_MOTOR:
        names = ", ".join(circle.name for circle in geometry.sample_circles) or "none"
        gaps.append(f"the circle that '{geometry.scan.motor}' turned (--beamline; circles known: {names})")
    return gaps


def require_complete(geometry: Geometry) -> None:
    """Refuse a geometry from which the axes of a rocking curve cannot be computed.

    Parameters
    ----------
    geometry : of a rocking curve

    Raises
    ------
    InputError   lists what is :func:`missing`, or says that the scan's steps are not even
    """
    if gaps := missing(geometry):
        raise InputError(f"the geometry of this rocking curve lacks {'; '.join(gaps)}")
    scan = geometry.scan
    offsets = np.asarray(scan.positions) - np.mean(scan.positions)
    places = np.arange(len(offsets)) - (len(offsets) - 1) / 2
    if scan.step == 0 or np.abs(offsets - places * scan.step).max() > EVEN_STEPS * abs(scan.step):
        raise InputError(
            f"'{scan.motor}' did not move in even steps (mean step {scan.step:.4g} {scan.unit}); a rocking curve "
            "needs them: choose evenly spaced patterns with --frames"
        )


def _rotated(geometry: Geometry) -> int | None:
    """Index of the scanned circle of the sample."""
    names = [circle.name for circle in geometry.sample_circles]
    scan = geometry.scan
    return names.index(scan.motor) if scan is not None and scan.unit == "deg" and scan.motor in names else None


def _position(geometry: Geometry, frames: np.ndarray) -> np.ndarray:
    """Scanned position at (fractional) indices; beyond its ends the scan goes on with its step."""
    positions = np.asarray(geometry.scan.positions)
    last = len(positions) - 1
    beyond = frames - np.clip(frames, 0, last)
    return np.interp(frames, np.arange(last + 1), positions) + beyond * geometry.scan.step


def _to_lab(geometry: Geometry, frames: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) that carry a vector fixed to the sample from pattern ``frames`` to the middle one."""
    if (index := _rotated(geometry)) is None:
        return np.broadcast_to(np.eye(3), (*frames.shape, 3, 3))
    axis = rotation_of(geometry.sample_circles[:index]) @ np.asarray(geometry.sample_circles[index].axis)
    return rotation_matrix(axis, geometry.scan.middle - _position(geometry, frames))


def _exit_directions(geometry: Geometry, shape: Sequence[int], places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (..., 3) from the sample to detector places (..., 2), and their distances in m."""
    centre = np.asarray(geometry.centre_of_window(tuple(shape[-2:])))
    along = rotation_of(geometry.detector_circles) @ (geometry.distance_m * BEAM)
    position = along + (places - centre) @ pixel_steps_m(geometry).T
    distance = np.linalg.norm(position, axis=-1)
    return position / distance[..., None], distance


def scattering_vectors(
    geometry: Geometry,
    shape: Sequence[int],
    places: np.ndarray | None = None,
    frame: Literal["lab", "sample"] = "lab",
) -> np.ndarray:
    """Scattering vector of detector pixels at rocking positions; the full, curved relation.

    Parameters
    ----------
    geometry : of the rocking curve, complete
    shape : (D, H, W) of the rocking curve
    places : (..., 3) indices (pattern, row, column), whole or not; default: every one
    frame : ``lab`` as the sample stood at the middle pattern, or ``sample`` with all its circles at zero

    Returns
    -------
    (..., 3) float64, or (D, H, W, 3); 1/nm

    Raises
    ------
    InputError   the geometry is not complete
    """
    require_complete(geometry)
    if places is None:
        places = np.stack(np.meshgrid(*(np.arange(size) for size in shape), indexing="ij"), axis=-1)
    places = np.asarray(places, dtype=np.float64)
    wavenumber = wavenumber_per_nm(geometry)
    if geometry.scan.motor == ENERGY_MOTOR:
        wavenumber = wavenumber * (_position(geometry, places[..., 0]) / geometry.energy_ev)[..., None]
    directions, _ = _exit_directions(geometry, shape, places[..., 1:])
    turned = np.einsum("...ij,...j->...i", _to_lab(geometry, places[..., 0]), wavenumber * (directions - BEAM))
    return turned if frame == "lab" else turned @ rotation_of(geometry.sample_circles)


def reciprocal_axes(geometry: Geometry, shape: Sequence[int], peak: Sequence[float] | None = None) -> np.ndarray:
    """Matrix B whose columns are dq/d(pattern), dq/d(row), dq/d(column) at a place, in the lab frame.

    Parameters
    ----------
    geometry : of the rocking curve, complete
    shape : (D, H, W) of the rocking curve
    peak : index where the relation is made linear; default ``N // 2``, where a centred peak is

    Returns
    -------
    (3, 3) float64, 1/nm per index

    Raises
    ------
    InputError   the geometry is not complete
    """
    require_complete(geometry)
    peak = np.asarray([size // 2 for size in shape] if peak is None else peak, dtype=np.float64)
    (direction,), (distance,) = _exit_directions(geometry, shape, peak[None, 1:])
    energy_ratio = _position(geometry, peak[:1])[0] / geometry.energy_ev if geometry.scan.motor == ENERGY_MOTOR else 1
    wavenumber = wavenumber_per_nm(geometry) * energy_ratio
    across = np.eye(3) - np.outer(direction, direction)
    on_detector = wavenumber / distance * across @ pixel_steps_m(geometry)
    along_scan = _along_scan(geometry, wavenumber * (direction - BEAM), energy_ratio)
    return _to_lab(geometry, peak[0]) @ np.column_stack([along_scan, on_detector])


def _along_scan(geometry: Geometry, q_per_nm: np.ndarray, energy_ratio: float) -> np.ndarray:
    """dq/d(pattern): the sample turns one way, the point that is probed in it the other way."""
    if (index := _rotated(geometry)) is None:
        return q_per_nm * geometry.scan.step / (geometry.energy_ev * energy_ratio)
    axis = rotation_of(geometry.sample_circles[:index]) @ np.asarray(geometry.sample_circles[index].axis)
    return -np.radians(geometry.scan.step) * np.cross(axis, q_per_nm)
