"""Atoms as a density and a mean displacement on the skewed grid of a rocking curve."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

HALF_FULL = 0.5
"""Share of the bulk's atoms per voxel above which a voxel is inside."""


@dataclass(frozen=True)
class Gathered:
    """What the atoms make of a grid; arrays of its shape.

    Parameters
    ----------
    density : atoms per voxel
    wave : sum over the atoms of exp(-i phase)
    mean : mean of a value over the atoms of each voxel, 0 where there are none
    """

    density: np.ndarray
    wave: np.ndarray
    mean: np.ndarray


def gather(indices: np.ndarray, phases_rad: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> Gathered:
    """Spread atoms over the eight voxels around each, with the weights of linear interpolation.

    Parameters
    ----------
    indices : (N, 3) places on the grid
    phases_rad, values : (N,)
    """
    first = np.floor(indices).astype(int)
    part = indices - first
    density, total = np.zeros(shape), np.zeros(shape)
    wave = np.zeros(shape, complex)
    for corner in itertools.product((0, 1), repeat=3):
        place = first + corner
        weight = np.prod(np.where(corner, part, 1 - part), axis=1)
        inside = np.all((place >= 0) & (place < shape), axis=1)
        where = tuple(place[inside].T)
        np.add.at(density, where, weight[inside])
        np.add.at(total, where, weight[inside] * values[inside])
        np.add.at(wave, where, weight[inside] * np.exp(1j * phases_rad[inside]))
    return Gathered(density, wave, np.divide(total, density, out=np.zeros(shape), where=density > 0))


def mostly_full(density: np.ndarray) -> np.ndarray:
    """Voxels with at least half of the bulk's atoms."""
    return density >= HALF_FULL * np.median(density[density > HALF_FULL * density.max()])
