"""The phase inside a crystal: gradients by unit phasors, vortices, ramp and offset, unwrapping.

Arrays are on the object's own (skewed) grid. A difference of phases between neighbours is the angle of a product of
unit phasors, which is right wherever the phase changes by less than pi from voxel to voxel, wrapped or not.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

NEAR_A_VORTEX = 1
"""Voxels around a vortex line whose gradients are not used."""


def differences(object_: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Phase steps from each voxel to the next one along each axis.

    Parameters
    ----------
    object_ : (D, H, W) complex
    inside : (D, H, W) bool

    Returns
    -------
    (3, D, H, W) float64 in rad, within -pi to pi, and bool: both ends of the step are inside
    """
    steps, valid = np.zeros((3, *object_.shape)), np.zeros((3, *object_.shape), bool)
    for axis in range(3):
        here, there = _pair(axis)
        steps[axis][here] = np.angle(object_[there] * object_[here].conj())
        valid[axis][here] = inside[here] & inside[there]
    return steps, valid


def _pair(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Slices of every voxel that has a next one along an axis, and of the next ones."""
    here, there = [slice(None)] * 3, [slice(None)] * 3
    here[axis], there[axis] = slice(None, -1), slice(1, None)
    return tuple(here), tuple(there)


def gradient(object_: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the phase along the array's axes.

    The mean of the steps to the two neighbours; at the rim the one step that stays inside.

    Parameters
    ----------
    object_ : (D, H, W) complex
    inside : (D, H, W) bool; the crystal, without what is near a vortex

    Returns
    -------
    (3, D, H, W) float64 in rad per voxel, and (D, H, W) bool: there is a step along every axis
    """
    steps, valid = differences(object_, inside)
    slopes, known = np.zeros_like(steps), np.ones(object_.shape, bool)
    for axis in range(3):
        here, there = _pair(axis)
        total, count = np.where(valid[axis], steps[axis], 0), valid[axis].astype(np.int8)
        total[there] += np.where(valid[axis], steps[axis], 0)[here]
        count[there] += valid[axis][here]
        slopes[axis] = total / np.maximum(count, 1)
        known &= count > 0
    return slopes, known & inside


def windings(object_: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Turns of the phase around every square of four neighbours inside.

    Parameters
    ----------
    object_ : (D, H, W) complex
    inside : (D, H, W) bool, the crystal

    Returns
    -------
    (3, D, H, W) int8: at [n, x] the turns around the square across axis n whose lowest corner is voxel x, right-handed
    about the axis in the order of the array's axes; 0 where a corner is outside
    """
    steps, valid = differences(object_, inside)
    turns = np.zeros((3, *object_.shape), np.int8)
    for normal in range(3):
        a, b = (normal + 1) % 3, (normal + 2) % 3
        around = steps[a] + _next(steps[b], a) - _next(steps[a], b) - steps[b]
        closed = valid[a] & _next(valid[b], a) & _next(valid[a], b) & valid[b]
        turns[normal] = np.where(closed, np.rint(around / (2 * np.pi)), 0)
    return turns


def vortices(object_: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Voxels at the corners of a square around which the phase winds by a whole turn.

    A dislocation with Q.b not 0 is a line of such squares; there the phase has no value and the strain none.

    Parameters
    ----------
    object_ : (D, H, W) complex
    inside : (D, H, W) bool, the crystal

    Returns
    -------
    (D, H, W) bool
    """
    found = np.zeros(object_.shape, bool)
    for normal, turns in enumerate(windings(object_, inside)):
        across = ((normal + 1) % 3, (normal + 2) % 3)
        for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
            found |= np.roll(turns != 0, corner, across)
    return found & inside


def _next(array: np.ndarray, axis: int) -> np.ndarray:
    """The value of the next voxel along an axis at each voxel; zero at the end."""
    here, there = _pair(axis)
    moved = np.zeros_like(array)
    moved[here] = array[there]
    return moved


def away_from(vortex: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The crystal without what lies within ``NEAR_A_VORTEX`` voxels of a vortex.

    Parameters
    ----------
    vortex : (D, H, W) bool, see :func:`vortices`
    inside : (D, H, W) bool, the crystal

    Returns
    -------
    (D, H, W) bool
    """
    if not vortex.any():
        return inside
    return inside & ~ndimage.binary_dilation(vortex, iterations=NEAR_A_VORTEX)


def mean_ramp(object_: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The phase ramp in rad per voxel (3,): angles of the mean phasor of all steps, weighted by amplitudes.

    Taking it off makes the mean phase gradient, and so the mean strain against the crystal's own lattice, zero. It is
    the offset of the crystal's mean scattering vector from the array's centre.

    Parameters
    ----------
    object_ : (D, H, W) complex
    inside : (D, H, W) bool; only steps between two voxels inside count

    Returns
    -------
    (3,) float64, rad per voxel
    """
    ramp = np.zeros(3)
    for axis in range(3):
        here, there = _pair(axis)
        product = (object_[there] * object_[here].conj())[inside[here] & inside[there]]
        ramp[axis] = np.angle(product.sum()) if product.size else 0.0
    return ramp


def without_ramp(object_: np.ndarray, ramp: np.ndarray) -> np.ndarray:
    """The object without a phase ramp (3,) in rad per voxel, which is zero at index ``N // 2``.

    Parameters
    ----------
    object_ : (D, H, W) complex
    ramp : (3,) rad per voxel, see :func:`mean_ramp`

    Returns
    -------
    (D, H, W) complex128
    """
    factor = np.ones((1, 1, 1), complex)
    for axis, size in enumerate(object_.shape):
        places = np.arange(size) - size // 2
        factor = factor * np.exp(-1j * ramp[axis] * places).reshape([-1 if a == axis else 1 for a in range(3)])
    return object_ * factor


def without_offset(object_: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The object whose amplitude-weighted mean phasor inside is real and positive.

    Parameters
    ----------
    object_ : (D, H, W) complex
    inside : (D, H, W) bool, the crystal

    Returns
    -------
    (D, H, W) complex
    """
    total = object_[inside].sum()
    return object_ * np.exp(-1j * np.angle(total))


def unwrap(object_: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Continuous phase inside the crystal, zero-mean; NaN outside.

    Sorted by reliability (Herraez et al., Appl. Opt. 41, 7437 (2002); Abdul-Rahman et al., Appl. Opt. 46, 6623
    (2007), doi:10.1364/AO.46.006623). Beside a vortex no continuous phase exists: it then has a cut.

    Parameters
    ----------
    object_ : (D, H, W) complex
    inside : (D, H, W) bool, the crystal; not empty

    Returns
    -------
    (D, H, W) float64 in rad
    """
    from skimage.restoration import unwrap_phase

    phase = np.full(object_.shape, np.nan)
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    own, within = np.angle(object_[box]), inside[box]
    continuous = np.asarray(unwrap_phase(np.ma.masked_array(own, ~within), rng=0))
    phase[box] = np.where(within, continuous, np.nan)
    turns = np.round(np.average(phase[inside], weights=np.abs(object_[inside])) / (2 * np.pi))
    return phase - 2 * np.pi * turns
