"""What strains a crystal unevenly: clamps that bend, twist or pull it, misfits inside, dislocations, stacking faults.

A load moves every atom and holds some of them there; LAMMPS relaxes the others. Sites are in angstrom from the centre
of the block, axes along the cubic ones. The fields are those of elasticity, or near to them: they are where the
relaxation begins, not where it ends. Only the held atoms stay as they were put.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cdipipe.simulation.crystals.displacements import POISSON_RATIO
from cdipipe.simulation.crystals.shapes import LATTICE_CONSTANT_A, Shape

HELD_SHARE = 0.1
"""Of the atoms, at each end of a crystal that is bent, twisted or slipped."""
CAP_SHARE = 0.06
"""Of the atoms, under each clamp of ``clamps``."""
DIRECTIONS_111 = np.array(list(itertools.product((1, -1), repeat=3))) / np.sqrt(3)
DIRECTIONS_110 = np.array([v for v in itertools.product((-1, 0, 1), repeat=3) if np.abs(v).sum() == 2]) / np.sqrt(2)


@dataclass(frozen=True)
class Load:
    """Where the atoms of a crystal are put before they relax.

    Parameters
    ----------
    displacement : (N, 3) float64, angstrom
    held : (N,) bool, atoms that stay where they are put
    """

    displacement: np.ndarray
    held: np.ndarray

    def __add__(self, other: Load) -> Load:
        return Load(self.displacement + other.displacement, self.held | other.held)


def draw_loads(shape: Shape, kinds: Sequence[str], strain: float, rng: np.random.Generator) -> Load:
    """All loads of these kinds together.

    Parameters
    ----------
    kinds : keys of ``KINDS``
    strain : largest local strain, about
    """
    parts = [KINDS[kind](shape, strain * rng.uniform(0.5, 1) * rng.choice([-1, 1]), rng) for kind in kinds]
    return sum(parts[1:], parts[0])


def bend(shape: Shape, strain: float, rng: np.random.Generator) -> Load:
    """Both ends along a <111> turned against each other: the outermost fibres have this strain."""
    along, across, _ = _frame(DIRECTIONS_111[rng.integers(8)], rng)
    s, t = shape.sites @ along, shape.sites @ across
    curvature = strain / radius_of(shape.sites)
    moved = np.outer(-curvature * s * t, along) + np.outer(curvature * s**2 / 2, across)
    return Load(moved, _ends(s))


def twist(shape: Shape, strain: float, rng: np.random.Generator) -> Load:
    """Both ends along a <111> turned about it: the rim is sheared by this strain."""
    along = DIRECTIONS_111[rng.integers(8)]
    s = shape.sites @ along
    turn = 2 * strain / radius_of(shape.sites) * s
    return Load(turn[:, None] * np.cross(along, shape.sites), _ends(s))


def clamps(shape: Shape, strain: float, rng: np.random.Generator) -> Load:
    """Three or four caps along different <111>, each pulled its own way, by the strain times the diameter."""
    directions = DIRECTIONS_111[rng.permutation(8)[: rng.integers(3, 5)]]
    pulls = rng.normal(size=(len(directions), 3))
    pulls *= 2 * strain * radius_of(shape.sites) / np.linalg.norm(pulls, axis=1, keepdims=True)
    height = shape.sites @ directions.T
    caps = height >= np.quantile(height, 1 - CAP_SHARE, axis=0)
    centres = np.stack([shape.sites[cap].mean(axis=0) for cap in caps.T])
    squared = ((shape.sites[:, None] - centres) ** 2).sum(axis=2)
    weight = np.where(caps, 1e6, 1.0) / (squared + (0.3 * radius_of(shape.sites)) ** 2)
    return Load(weight @ pulls / weight.sum(axis=1, keepdims=True), caps.any(axis=1))


def inclusion(shape: Shape, strain: float, rng: np.random.Generator) -> Load:
    """A ball off the middle whose lattice is larger or smaller by twice the strain; around it Eshelby's field."""
    radius = radius_of(shape.sites)
    centre = rng.normal(size=3)
    centre *= rng.uniform(0.2, 0.5) * radius / np.linalg.norm(centre)
    ball = rng.uniform(0.3, 0.45) * radius
    away = shape.sites - centre
    distance = np.linalg.norm(away, axis=1)
    moved = 2 * strain * away * np.minimum(1, ball / np.maximum(distance, 1e-9))[:, None] ** 3
    return Load(moved, distance <= ball)


def core_shell(shape: Shape, strain: float, rng: np.random.Generator) -> Load:
    """A core with the crystal's facets whose lattice is larger or smaller by twice the strain."""
    share, normals, distances = rng.uniform(0.5, 0.7), shape.planes[:, :3], shape.planes[:, 3]
    middle = shape.sites.mean(axis=0)
    away = shape.sites - middle
    outside = (away @ normals.T / (share * (distances - normals @ middle))).max(axis=1)
    outside = np.maximum(outside, np.linalg.norm(away, axis=1) / (share * radius_of(shape.sites)))
    return Load(2 * strain * away / np.maximum(1, outside)[:, None] ** 3, outside <= 1)


def dislocation(shape: Shape, strain: float, rng: np.random.Generator) -> Load:
    """A straight dislocation a/2<110> of any character between two layers of a {111}; isotropic elasticity.

    One side of the glide plane is cut and slips by the Burgers vector. Hirth & Lothe, Theory of Dislocations, 2nd
    edition (1982), equations 3-3 and 3-45. ``strain`` tells the sign alone.
    """
    normal = DIRECTIONS_111[rng.integers(8)]
    within = DIRECTIONS_110[np.abs(DIRECTIONS_110 @ normal) < 1e-9]
    burgers = np.sign(strain) * within[rng.integers(len(within))] * LATTICE_CONSTANT_A / np.sqrt(2)
    line = within[rng.integers(len(within))]
    if rng.random() < 0.5:
        line = np.cross(normal, line)
    across = np.cross(normal, line)
    radius = radius_of(shape.sites)
    x = shape.sites @ across - rng.uniform(-0.3, 0.3) * radius
    y = shape.sites @ normal - _between_layers(shape.sites @ normal, radius, rng)
    squared, angle = x**2 + y**2, np.arctan2(y, x) / (2 * np.pi)
    stiff = 4 * np.pi * (1 - POISSON_RATIO)
    slip = angle + x * y / (stiff * squared)
    climb = -((1 - 2 * POISSON_RATIO) * np.log(squared / radius**2) / 2 + (x**2 - y**2) / (2 * squared)) / stiff
    moved = np.outer((burgers @ line) * angle, line)
    moved += (burgers @ across) * (np.outer(slip, across) + np.outer(climb, normal))
    return Load(moved, _ends(shape.sites @ normal))


def fault(shape: Shape, strain: float, rng: np.random.Generator) -> Load:
    """One half of the crystal shifted by a/6<112> over a {111}: an intrinsic stacking fault. Takes no strain."""
    signs = DIRECTIONS_111[rng.integers(8)] * np.sqrt(3)
    height = shape.sites @ signs / np.sqrt(3)
    beyond = height > _between_layers(height, radius_of(shape.sites), rng)
    shift = np.roll([1, 1, -2], rng.integers(3)) * signs * LATTICE_CONSTANT_A / 6
    return Load(np.outer(beyond, shift), _ends(height))


KINDS = {
    "bend": bend,
    "twist": twist,
    "clamps": clamps,
    "inclusion": inclusion,
    "core_shell": core_shell,
    "dislocation": dislocation,
    "fault": fault,
}


def radius_of(sites: np.ndarray) -> float:
    """Of the ball with the same radius of gyration."""
    return float(np.sqrt(5 / 3 * ((sites - sites.mean(axis=0)) ** 2).sum(axis=1).mean()))


def _frame(along: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``along`` and two unit vectors across it, the first of them random."""
    across = np.cross(along, rng.normal(size=3))
    across /= np.linalg.norm(across)
    return along, across, np.cross(along, across)


def _ends(height: np.ndarray) -> np.ndarray:
    low, high = np.quantile(height, [HELD_SHARE, 1 - HELD_SHARE])
    return (height <= low) | (height >= high)


def _between_layers(height: np.ndarray, radius: float, rng: np.random.Generator) -> float:
    """A height midway between two layers of {111}, not far from the middle."""
    spacing = LATTICE_CONSTANT_A / np.sqrt(3)
    wanted = np.median(height) + rng.uniform(-0.3, 0.3) * radius
    return float(height[np.abs(height - wanted).argmin()] + spacing / 2)
