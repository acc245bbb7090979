"""Dead leaves made by code: ellipses and bars over one another, edges and shades of all sizes as in natural images."""

from __future__ import annotations

import numpy as np

FINE = 2
"""Drawn this much finer and averaged: soft edges."""
LEAST_RADIUS, LARGEST_RADIUS = 0.02, 0.6
"""Of the picture's side; the number of leaves falls as 1 / r^2."""


def dead_leaves(side: int, rng: np.random.Generator) -> np.ndarray:
    """(side, side) float64, at least 0: leaves over one another, each with a slope and some with a grain.

    References
    ----------
    Lee, Mumford, Huang, Int. J. Comput. Vis. 41, 35 (2001), doi:10.1023/A:1011109015675
    """
    fine = side * FINE
    y, x = np.ogrid[-0.5 : 0.5 : fine * 1j, -0.5 : 0.5 : fine * 1j]
    image = np.full((fine, fine), rng.random())
    softness = rng.choice([0.0, 0.02, 0.1])
    for _ in range(rng.integers(5, 120)):
        cover, shade = _leaf(rng, y, x, softness)
        image = image + cover * (shade - image)
    if rng.random() < 0.4:
        image = image + _grain(rng, fine)
    return np.clip(image.reshape(side, FINE, side, FINE).mean((1, 3)), 0, None)


def _leaf(rng: np.random.Generator, y, x, softness: float) -> tuple[np.ndarray, np.ndarray]:
    """Where one leaf covers what is below it, and its grey."""
    radius = LEAST_RADIUS / (1 - rng.random() * (1 - LEAST_RADIUS / LARGEST_RADIUS))
    angle, flat = rng.uniform(0, np.pi), rng.uniform(0.15, 1)
    v, u = y - rng.uniform(-0.6, 0.6), x - rng.uniform(-0.6, 0.6)
    along = (np.cos(angle) * u + np.sin(angle) * v) / radius
    across = (np.cos(angle) * v - np.sin(angle) * u) / (radius * flat)
    reach = np.hypot(along, across) if rng.random() < 0.6 else np.maximum(np.abs(along), np.abs(across))
    cover = np.clip((1 - reach) * radius / max(softness * rng.random(), 1e-3), 0, 1)
    shade = rng.random() + 0.3 * rng.normal() * along + 0.3 * rng.normal() * across
    if rng.random() < 0.15:
        shade = shade + 0.3 * np.sin(rng.uniform(3, 40) * along + rng.uniform(0, 6))
    return cover, shade


def _grain(rng: np.random.Generator, side: int) -> np.ndarray:
    """Noise whose amplitude falls with the frequency."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) * side
    fall = np.maximum(frequency, 2) ** rng.uniform(0.3, 1.5)
    grain = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) / fall, s=(side, side))
    return rng.uniform(0, 0.25) * grain / grain.std()
