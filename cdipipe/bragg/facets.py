"""Flat parts of a crystal's surface, with the lattice planes that they are, and the strain on each.

Normals of the triangles are smoothed over a neighbourhood; their density on the sphere, weighted by areas, has a peak
for every facet. A facet is what lies near a peak. Which planes they are follows from the reflection: its planes are
across Q, and one rotation about Q is left, for which the normals are laid over those of low-index planes.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from cdipipe.bragg.surface import Surface
from cdipipe.optics.lattice import rotation_to_z

SMOOTHED_SHARE = 0.06
"""Radius of the neighbourhood over which normals are smoothed, in square roots of the whole surface."""
PEAK_DEG = 7.0
NEAR_DEG = 16.0
"""Triangles whose normal is within this of a facet's belong to it."""
APART_DEG = 20.0
SMALLEST_SHARE = 0.015
"""Of the surface; smaller flat parts are no facets."""
INDEXED_DEG = 12.0
"""A normal farther than this from every low-index one stays without indices."""
DIRECTIONS = 4000
FAMILIES = {(1, 1, 1): 1.0, (1, 0, 0): 1.0, (1, 1, 0): 0.8, (3, 1, 1): 0.6}
"""Planes that facets are named by, with the weight that they have while the rotation about Q is found."""


@dataclass(frozen=True)
class Facet:
    """One facet.

    Parameters
    ----------
    normal : (3,) outward, in the frame of the surface
    area_nm2 : of its triangles
    faces : (n,) indices of triangles
    hkl : lattice plane, or None
    off_deg : angle between the normal and that of ``hkl``
    mean_strain, std_strain : over its area, a voxel beneath the surface
    mean_displacement_nm : likewise
    """

    normal: np.ndarray
    area_nm2: float
    faces: np.ndarray
    hkl: tuple[int, int, int] | None
    off_deg: float
    mean_strain: float
    std_strain: float
    mean_displacement_nm: float


def facets_of(surface: Surface, q_direction: np.ndarray, hkl: tuple[int, int, int] | None = None) -> list[Facet]:
    """Facets by area, largest first.

    Parameters
    ----------
    surface : closed triangles in nm, of :func:`cdipipe.bragg.surface.surface_of`
    q_direction : (3,) unit vector along Q in the frame of the surface
    hkl : of the reflection; without it no indices are given

    Returns
    -------
    list of Facet, each above a small share of the whole area
    """
    normals = _smoothed(surface)
    peaks = _peaks(normals, surface.areas_nm2)
    members = _members(normals, surface.areas_nm2, peaks)
    found = [(faces, _mean_normal(surface.normals, surface.areas_nm2, faces)) for faces in members]
    found = [
        (faces, normal)
        for faces, normal in found
        if surface.areas_nm2[faces].sum() > SMALLEST_SHARE * surface.areas_nm2.sum()
    ]
    labels = _indexed([normal for _, normal in found], [surface.areas_nm2[f].sum() for f, _ in found], q_direction, hkl)
    made = [_facet(surface, faces, normal, *label) for (faces, normal), label in zip(found, labels, strict=True)]
    return sorted(made, key=lambda facet: -facet.area_nm2)


def mean_strain_std(facet: Facet, surface: Surface, strains: Sequence[np.ndarray]) -> float:
    """Standard deviation of a facet's mean strain over independent runs.

    Parameters
    ----------
    facet : one of :func:`facets_of`
    surface : its surface
    strains : of two or more runs, (V,) each at ``surface.beneath_nm``, NaN where there is no value

    Returns
    -------
    float; NaN where fewer than two runs have a value
    """
    areas = surface.areas_nm2[facet.faces]
    means = np.array([_weighted(surface.of_faces(strain)[facet.faces], areas)[0] for strain in strains])
    known = means[np.isfinite(means)]
    return float(np.std(known, ddof=1)) if len(known) > 1 else float("nan")


def _smoothed(surface: Surface) -> np.ndarray:
    """Area-weighted mean normal (F, 3) around every triangle."""
    radius = SMOOTHED_SHARE * np.sqrt(surface.areas_nm2.sum())
    tree = cKDTree(surface.centres_nm)
    near = tree.sparse_distance_matrix(tree, radius, output_type="coo_matrix").tocsr()
    near.data = np.ones_like(near.data)
    near.setdiag(1)
    total = near @ (surface.normals * surface.areas_nm2[:, None])
    return total / np.maximum(np.linalg.norm(total, axis=1), 1e-12)[:, None]


def _sphere(count: int) -> np.ndarray:
    """Evenly spread directions (count, 3): a Fibonacci spiral."""
    k = np.arange(count) + 0.5
    z, turn = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    across = np.sqrt(1 - z**2)
    return np.stack([across * np.cos(turn), across * np.sin(turn), z], axis=1)


def _peaks(normals: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Directions of the densest normals, at least ``APART_DEG`` from each other."""
    directions = _sphere(DIRECTIONS)
    sharp = 1 / np.radians(PEAK_DEG) ** 2
    density = np.zeros(DIRECTIONS)
    for part in np.array_split(np.arange(len(normals)), max(1, len(normals) // 5000)):
        density += np.exp(sharp * (directions @ normals[part].T - 1)) @ areas[part]
    tree, reach = cKDTree(directions), 2 * np.sin(np.radians(APART_DEG) / 2)
    kept = []
    for index in np.argsort(-density):
        is_highest = density[index] >= density[tree.query_ball_point(directions[index], reach / 2)].max()
        if is_highest and all(directions[index] @ directions[other] < np.cos(np.radians(APART_DEG)) for other in kept):
            kept.append(index)
    return directions[kept]


def _members(normals: np.ndarray, areas: np.ndarray, peaks: np.ndarray) -> list[np.ndarray]:
    """Triangles of each peak; its direction is refined twice."""
    for _ in range(3):
        cosines = normals @ peaks.T
        nearest = np.argmax(cosines, axis=1)
        close = cosines[np.arange(len(normals)), nearest] > np.cos(np.radians(NEAR_DEG))
        members = [np.flatnonzero(close & (nearest == index)) for index in range(len(peaks))]
        members = [faces for faces in members if faces.size]
        peaks = np.array([_mean_normal(normals, areas, faces) for faces in members])
    return members


def _mean_normal(normals: np.ndarray, areas: np.ndarray, faces: np.ndarray) -> np.ndarray:
    total = (normals[faces] * areas[faces, None]).sum(0)
    return total / max(float(np.linalg.norm(total)), 1e-12)


def low_index_planes() -> list[tuple[int, int, int]]:
    """Every plane of the families {111}, {100}, {110} and {311}."""
    found = set()
    for family in FAMILIES:
        for order in itertools.permutations(family):
            for signs in itertools.product((-1, 1), repeat=3):
                found.add(tuple(sign * index for sign, index in zip(signs, order, strict=True)))
    return sorted(found)


def _indexed(normals, areas, q_direction, hkl) -> list[tuple[tuple[int, int, int] | None, float]]:
    """Plane of each normal and the angle to it, for the rotation about Q that fits the whole surface best."""
    if hkl is None or not normals:
        return [(None, float("nan"))] * len(normals)
    planes = low_index_planes()
    ideal = np.array([np.asarray(plane) / np.linalg.norm(plane) for plane in planes]) @ rotation_to_z(hkl).T
    own = np.array(normals) @ rotation_to_z(q_direction).T
    weights = np.array([FAMILIES[tuple(sorted(np.abs(plane).tolist(), reverse=True))] for plane in planes])
    best, score = 0.0, -np.inf
    for angle in np.radians(np.arange(0, 360, 0.5)):
        cosines = own @ _about_z(ideal, angle).T
        fit = (np.exp((cosines - 1) / np.radians(PEAK_DEG) ** 2) * weights).max(1) @ np.asarray(areas)
        if fit > score:
            best, score = angle, fit
    cosines = own @ _about_z(ideal, best).T
    found = []
    for row in cosines:
        plane = int(np.argmax(row))
        off = float(np.degrees(np.arccos(np.clip(row[plane], -1, 1))))
        found.append((planes[plane] if off < INDEXED_DEG else None, off))
    return found


def _about_z(vectors: np.ndarray, angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return vectors @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def _facet(surface: Surface, faces: np.ndarray, normal: np.ndarray, hkl, off_deg: float) -> Facet:
    areas = surface.areas_nm2[faces]
    strain, displacement = (surface.of_faces(values)[faces] for values in (surface.strain, surface.displacement_nm))
    mean, std = _weighted(strain, areas)
    return Facet(normal, float(areas.sum()), faces, hkl, off_deg, mean, std, _weighted(displacement, areas)[0])


def _weighted(values: np.ndarray, areas: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation by area, of what has a value."""
    known = np.isfinite(values)
    if not known.any():
        return float("nan"), float("nan")
    mean = float(np.average(values[known], weights=areas[known]))
    return mean, float(np.sqrt(np.average((values[known] - mean) ** 2, weights=areas[known])))
