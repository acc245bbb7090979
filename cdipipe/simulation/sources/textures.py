"""Grey textures with the statistics of small photographs, made by code.

Occluding shapes of all sizes (the "dead leaves" of Matheron), each with a shade, a slope and a rough surface of its
own, give edges and a power spectrum near 1/q^2; see Ruderman, Vision Research 37, 3385 (1997). Mean and contrast of
an image are drawn as they scatter among CIFAR's.
"""

from __future__ import annotations

import functools

import numpy as np

SIDE = 32
FINE = 2
"""Drawn this much finer and averaged, so that edges are as soft as a lens makes them."""
MEAN, MEAN_SPREAD = 122.0, 31.0
CONTRAST, CONTRAST_SPREAD = 53.0, 15.0
"""Grey levels of 0 ... 255: mean and standard deviation of an image, and how far they scatter between images."""
SLOPE = 1.3
"""The surface's amplitude falls as 1 / q^SLOPE."""


def make_texture(number: int) -> np.ndarray:
    """(32, 32) uint8, always the same for the same number."""
    rng = np.random.default_rng([8191, number])
    side = SIDE * FINE
    shade = _leaves(rng, side) + 0.35 * _rough(rng, side)
    small = shade.reshape(SIDE, FINE, SIDE, FINE).mean((1, 3))
    small = (small - small.mean()) / max(small.std(), 1e-6)
    mean, contrast = rng.normal(MEAN, MEAN_SPREAD), max(rng.normal(CONTRAST, CONTRAST_SPREAD), 8.0)
    return np.clip(np.rint(small * contrast + mean), 0, 255).astype(np.uint8)


@functools.cache
def _filter(side: int) -> np.ndarray:
    q = np.hypot(np.fft.fftfreq(side)[:, None] * side, np.fft.rfftfreq(side)[None] * side)
    return np.where(q > 0, np.maximum(q, 1) ** -SLOPE, 0)


def _rough(rng: np.random.Generator, side: int) -> np.ndarray:
    """Noise of mean 0 and standard deviation 1 whose amplitude falls with the frequency."""
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) * _filter(side), s=(side, side))
    return noise / noise.std()


def _leaves(rng: np.random.Generator, side: int) -> np.ndarray:
    """A background and 4 to 24 ellipses and rectangles, the later over the earlier; sizes fall as 1 / r^2."""
    y, x = np.ogrid[-0.5 : 0.5 : side * 1j, -0.5 : 0.5 : side * 1j]
    image = _shaded(rng, y, x, 1.0)
    for _ in range(rng.integers(4, 25)):
        radius = 0.06 / (1 - rng.random() * (1 - 0.06 / 0.6))
        angle, flat = rng.uniform(0, np.pi), rng.uniform(0.35, 1)
        v, u = y - rng.uniform(-0.6, 0.6), x - rng.uniform(-0.6, 0.6)
        along = (np.cos(angle) * u + np.sin(angle) * v) / radius
        across = (np.cos(angle) * v - np.sin(angle) * u) / (radius * flat)
        is_round = rng.random() < 0.7
        inside = along**2 + across**2 < 1 if is_round else np.maximum(np.abs(along), np.abs(across)) < 0.9
        image = np.where(inside, _shaded(rng, along, across, 0.35), image)
    return image


def _shaded(rng: np.random.Generator, v, u, slope: float) -> np.ndarray:
    """A shade with a slope."""
    return rng.normal() + slope * (rng.normal() * v + rng.normal() * u)
