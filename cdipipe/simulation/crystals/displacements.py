"""Displacement fields of crystals along the scattering vector, known by formula.

Places are in the crystal frame, z along Q. Every field is the component u_Q of the displacement in nm; a lattice
displaced by it has the phase -|Q| u_Q.
"""

from __future__ import annotations

import numpy as np

POISSON_RATIO = 0.42
"""Of gold, for edge dislocations."""


def smooth(places: np.ndarray, radius_nm: float, rng: np.random.Generator) -> np.ndarray:
    """A random polynomial of second and third order; its scale does not matter.

    Parameters
    ----------
    places : (..., 3) nm
    radius_nm : of the crystal
    """
    x, y, z = np.moveaxis(places / radius_nm, -1, 0)
    second = (x * x, y * y, z * z, x * y, y * z, x * z)
    third = (x**3, y**3, z**3, x * x * y, y * y * z, z * z * x, x * y * z)
    weights = rng.standard_normal(len(second) + len(third))
    return sum(weight * term for weight, term in zip(weights, (*second, *third), strict=True))


def bend(places: np.ndarray, radius_nm: float, rng: np.random.Generator) -> np.ndarray:
    """Planes that are bent about a random axis across Q and so stretched on one side; its scale does not matter."""
    x, y, z = np.moveaxis(places / radius_nm, -1, 0)
    angle = rng.uniform(0, 2 * np.pi)
    across = np.cos(angle) * x + np.sin(angle) * y
    return across * z - 0.5 * across**2


def inclusion(places: np.ndarray, radius_nm: float, rng: np.random.Generator) -> np.ndarray:
    """A misfitting sphere off the middle: a dilated core in an infinite matrix (Eshelby); its scale does not matter."""
    centre = 0.35 * radius_nm * _direction(rng)
    away = (places - centre) / (0.35 * radius_nm)
    distance = np.linalg.norm(away, axis=-1)
    return away[..., 2] * np.where(distance < 1, 1.0, 1 / np.maximum(distance, 1e-9) ** 3)


def screw(places: np.ndarray, radius_nm: float, rng: np.random.Generator, d_nm: float) -> np.ndarray:
    """A screw dislocation along Q: u = d theta / (2 pi), Q.b = 2 pi."""
    along, across = _around(places, radius_nm, rng)
    return d_nm * np.arctan2(across, along) / (2 * np.pi)


def edge(places: np.ndarray, radius_nm: float, rng: np.random.Generator, d_nm: float) -> np.ndarray:
    """An edge dislocation whose Burgers vector is along Q, Q.b = 2 pi; isotropic elasticity.

    Hirth & Lothe, Theory of Dislocations, 2nd edition (1982), equation 3-45: u_x of b along x, line along z.
    """
    x, y, z = np.moveaxis(places, -1, 0)
    angle = rng.uniform(0, 2 * np.pi)
    across = np.cos(angle) * x + np.sin(angle) * y - 0.13 * radius_nm
    along = z - 0.11 * radius_nm
    squared = np.maximum(along**2 + across**2, 1e-12)
    turned = np.arctan2(across, along)
    return d_nm / (2 * np.pi) * (turned + along * across / (2 * (1 - POISSON_RATIO) * squared))


def vector(places: np.ndarray, radius_nm: float, rng: np.random.Generator) -> np.ndarray:
    """Three components (..., 3), each a random polynomial of second and third order of range about one."""
    return np.stack([_without_gradient(smooth, places, radius_nm, rng) for _ in range(3)], axis=-1)


def _without_gradient(field, places: np.ndarray, radius_nm: float, rng: np.random.Generator) -> np.ndarray:
    """A field less its mean gradient over a sphere, with a range of about one in there."""
    state = rng.bit_generator.state
    axis = np.linspace(-radius_nm, radius_nm, 21)
    sphere = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    sphere = sphere[np.linalg.norm(sphere, axis=-1) < radius_nm]
    inside = field(sphere, radius_nm, rng)
    design = np.column_stack([sphere / radius_nm, np.ones(len(sphere))])
    fit = np.linalg.lstsq(design, inside, rcond=None)[0]
    rng.bit_generator.state = state
    rest = field(places, radius_nm, rng) - places / radius_nm @ fit[:3] - fit[3]
    return rest / np.ptp(inside - design @ fit)


def _around(places: np.ndarray, radius_nm: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates across a line along z that passes beside the middle."""
    x, y, _ = np.moveaxis(places, -1, 0)
    angle = rng.uniform(0, 2 * np.pi)
    return x - 0.2 * radius_nm * np.cos(angle), y - 0.2 * radius_nm * np.sin(angle)


def _direction(rng: np.random.Generator) -> np.ndarray:
    vector = rng.standard_normal(3)
    return vector / np.linalg.norm(vector)


SCALED = {"smooth": smooth, "bend": bend, "inclusion": inclusion}
"""Fields whose range is chosen."""

DISLOCATIONS = {"screw": screw, "edge": edge}
"""Fields whose range is that of one lattice plane."""
