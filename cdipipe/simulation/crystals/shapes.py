"""Faceted pieces of an fcc block: which lattice sites remain after random planes have cut it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from cdipipe.errors import InputError

LATTICE_CONSTANT_A = 4.08
"""Of the potential Au_u3 (angstrom); gold at room temperature has 4.078."""
LEAST_NEIGHBOURS = 5
"""Atoms with fewer nearest neighbours (of 12) hop along the surface while the crystal relaxes; they are taken away."""
MOST_REDRAWS = 100

HIGH_SYMMETRY = np.array([v for v in itertools.product((-1, 0, 1), repeat=3) if any(v)], float)
"""The 6 + 12 + 8 normals of {100}, {110} and {111}."""
NEIGHBOURS = np.array([v for v in itertools.product((-1, 0, 1), repeat=3) if np.abs(v).sum() == 2])
"""Vectors to the 12 nearest neighbours in half lattice constants."""


@dataclass(frozen=True)
class Shape:
    """A clipped crystal on its perfect lattice.

    Parameters
    ----------
    sites : (N, 3) float64, angstrom from the centre of the block, axes along the cubic ones
    planes : (P, 4) float64, outward unit normal and distance from the centre of the block in angstrom
    redraws : shapes that were thrown away before, because fewer atoms than asked for were left
    """

    sites: np.ndarray
    planes: np.ndarray
    redraws: int


def cells_per_edge(block_nm: float) -> int:
    """Whole unit cells along the edge of the block."""
    return max(1, round(block_nm * 10 / LATTICE_CONSTANT_A))


def draw_shape(parameters, rng: np.random.Generator) -> Shape:
    """Clip the block by random planes until at least ``min_atoms`` atoms are left.

    Parameters
    ----------
    parameters : with ``block_nm``, ``planes``, ``plane_count``, ``plane_distance`` and ``min_atoms``
        (see :class:`cdipipe.simulation.scenes.crystal.CrystalParameters`)

    Raises
    ------
    InputError   a hundred draws in a row left too few atoms
    """
    cells = cells_per_edge(parameters.block_nm)
    edge = cells * LATTICE_CONSTANT_A
    for redraws in range(MOST_REDRAWS):
        count = int(rng.integers(parameters.plane_count[0], parameters.plane_count[1] + 1))
        normals = draw_normals(parameters.planes, count, rng)
        distances = rng.uniform(*parameters.plane_distance, count) * edge
        occupied = _occupied(cells, normals, distances)
        if np.count_nonzero(occupied) >= parameters.min_atoms:
            occupied = _pruned(occupied)
        atoms = np.count_nonzero(occupied)
        if atoms >= parameters.min_atoms:
            sites = (np.argwhere(occupied) - (cells - 0.5)) * (LATTICE_CONSTANT_A / 2)
            return Shape(sites, np.column_stack([normals, distances]), redraws)
    raise InputError(
        f"scene crystal: {MOST_REDRAWS} draws in a row left fewer than {parameters.min_atoms} atoms of a block of "
        f"{4 * cells**3}; allow a larger plane_distance (now {list(parameters.plane_distance)}), a larger block_nm or "
        "fewer min_atoms"
    )


def draw_normals(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 3) unit normals: ``high_symmetry`` without repetition, or ``random`` uniform on the sphere."""
    if kind == "high_symmetry":
        normals = HIGH_SYMMETRY[rng.permutation(len(HIGH_SYMMETRY))[:count]]
    else:
        normals = rng.normal(size=(count, 3))
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _occupied(cells: int, normals: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Bool cube in half lattice constants, True at the fcc sites on the inner side of every plane."""
    places = np.arange(2 * cells)
    occupied = (places[:, None, None] + places[:, None] + places) % 2 == 0
    along = (places - (cells - 0.5)) * (LATTICE_CONSTANT_A / 2)
    for normal, distance in zip(normals, distances, strict=True):
        x, y, z = (component * along for component in normal)
        occupied &= x[:, None, None] + (y[:, None] + z) <= distance
    return occupied


def _pruned(occupied: np.ndarray) -> np.ndarray:
    """Without loosely bound sites, over and over until none is left."""
    while True:
        padded = np.pad(occupied, 1)
        neighbours = np.zeros(occupied.shape, np.uint8)
        for step in NEIGHBOURS:
            neighbours += padded[tuple(slice(1 + s, 1 + s + n) for s, n in zip(step, occupied.shape, strict=True))]
        loose = occupied & (neighbours < LEAST_NEIGHBOURS)
        if not loose.any():
            return occupied
        occupied = occupied & ~loose
