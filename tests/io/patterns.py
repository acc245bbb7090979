"""Patterns of small objects, and detectors that spoil them, for the tests of imports."""

from __future__ import annotations

import numpy as np


def pattern(shape=(64, 64), photons=1e6, seed=0, half=None, centre=None) -> np.ndarray:
    """Poisson counts of a random object that is real and positive, so brightest at ``centre`` (``N // 2``).

    Parameters
    ----------
    half : half the side of the object in pixels; 1/8 of the pattern's
    """
    rng = np.random.default_rng(seed)
    spots = tuple(slice(n // 2 - (half or n // 8), n // 2 + (half or n // 8)) for n in shape)
    image = np.zeros(shape)
    image[spots] = 0.5 + rng.random(image[spots].shape)
    power = np.abs(np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(image)))) ** 2
    counts = rng.poisson(power * photons / power.sum())
    if centre is None:
        return counts
    return np.roll(counts, [c - n // 2 for c, n in zip(centre, shape, strict=True)], range(len(shape)))


def disc(shape, centre, radius_px) -> np.ndarray:
    """True within a radius."""
    row, column = np.ogrid[: shape[0], : shape[1]]
    return (row - centre[0]) ** 2 + (column - centre[1]) ** 2 <= radius_px**2
