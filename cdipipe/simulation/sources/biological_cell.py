"""Thickness of a biological cell made by code: a body with a membrane, nucleus, organelles and fibres.

Thickness is that of its dense matter (protein) along the beam, so what overlaps adds up.
"""

from __future__ import annotations

import numpy as np

FINE = 2
BODY, MEMBRANE, NUCLEUS, NUCLEOLUS = 1.0, 0.25, 1.1, 0.5
"""Thickness of the parts, in units of the body's in its middle."""
ORGANELLES, GRANULES, FIBRES = (8, 15), (25, 60), (8, 18)
"""Fewest and most of each."""


def cell_thickness(side: int, rng: np.random.Generator) -> np.ndarray:
    """(side, side) float64, largest value 1, 0 outside the cell."""
    fine = side * FINE
    y, x = np.meshgrid(*2 * [(np.arange(fine) - (fine - 1) / 2) / (fine / 2)], indexing="ij")
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    outline = _outline(rng, angle)
    inward = 1 - radius / outline  # 0 on the membrane, 1 in the middle
    inside = inward > 0
    dome = np.sqrt(np.clip(1 - (1 - np.clip(inward, 0, 1)) ** 2, 0, 1))
    thickness = BODY * (0.3 + 0.5 * dome) * (1 + 0.18 * _rough(rng, fine))
    thickness += MEMBRANE * np.exp(-(((radius - outline) / 0.025) ** 2))
    thickness += _nucleus(rng, y, x)
    thickness += _fibres(rng, y, x) + _organelles(rng, y, x) + _granules(rng, y, x)
    thickness = np.where(inside, np.maximum(thickness, 0), 0)
    coarse = thickness.reshape(side, FINE, side, FINE).mean((1, 3))
    return coarse / coarse.max()


def _outline(rng: np.random.Generator, angle: np.ndarray) -> np.ndarray:
    """Distance of the membrane from the middle in each direction: within the unit square, smooth."""
    wave = sum(rng.normal(0, 0.07 / order) * np.cos(order * angle + rng.uniform(0, 2 * np.pi)) for order in range(2, 7))
    return np.clip(0.83 * (1 + wave), 0.45, 0.97)


def _rough(rng: np.random.Generator, side: int) -> np.ndarray:
    """Noise of mean 0 and standard deviation 1, amplitude falling as 1 / q^1.2."""
    q = np.hypot(np.fft.fftfreq(side)[:, None] * side, np.fft.rfftfreq(side)[None] * side)
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) / np.maximum(q, 2) ** 1.2, s=(side, side))
    noise -= noise.mean()
    return noise / noise.std()


def _ellipse(y, x, centre, axes, angle):
    """Squared distance in units of the ellipse's half axes."""
    v, u = y - centre[0], x - centre[1]
    along, across = np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u
    return (along / axes[0]) ** 2 + (across / axes[1]) ** 2


def _nucleus(rng: np.random.Generator, y, x) -> np.ndarray:
    """A flat ellipsoid with an envelope, rough inside, with one to three nucleoli."""
    centre, axes = rng.uniform(-0.2, 0.2, 2), rng.uniform(0.26, 0.38, 2)
    distance2 = _ellipse(y, x, centre, axes, rng.uniform(0, np.pi))
    body = NUCLEUS * np.sqrt(np.clip(1 - distance2**2, 0, 1)) * (1 + 0.12 * _rough(rng, len(y)))
    body += 0.3 * np.exp(-(((np.sqrt(distance2) - 1) / 0.06) ** 2))
    for _ in range(rng.integers(1, 4)):
        place = centre + rng.uniform(-0.5, 0.5, 2) * axes
        body += NUCLEOLUS * (_ellipse(y, x, place, rng.uniform(0.04, 0.08, 2), 0) < 1)
    return body


def _place(rng: np.random.Generator, reach: float = 0.72) -> np.ndarray:
    angle, radius = rng.uniform(0, 2 * np.pi), reach * np.sqrt(rng.uniform(0.12, 1))
    return radius * np.array([np.sin(angle), np.cos(angle)])


def _organelles(rng: np.random.Generator, y, x) -> np.ndarray:
    """Mitochondria: rods with a denser rim; vacuoles, which are thinner than the body."""
    total = np.zeros_like(y)
    for _ in range(rng.integers(*ORGANELLES)):
        axes = (rng.uniform(0.06, 0.15), rng.uniform(0.025, 0.045))
        distance = np.sqrt(_ellipse(y, x, _place(rng), axes, rng.uniform(0, np.pi)))
        total += 0.4 * (distance < 1) + 0.25 * np.exp(-(((distance - 1) / 0.25) ** 2))
    for _ in range(rng.integers(2, 6)):
        distance2 = _ellipse(y, x, _place(rng), (rng.uniform(0.04, 0.1),) * 2, 0)
        total -= 0.45 * np.sqrt(np.clip(1 - distance2, 0, 1))
    return total


def _granules(rng: np.random.Generator, y, x) -> np.ndarray:
    """Small dense grains: ribosomes in clusters, protein aggregates."""
    total = np.zeros_like(y)
    for _ in range(rng.integers(*GRANULES)):
        width = rng.uniform(0.012, 0.03)
        place = _place(rng, 0.78)
        total += rng.uniform(0.15, 0.6) * np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * width**2))
    return total


def _fibres(rng: np.random.Generator, y, x) -> np.ndarray:
    """Gently curved fibres of the cytoskeleton across the cell."""
    total = np.zeros_like(y)
    for _ in range(rng.integers(*FIBRES)):
        angle, bend, offset = rng.uniform(0, np.pi), rng.normal(0, 0.35), rng.uniform(-0.7, 0.7)
        along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        total += 0.16 * np.exp(-(((across - offset - bend * along**2) / 0.012) ** 2))
    return total
