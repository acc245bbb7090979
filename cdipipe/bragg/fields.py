"""Displacement and strain of a phased crystal, on its own (skewed) grid.

The lattice planes of reflection Q are displaced by u(r), and the phase is -Q.u (see ``cdipipe.optics.diffraction``):

    u_Q = -phase / |Q|                          displacement along Q, nm
    e   = d u_Q / d r_Q = -(grad phase).Q / Q^2  strain along Q

Strain comes from phase gradients, not from differences of an unwrapped phase, so that it is the same with and without
wraps, and it has no value beside a vortex.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cdipipe.bragg import phase as phases
from cdipipe.errors import InputError
from cdipipe.optics.bragg_frame import BraggFrame

HALF = 0.5
"""Where the amplitude of a sharp edge, blurred by the finite resolution, falls to half of that inside."""

CLOSED_VOXELS = 2
"""Gaps in the amplitude up to twice as wide are inside: it falls to zero around a dislocation's core."""

SMALLEST_CRYSTAL = 27
"""Voxels below which no strain can be told."""


@dataclass(frozen=True)
class Fields:
    """What a phased crystal is, voxel by voxel; arrays (D, H, W) on the object's grid, NaN where there is no value.

    Parameters
    ----------
    object : complex64, without ramp and offset of the phase
    inside : bool, within the isosurface
    bulk : bool, ``inside`` without its outermost voxels, which are partly outside
    vortex : bool, corners of squares around which the phase winds
    phase : float64, rad, continuous inside; beside a vortex with a cut
    displacement_nm : float64, along Q
    strain : float64, along Q, against the crystal's own mean lattice
    ramp : (3,) rad per voxel that was taken off
    frame : axes of the rocking curve
    """

    object: np.ndarray
    inside: np.ndarray
    bulk: np.ndarray
    vortex: np.ndarray
    phase: np.ndarray
    displacement_nm: np.ndarray
    strain: np.ndarray
    ramp: np.ndarray
    frame: BraggFrame

    @property
    def mean_q_per_nm(self) -> np.ndarray:
        """Scattering vector (3,) of the crystal's mean lattice: that of the array's centre and the ramp."""
        return self.frame.q_per_nm + np.linalg.inv(self.frame.voxels_nm).T @ self.ramp

    @property
    def d_spacing_nm(self) -> np.ndarray:
        """Distance of the lattice planes in every voxel, nm."""
        return 2 * np.pi / np.linalg.norm(self.mean_q_per_nm) * (1 + self.strain)

    @property
    def wraps(self) -> bool:
        """Whether the continuous phase leaves the circle of 2 pi, so that displacement depends on the unwrapping."""
        values = self.phase[self.inside]
        return bool(np.ptp(values) > 2 * np.pi) if values.size else False


def isosurface_level(amplitude: np.ndarray, share: float = HALF) -> float:
    """Amplitude of the surface: ``share`` of the median amplitude of the voxels above half of that median.

    A few bright voxels, which noise and phase errors make, do not move it.

    Parameters
    ----------
    amplitude : real, >= 0, any shape, not zero everywhere
    share : of the typical amplitude, 0 to 1

    Returns
    -------
    float in the unit of ``amplitude``
    """
    ordered = np.sort(amplitude, axis=None).astype(np.float64)
    energy = np.cumsum(ordered**2)
    level = HALF * ordered[np.searchsorted(energy, energy[-1] / 2)]  # half of the light comes from brighter voxels
    for _ in range(20):
        typical = float(np.median(amplitude[amplitude >= level]))
        if abs(HALF * typical - level) < 1e-6 * typical:
            break
        level = HALF * typical
    return share * typical


def shape_of(object_: np.ndarray, share: float = HALF, within: np.ndarray | None = None) -> np.ndarray:
    """The crystal: the largest connected part above the isosurface, its narrow gaps and holes filled.

    Parameters
    ----------
    object_ : (D, H, W) complex
    share : of the typical amplitude inside, see :func:`isosurface_level`
    within : (D, H, W) bool, optional; nothing outside counts

    Raises
    ------
    InputError   hardly a voxel is above the surface, or the crystal touches the edges of the array
    """
    amplitude = np.abs(object_) if within is None else np.abs(object_) * within
    if not amplitude.max() > 0:
        raise InputError("the object is zero everywhere: nothing to analyse")
    parts, count = ndimage.label(amplitude >= isosurface_level(amplitude, share))
    sizes = ndimage.sum_labels(np.ones_like(parts), parts, np.arange(1, count + 1))
    largest = parts == 1 + int(np.argmax(sizes))
    inside = ndimage.binary_fill_holes(largest | ndimage.binary_closing(largest, iterations=CLOSED_VOXELS))
    if inside.sum() < SMALLEST_CRYSTAL:
        raise InputError(
            f"the crystal has only {int(inside.sum())} voxels above {share:g} of its amplitude: the rocking curve has "
            "too few photons or was binned too much, or --surface is too high"
        )
    if any(inside.take(edge, axis).any() for axis in range(3) for edge in (0, -1)):
        raise InputError(
            "the crystal reaches the edge of the array: the pattern is undersampled, or the phasing failed; look at "
            "the object, or take more rocking positions"
        )
    return inside


def fields_of(
    object_: np.ndarray,
    frame: BraggFrame,
    surface: float = HALF,
    within: np.ndarray | None = None,
    remove_ramp: bool = True,
) -> Fields:
    """Displacement and strain of a phased crystal.

    Parameters
    ----------
    object_ : (D, H, W) complex
    frame : of the rocking curve that it was phased from
    surface : share of the typical amplitude inside where the crystal ends
    within : (D, H, W) bool, optional; nothing outside belongs to the crystal
    remove_ramp : take off the mean phase ramp; it is part of ``mean_q_per_nm`` then

    Raises
    ------
    InputError   see :func:`shape_of`
    """
    inside = shape_of(object_, surface, within)
    bulk = ndimage.binary_erosion(inside)
    ramp = phases.mean_ramp(object_, bulk if bulk.any() else inside) if remove_ramp else np.zeros(3)
    flat = phases.without_offset(phases.without_ramp(object_, ramp), inside)
    vortex = phases.vortices(flat, inside)
    phase = phases.unwrap(flat, inside)
    q = frame.q_per_nm + np.linalg.inv(frame.voxels_nm).T @ ramp
    return Fields(
        object=flat.astype(np.complex64),
        inside=inside,
        bulk=bulk,
        vortex=vortex,
        phase=phase,
        displacement_nm=-phase / np.linalg.norm(q),
        strain=strain_along(q, flat, phases.away_from(vortex, inside), frame.voxels_nm),
        ramp=ramp,
        frame=frame,
    )


def strain_along(q_per_nm: np.ndarray, object_: np.ndarray, inside: np.ndarray, voxels_nm: np.ndarray) -> np.ndarray:
    """Strain along Q from the phase gradients of an object: -(grad phase).Q / Q^2.

    Parameters
    ----------
    q_per_nm : (3,) scattering vector in the lab
    object_ : (D, H, W) complex
    inside : (D, H, W) bool; the crystal, without what is near a vortex
    voxels_nm : (3, 3), columns are the steps from voxel to voxel in the lab

    Returns
    -------
    (D, H, W) float64, NaN where there is no value
    """
    slopes, known = phases.gradient(object_, inside)
    per_nm = np.einsum("ij,j...->i...", np.linalg.inv(voxels_nm).T, slopes)
    return np.where(known, -np.einsum("i,i...->...", q_per_nm, per_nm) / (q_per_nm @ q_per_nm), np.nan)
