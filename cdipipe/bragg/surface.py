"""The surface of a crystal: an isosurface in nanometres, and what the fields are just beneath it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cdipipe.bragg.fields import HALF, isosurface_level
from cdipipe.bragg.grid import Orthogonal, read_known

BENEATH_VOXELS = 1.0
"""Depth, in voxels of the orthogonal grid, where fields are read: at the surface itself a voxel is half outside."""

LEAST_KNOWN = 0.05
"""Weight of voxels with a value around a point of the surface, below which it has none."""


@dataclass(frozen=True)
class Surface:
    """A mesh of triangles in the frame of the orthogonal grid.

    Parameters
    ----------
    vertices_nm : (V, 3)
    faces : (F, 3) indices of vertices, counter-clockwise seen from outside
    normals : (F, 3) outward unit normals
    areas_nm2 : (F,)
    beneath_nm : (V, 3) places a voxel beneath the surface
    strain, displacement_nm, phase : (V,) there, NaN where there is no value
    """

    vertices_nm: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    areas_nm2: np.ndarray
    beneath_nm: np.ndarray
    strain: np.ndarray
    displacement_nm: np.ndarray
    phase: np.ndarray

    @property
    def centres_nm(self) -> np.ndarray:
        """Middle (F, 3) of every triangle."""
        return self.vertices_nm[self.faces].mean(1)

    def of_faces(self, values: np.ndarray) -> np.ndarray:
        """Mean over the corners (F,) of a value of the vertices (V,), where they have one.

        Parameters
        ----------
        values : (V,) real; NaN where a vertex has none

        Returns
        -------
        (F,) float64; NaN where no corner has a value
        """
        corners = values[self.faces]
        known = np.isfinite(corners)
        return np.where(known.any(1), np.where(known, corners, 0).sum(1) / np.maximum(known.sum(1), 1), np.nan)


def surface_of(grid: Orthogonal, share: float = HALF) -> Surface:
    """The isosurface of the amplitude, by marching cubes (Lewiner et al., J. Graph. Tools 8, 1 (2003)).

    Parameters
    ----------
    grid : of :func:`cdipipe.bragg.grid.to_orthogonal`
    share : of the typical amplitude inside

    Returns
    -------
    Surface in nm, its normals outward
    """
    from skimage.measure import marching_cubes

    amplitude = np.where(ndimage.binary_dilation(grid.inside, iterations=2), grid.amplitude, 0.0)
    amplitude = np.maximum(amplitude, _filled(grid, amplitude))
    level = isosurface_level(grid.amplitude * grid.inside, share)
    step = (grid.voxel_nm,) * 3
    vertices, faces, gradients, _ = marching_cubes(amplitude, level, spacing=step, gradient_direction="descent")
    vertices = vertices + grid.origin_nm
    corners = vertices[faces]
    crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(crossed, axis=1)
    normals = crossed / np.maximum(length, 1e-12)[:, None]
    outward = gradients / np.maximum(np.linalg.norm(gradients, axis=1), 1e-12)[:, None]
    if np.sum(normals * outward[faces].mean(1)) < 0:
        faces, normals = faces[:, ::-1], -normals
    beneath = vertices - outward * BENEATH_VOXELS * grid.voxel_nm
    at = (beneath - grid.origin_nm) / grid.voxel_nm
    return Surface(
        vertices_nm=vertices,
        faces=faces,
        normals=normals,
        areas_nm2=length / 2,
        beneath_nm=beneath,
        **{name: read_known(getattr(grid, name), at.T, LEAST_KNOWN) for name in ("strain", "displacement_nm", "phase")},
    )


def _filled(grid: Orthogonal, amplitude: np.ndarray) -> np.ndarray:
    """Deep inside, where the amplitude falls at a dislocation's core, as much as elsewhere: no surface in there."""
    typical = np.median(amplitude[grid.inside])
    return np.where(ndimage.binary_erosion(grid.inside, iterations=2), typical, 0.0)
