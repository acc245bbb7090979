"""A gold lacey film made by code: a thin film with rounded holes of many sizes between curved threads."""

from __future__ import annotations

import numpy as np

FINE = 4
"""Drawn this much finer and averaged: soft edges."""
CELLS_ACROSS = 4.5
"""Mean number of holes along a side."""
THREAD_SHARE = 0.09
"""Half the mean width of the threads as a share of the mean hole."""


def lacey_film(side: int, rng: np.random.Generator, cells_across: float = CELLS_ACROSS) -> np.ndarray:
    """(side, side) float64 in 0 to 1: 1 where there is gold, 0 in the holes, between at the edges.

    Holes are the cells of a weighted Voronoi diagram whose walls are given a width that varies from place to place;
    blurring and cutting rounds their corners, as surface tension does.
    """
    from scipy.ndimage import gaussian_filter

    fine = side * FINE
    cell = fine / cells_across
    count = max(int(1.6 * (cells_across + 2) ** 2), 4)
    seeds = rng.uniform(-cell, fine + cell, (count, 2))
    shrink = cell * 0.9 * rng.random(count) ** 2
    axis = np.arange(fine)
    distance = np.hypot(axis[None, :, None] - seeds[:, 0, None, None], axis[None, None, :] - seeds[:, 1, None, None])
    nearest = np.partition(distance + shrink[:, None, None], 1, axis=0)[:2]
    width = THREAD_SHARE * cell * (0.7 + 0.6 * _smooth(rng, fine, cell))
    film = gaussian_filter((nearest[1] - nearest[0] < 2 * width).astype(np.float64), 0.06 * cell) > 0.45
    soft = gaussian_filter(film.astype(np.float64), 0.35 * FINE)
    return soft.reshape(side, FINE, side, FINE).mean((1, 3))


def _smooth(rng: np.random.Generator, side: int, scale: float) -> np.ndarray:
    """Smooth noise in 0 to 1."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(rng.standard_normal((side, side)), scale, mode="wrap")
    return (noise - noise.min()) / max(float(np.ptp(noise)), 1e-12)
