"""From the skewed grid of a rocking curve to an orthogonal one, after the fields are formed.

Interpolating a complex object would wash out its amplitude wherever the phase is steep; amplitude, displacement and
strain are smooth, so they are interpolated instead, and only from voxels where they have a value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cdipipe.bragg.fields import Fields
from cdipipe.errors import InputError
from cdipipe.optics.diffraction import BEAM

MARGIN_VOXELS = 2
LARGEST_GRID = 2**27
FRAMES = ("lab", "sample", "crystal")


@dataclass(frozen=True)
class Orthogonal:
    """Fields on a right-handed orthogonal grid; arrays (X, Y, Z), NaN where there is no value.

    Parameters
    ----------
    amplitude : float32, photons^(1/2) of the object's voxels
    inside, bulk : bool
    phase, displacement_nm, strain : float32
    voxel_nm : edge of the cubes
    origin_nm : (3,) place of voxel (0, 0, 0) in the frame; the object's index ``N // 2`` is at zero
    axes : (3, 3), rows are the frame's x, y, z in the lab frame
    frame : ``lab``, ``sample`` or ``crystal``
    """

    amplitude: np.ndarray
    inside: np.ndarray
    bulk: np.ndarray
    phase: np.ndarray
    displacement_nm: np.ndarray
    strain: np.ndarray
    voxel_nm: float
    origin_nm: np.ndarray
    axes: np.ndarray
    frame: str


def frame_axes(fields: Fields, frame: str, toward: np.ndarray | None = None) -> np.ndarray:
    """The axes x, y, z of a frame, rows of a (3, 3) matrix in lab coordinates.

    Parameters
    ----------
    fields : of the crystal; says where Q and the goniometer point
    frame : ``lab`` z along the beam, y up; ``sample`` the goniometer's innermost table with all circles at zero;
        ``crystal`` z along Q, x as near to ``toward`` as a vector across Q can be
    toward : (3,) direction in the lab frame; default the beam

    Returns
    -------
    (3, 3) float64, orthonormal

    Raises
    ------
    InputError   an unknown frame, or ``toward`` is along Q
    """
    if frame == "lab":
        return np.eye(3)
    if frame == "sample":
        return fields.frame.sample_to_lab.T
    if frame != "crystal":
        raise InputError(f"frame '{frame}': expected one of {', '.join(FRAMES)}")
    z = fields.mean_q_per_nm / np.linalg.norm(fields.mean_q_per_nm)
    toward = BEAM if toward is None else np.asarray(toward, float)
    x = toward - (toward @ z) * z
    if np.linalg.norm(x) < 1e-3 * np.linalg.norm(toward):
        raise InputError(f"--toward {toward.tolist()} is along Q; name a direction across it")
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


def to_orthogonal(
    fields: Fields, frame: str = "crystal", voxel_nm: float | None = None, toward: np.ndarray | None = None
) -> Orthogonal:
    """Fields on an orthogonal grid around the crystal.

    Parameters
    ----------
    fields : on the object's own, skewed grid
    frame, toward : see :func:`frame_axes`
    voxel_nm : edge of a cube; default the cube root of the volume of the object's own voxels

    Returns
    -------
    Orthogonal, linearly interpolated; NaN where there is no value

    Raises
    ------
    InputError   an unknown frame, or a grid of more than 2^27 voxels
    """
    axes = frame_axes(fields, frame, toward)
    step = fields.frame.voxel_volume_nm3 ** (1 / 3) if voxel_nm is None else float(voxel_nm)
    if not (np.isfinite(step) and step > 0):
        raise InputError(f"--voxel-nm {voxel_nm}: expected a positive length")
    places = fields.frame.places_nm(np.argwhere(fields.inside)) @ axes.T
    margin = MARGIN_VOXELS * max(step, fields.frame.voxel_nm.max())
    low, high = places.min(0) - margin, places.max(0) + margin
    counts = np.ceil((high - low) / step).astype(int) + 1
    if np.prod(counts, dtype=float) > LARGEST_GRID:
        raise InputError(f"--voxel-nm {step:g}: {' x '.join(map(str, counts))} voxels are too many; take larger ones")
    low = np.floor(low / step) * step  # a voxel's centre lies at the origin
    grid = np.stack(np.meshgrid(*(low[a] + step * np.arange(counts[a]) for a in range(3)), indexing="ij"), axis=-1)
    indices = np.moveaxis(fields.frame.indices(grid @ axes), -1, 0)
    amplitude = ndimage.map_coordinates(np.abs(fields.object).astype(np.float64), indices, order=1)
    inside = _nearest(fields.inside, indices)
    names = ("phase", "displacement_nm", "strain")
    values = {name: np.where(inside, read_known(getattr(fields, name), indices), np.nan) for name in names}
    return Orthogonal(
        amplitude=amplitude.astype(np.float32),
        inside=inside,
        bulk=_nearest(fields.bulk, indices),
        **{name: array.astype(np.float32) for name, array in values.items()},
        voxel_nm=step,
        origin_nm=low,
        axes=axes,
        frame=frame,
    )


def _nearest(mask: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Where the interpolated mask is at least one half."""
    return ndimage.map_coordinates(mask.astype(np.float64), indices, order=1) >= 0.5


def read_known(values: np.ndarray, indices: np.ndarray, least: float = 1e-3) -> np.ndarray:
    """Mean of the neighbours that have a value, with the weights of linear interpolation.

    Parameters
    ----------
    values : (D, H, W), NaN where there is no value
    indices : (3, ...) places, whole or not
    least : weight of the neighbours with a value below which there is none

    Returns
    -------
    (...) float64, NaN where there is no value
    """
    known = np.isfinite(values)
    weights = ndimage.map_coordinates(known.astype(np.float64), indices, order=1)
    total = ndimage.map_coordinates(np.where(known, values, 0.0).astype(np.float64), indices, order=1)
    return np.where(weights > least, total / np.maximum(weights, least), np.nan)
