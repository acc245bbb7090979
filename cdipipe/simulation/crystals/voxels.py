"""Atoms to voxels: number density and Bragg phase on a cubic grid, and what is left of the imposed strain."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cdipipe.simulation.crystals.shapes import LATTICE_CONSTANT_A

EDGE_CUT = 0.05
"""Voxels below this share of the largest density are empty, so that the object is zero outside its support."""


def bragg_phase(
    displacement: np.ndarray, lattice_constant: float = LATTICE_CONSTANT_A, hkl: Sequence[int] = (1, 1, 1)
) -> np.ndarray:
    """Phase of a reflection, Q.u = 2 pi (h u_x + k u_y + l u_z) / a, in radians.

    Parameters
    ----------
    displacement : (..., 3) float, axes along the cubic ones, in the unit of ``lattice_constant``
    hkl : of the reflection
    """
    return (2 * np.pi / lattice_constant) * (displacement @ np.asarray(hkl, float))


@dataclass(frozen=True)
class AffineFit:
    """Displacement = gradient @ (position - mean position) + rest, by least squares.

    Parameters
    ----------
    gradient : (3, 3) float64, gradient[i, j] = d u_i / d x_j
    affine, rest : (N, 3) float64, both parts at the atoms
    """

    gradient: np.ndarray
    affine: np.ndarray
    rest: np.ndarray

    @property
    def strain(self) -> np.ndarray:
        """(3, 3), the symmetric part."""
        return (self.gradient + self.gradient.T) / 2

    @property
    def rotation_rad(self) -> np.ndarray:
        """(3,) small rotation about x, y and z: the antisymmetric part."""
        odd = (self.gradient - self.gradient.T) / 2
        return np.array([odd[2, 1], odd[0, 2], odd[1, 0]])


def fit_affine(positions: np.ndarray, displacement: np.ndarray) -> AffineFit:
    """Best affine displacement of a crystal; ``displacement`` has mean zero."""
    centred = positions - positions.mean(axis=0)
    gradient = np.linalg.lstsq(centred, displacement, rcond=None)[0].T
    affine = centred @ gradient.T
    return AffineFit(gradient, affine, displacement - affine)


def voxelise(
    positions: np.ndarray, phase_rad: np.ndarray, size: int, voxel_a: float, binning: str = "cloud"
) -> tuple[np.ndarray, np.ndarray]:
    """Number density and mean phase on a grid.

    The phase of a voxel is the argument of the mean of e^{i phase} over its atoms, which stays right where the phase
    wraps. The grid is moved by whole voxels so that the centre of mass is at index ``size // 2``, or as near as the
    crystal fits: voxels of whole unit cells stay aligned with the perfect lattice, their faces midway between
    its atomic layers.

    Parameters
    ----------
    positions : (N, 3) float, angstrom from the centre of the block
    phase_rad : (N,) float
    size : voxels per axis
    voxel_a : edge of a voxel, angstrom
    binning : ``cloud`` (cloud in cell: an atom is shared by the 8 nearest voxel centres) or ``nearest``
        (an atom counts for the voxel it is in)

    Returns
    -------
    density : (size, size, size) float64, largest value 1; axes x, y, z of the lattice
    phase : same shape, radians in (-pi, pi], 0 where the density is

    Raises
    ------
    ValueError   the crystal is larger than the grid
    """
    place = positions / voxel_a
    place = place + (size // 2 - _whole_shift(place, size))
    waves = np.exp(1j * phase_rad)
    flat = np.zeros((3, size**3))
    for index, weight in _shares(place, size, binning):
        flat[0] += np.bincount(index, weight, size**3)
        flat[1] += np.bincount(index, weight * waves.real, size**3)
        flat[2] += np.bincount(index, weight * waves.imag, size**3)
    density, real, imaginary = flat.reshape(3, size, size, size)
    density = density / density.max()
    density[density < EDGE_CUT] = 0
    return density, np.where(density > 0, np.arctan2(imaginary, real), 0.0)


def _whole_shift(place: np.ndarray, size: int) -> np.ndarray:
    """(3,) whole voxels that bring the centre of mass to the origin, as far as all atoms stay inside the grid."""
    low = np.ceil(place.max(axis=0)) + size // 2 - (size - 1)
    high = np.floor(place.min(axis=0)) + size // 2
    if np.any(low > high):
        raise ValueError(f"the crystal spans {np.ptp(place, axis=0).max():.1f} voxels; the grid has {size}")
    return np.clip(np.rint(place.mean(axis=0)), low, high)


def _shares(place: np.ndarray, size: int, binning: str):
    """Flat voxel indices of all atoms with the share of each atom that falls there."""
    strides = np.array([size * size, size, 1])
    if binning == "nearest":
        yield np.rint(place).astype(np.int64) @ strides, np.ones(len(place))
        return
    base = np.floor(place).astype(np.int64)
    upper = place - base
    for corner in itertools.product((0, 1), repeat=3):
        weight = np.prod([upper[:, k] if side else 1 - upper[:, k] for k, side in enumerate(corner)], axis=0)
        yield (base + corner) @ strides, weight
