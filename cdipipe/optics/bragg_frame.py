"""The axes of a rocking curve in both spaces: reciprocal ones, and the object's voxels in nanometres.

Frames, signs and the relation between indices, q and r are those of :mod:`cdipipe.optics.diffraction`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cdipipe.errors import InputError
from cdipipe.geometry import Geometry
from cdipipe.optics.diffraction import reciprocal_axes, require_complete, rotation_of, scattering_vectors

FLAT = 1e-6
"""Volume of three axes over the product of their lengths, below which they count as lying in one plane."""


def dual_axes(axes_per_nm: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Matrix A = 2 pi inv(B)^T / N: its columns are the steps from voxel to voxel of the object, nm.

    Parameters
    ----------
    axes_per_nm : (3, 3), B of :func:`reciprocal_axes`
    shape : (D, H, W) of the rocking curve

    Returns
    -------
    (3, 3) float64, nm

    Raises
    ------
    InputError   the columns of B lie in one plane
    """
    box = np.prod(np.linalg.norm(axes_per_nm, axis=0))
    if abs(np.linalg.det(axes_per_nm)) <= FLAT * box:
        raise InputError("the axes of this rocking curve lie in one plane: the sample was turned about an axis along Q")
    return 2 * np.pi * np.linalg.inv(axes_per_nm).T / np.asarray(shape)


@dataclass(frozen=True)
class BraggFrame:
    """A rocking curve's axes in both spaces, in the lab frame as the sample stood at the middle pattern.

    Parameters
    ----------
    shape : (D, H, W) of pattern and object
    q_per_nm : (3,) scattering vector at the centre ``N // 2``
    reciprocal_per_nm : (3, 3), columns dq/d(pattern), dq/d(row), dq/d(column)
    voxels_nm : (3, 3), columns are the steps from voxel to voxel along the object's axes 0, 1, 2
    sample_to_lab : (3, 3), turns vectors of the sample's frame (all circles at zero) into the lab frame
    wavelength_nm : of the light
    """

    shape: tuple[int, int, int]
    q_per_nm: np.ndarray
    reciprocal_per_nm: np.ndarray
    voxels_nm: np.ndarray
    sample_to_lab: np.ndarray
    wavelength_nm: float

    @property
    def voxel_nm(self) -> np.ndarray:
        """Lengths (3,) of the voxel axes."""
        return np.linalg.norm(self.voxels_nm, axis=0)

    @property
    def voxel_angles_deg(self) -> np.ndarray:
        """Angles (3,) between the voxel axes (1, 2), (0, 2) and (0, 1), as alpha, beta, gamma of a crystal."""
        return axis_angles_deg(self.voxels_nm)

    @property
    def voxel_volume_nm3(self) -> float:
        """Volume of one voxel of the object, nm^3."""
        return float(abs(np.linalg.det(self.voxels_nm)))

    @property
    def field_of_view_nm(self) -> np.ndarray:
        """Lengths (3,) of the edges of the whole array of voxels."""
        return self.voxel_nm * np.asarray(self.shape)

    @property
    def resolution_nm(self) -> np.ndarray:
        """Half of the finest period (3,) along each reciprocal axis: the distance between planes of voxels."""
        return 2 * np.pi / (np.linalg.norm(self.reciprocal_per_nm, axis=0) * np.asarray(self.shape))

    @property
    def d_spacing_nm(self) -> float:
        """Distance of lattice planes, 2 pi / |Q|."""
        return float(2 * np.pi / np.linalg.norm(self.q_per_nm))

    @property
    def spacings_nm(self) -> tuple[float, float]:
        """Least and largest distance of lattice planes whose peak lies within scan and detector."""
        ends = [(-(size // 2), size - 1 - size // 2) for size in self.shape]
        corners = np.array(list(itertools.product(*ends)))
        lengths = np.linalg.norm(self.q_per_nm + corners @ self.reciprocal_per_nm.T, axis=1)
        return float(2 * np.pi / lengths.max()), float(2 * np.pi / lengths.min())

    @property
    def bragg_angle_deg(self) -> float:
        """Half of the angle between incident and scattered beam: asin(wavelength / 2 d)."""
        return float(np.degrees(np.arcsin(self.wavelength_nm / (2 * self.d_spacing_nm))))

    def places_nm(self, indices: np.ndarray) -> np.ndarray:
        """Positions (..., 3) in the lab frame of object indices (..., 3); index ``N // 2`` is the origin.

        Parameters
        ----------
        indices : (..., 3), whole or not

        Returns
        -------
        (..., 3) float64, nm
        """
        return (np.asarray(indices) - np.asarray([size // 2 for size in self.shape])) @ self.voxels_nm.T

    def indices(self, places_nm: np.ndarray) -> np.ndarray:
        """Object indices (..., 3), whole or not, of positions (..., 3) in the lab frame.

        Parameters
        ----------
        places_nm : (..., 3) in nm

        Returns
        -------
        (..., 3) float64
        """
        centre = np.asarray([size // 2 for size in self.shape])
        return np.asarray(places_nm) @ np.linalg.inv(self.voxels_nm).T + centre


def axis_angles_deg(axes: np.ndarray) -> np.ndarray:
    """Angles (3,) between columns (1, 2), (0, 2) and (0, 1) of a matrix (3, 3), degrees.

    Parameters
    ----------
    axes : columns of any length but 0
    """
    directions = axes / np.linalg.norm(axes, axis=0)
    cosines = directions.T @ directions
    return np.degrees(np.arccos(np.clip([cosines[1, 2], cosines[0, 2], cosines[0, 1]], -1, 1)))


def bragg_frame(geometry: Geometry, shape: Sequence[int]) -> BraggFrame:
    """Axes of a rocking curve (D, H, W) whose peak is at ``N // 2``, and of the object phased from it.

    Parameters
    ----------
    geometry : of the rocking curve, complete
    shape : (D, H, W): patterns, rows, columns

    Raises
    ------
    InputError   the geometry is not complete (the message lists what to give), or contradicts itself
    """
    require_complete(geometry)
    shape = tuple(int(size) for size in shape)
    if len(shape) != 3:
        raise InputError(f"a rocking curve has three axes; got shape {shape}")
    if len(geometry.scan.positions) != shape[0]:
        raise InputError(
            f"the scan has {len(geometry.scan.positions)} positions of '{geometry.scan.motor}', but the rocking curve "
            f"has {shape[0]} patterns"
        )
    centre = np.array([[size // 2 for size in shape]])
    reciprocal = reciprocal_axes(geometry, shape)
    return BraggFrame(
        shape=shape,
        q_per_nm=scattering_vectors(geometry, shape, centre)[0],
        reciprocal_per_nm=reciprocal,
        voxels_nm=dual_axes(reciprocal, shape),
        sample_to_lab=rotation_of(geometry.sample_circles),
        wavelength_nm=geometry.wavelength_m * 1e9,
    )
