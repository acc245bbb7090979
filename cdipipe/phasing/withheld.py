"""Which measured pixels no method may see: single ones, or blocks of about a speckle.

Neighbours inside a speckle tell of each other, since a pattern is as smooth as its object is small. What a method makes
of a single withheld pixel is therefore half known from those around it; of a block of a speckle's size it is not.
"""

from __future__ import annotations

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement
from cdipipe.phasing.support import autocorrelation_corner, extents_of

LARGEST_SHARE = 8
"""A block spans at most this part of the array."""
KEPT_SPECKLES = 2.0
"""Blocks leave the middle of the pattern alone, so many speckles to each side: without it nothing can be phased."""


def choose_free_pixels(measurement: Measurement, fraction: float, seed: int, block_px: int = 1) -> np.ndarray | None:
    """A random share of the measured pixels, the same for all patterns of a stack; None without a share.

    Parameters
    ----------
    fraction : share of the pixels
    seed : of the choice
    block_px : side of the blocks; 1: single pixels, 0: about a speckle on each axis

    Returns
    -------
    (*grid) bool, centred

    Raises
    ------
    InputError   a share of half or more, or a block larger than an eighth of the pattern
    """
    if not 0 <= fraction < 0.5:
        raise InputError(f"free fraction {fraction}: expected 0 to 0.5, usually about 0.03")
    shape = measurement.pattern_shape
    largest = max(min(shape) // LARGEST_SHARE, 1)
    if not 0 <= block_px <= largest:
        raise InputError(f"free block {block_px} px: expected 0 (about a speckle) to {largest}")
    if not fraction:
        return None
    generator = np.random.default_rng([seed, 0xF4EE])
    if block_px == 1:
        return generator.random(shape) < fraction
    speckle = speckle_px(measurement)
    return _blocks(shape, block_px or speckle, speckle, fraction, measurement.measured, generator)


def speckle_px(measurement: Measurement) -> tuple[float, ...]:
    """Size of a speckle on each axis in pixels: the array's size over the object's extent, 1 to an eighth of the array.

    The extent is told by the autocorrelation of the first pattern, as for a first support.
    """
    pattern = measurement.pattern(0)
    intensity, measured = (torch.from_numpy(np.fft.ifftshift(a)) for a in (pattern.intensity, pattern.measured))
    correlation = autocorrelation_corner(intensity, measured, intensity.ndim)
    extents = extents_of(correlation > 0.04 * correlation.max())
    return tuple(
        float(np.clip(size / max(extent, 1), 1, max(size // LARGEST_SHARE, 1)))
        for extent, size in zip(extents, correlation.shape, strict=True)
    )


def _blocks(shape, sides, speckle, fraction: float, measured: np.ndarray, generator) -> np.ndarray:
    """Blocks of a grid at a random place, as many as make the share, away from the middle; (*grid) bool."""
    sides = (sides,) * len(shape) if isinstance(sides, int) else tuple(max(round(side), 1) for side in sides)
    offsets = [int(generator.integers(side)) for side in sides]
    numbers, count, distance2 = 0, 1, 0.0
    axes = np.meshgrid(*(np.arange(size) for size in shape), indexing="ij", sparse=True)
    for pixel, size, side, offset, width in zip(axes, shape, sides, offsets, speckle, strict=True):
        along = (size + offset - 1) // side + 1
        numbers, count = numbers * along + (pixel + offset) // side, count * along
        distance2 = distance2 + ((pixel - size // 2) / (KEPT_SPECKLES * width)) ** 2
    seen = measured if measured.ndim == len(shape) else measured.any(axis=0)
    middle = np.unique(numbers[distance2 <= 1])
    usable = np.setdiff1d(np.unique(numbers[seen]), middle)
    wanted = min(round(fraction * count), len(usable))
    return np.isin(numbers, generator.choice(usable, wanted, replace=False))
