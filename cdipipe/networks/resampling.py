"""Measured patterns on the grid of a network, and what the network makes of them back on the grid of the patterns.

A pattern sampled finer than the network knows is cropped and resampled by blocks of a cosine transform; that gives up
the empty space around the object and, where it is cropped, resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cdipipe.errors import InputError
from cdipipe.optics import fourier
from cdipipe.optics.grid import central_slices

BLOCK = 8


@dataclass(frozen=True)
class Resampling:
    """How patterns on ``grid`` become patterns of ``size`` pixels per axis.

    Parameters
    ----------
    crop : pixels per axis around the zero frequency that are kept; at least ``size``
    """

    grid: tuple[int, ...]
    size: int
    crop: int

    @property
    def is_identity(self) -> bool:
        return all(length == self.size for length in self.grid)

    def shrink(self, pattern: np.ndarray) -> np.ndarray:
        """A centred pattern (*grid) on (size, ...): float32, never negative."""
        if self.is_identity:
            return pattern
        starts = [length // 2 - self.crop // 2 for length in self.grid]
        small = pattern[tuple(slice(start, start + self.crop) for start in starts)].astype(np.float64)
        if self.crop != self.size:
            for axis in range(small.ndim):
                small = resize_blocks(small, axis, self.size)
        return np.maximum(small, 0).astype(np.float32)

    def enlarge(self, objects):
        """Objects (B, size, ...) complex64 on the grid of the patterns, (B, *grid), band-limited where cropped."""
        if self.is_identity:
            return objects
        ndim = len(self.grid)
        objects = objects * self._centring(objects)
        wide = _embed(objects, (self.crop,) * ndim)
        return fourier.inverse(_embed(fourier.forward(wide, ndim), self.grid), ndim)

    def _centring(self, objects):
        """Phase ramp that brings the zero frequency, which resampling moves by less than a pixel, to the centre."""
        import torch

        from cdipipe.networks.losses.labels import coordinates

        offset = (self.size / self.crop - 1) / 2
        turns = -offset / self.size * sum(coordinates(objects.shape[1:], objects.device))
        return torch.polar(torch.ones_like(turns), 2 * torch.pi * turns)


def plan_resampling(pattern: np.ndarray, measured: np.ndarray, size: int, oversampling: float, name: str) -> Resampling:
    """How to bring a pattern to ``size`` pixels at about this oversampling of the object (the least over the axes).

    Parameters
    ----------
    pattern, measured : (*grid) float32 and bool, centred
    oversampling : the target; the extent of the object is estimated from the autocorrelation

    Raises
    ------
    InputError   the pattern is smaller than the network's

    References
    ----------
    Chan et al., Appl. Phys. Rev. 8, 021407 (2021), doi:10.1063/5.0031486, and its public code: crop to
    size * oversampling / 1.5, then resize by discrete cosine transforms of blocks of 8
    """
    grid = pattern.shape
    if min(grid) < size:
        raise InputError(f"{name}: patterns of shape {grid} are smaller than the network's {size} pixels per axis")
    if all(length == size for length in grid):
        return Resampling(grid, size, size)
    from cdipipe.io.describe import estimate_object_extent

    extents = estimate_object_extent(pattern, measured)
    ratios = [length / extent for length, extent in zip(grid, extents, strict=True) if extent is not None]
    wanted = size * min(ratios) / oversampling if len(ratios) == len(grid) else size
    crop = int(min(max(wanted, size), min(grid))) // BLOCK * BLOCK
    return Resampling(grid, size, max(crop, size))


def resize_blocks(array: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Fewer samples along an axis, values kept: cosine transforms of blocks, padded with zeros, then cut.

    Blocks of 8 become blocks of ``size``; of these, blocks as long as the axis was become blocks of 8.
    """
    length = array.shape[axis]
    if length % BLOCK or size % BLOCK:
        raise ValueError(f"cannot resize {length} samples to {size}: both must be multiples of {BLOCK}")
    lines = np.moveaxis(array, axis, -1)
    finer = _change_blocks(lines, BLOCK, size)
    return np.moveaxis(_change_blocks(finer, length, BLOCK), -1, axis)


def _change_blocks(lines: np.ndarray, before: int, after: int) -> np.ndarray:
    """Blocks of ``before`` samples of the last axis as blocks of ``after`` of the same mean."""
    from scipy import fft

    blocks = lines.reshape(*lines.shape[:-1], -1, before)
    spectrum = fft.dct(blocks, norm="ortho", axis=-1)
    kept = min(before, after)
    changed = np.zeros((*blocks.shape[:-1], after))
    changed[..., :kept] = spectrum[..., :kept] * (after / before) ** 0.5
    return fft.idct(changed, norm="ortho", axis=-1).reshape(*lines.shape[:-1], -1)


def _embed(arrays, shape: tuple[int, ...]):
    """Centred arrays (B, ...) in zeros of a larger shape, centre on centre."""
    whole = arrays.new_zeros((len(arrays), *shape))
    whole[(slice(None), *central_slices(shape, arrays.shape[1:]))] = arrays
    return whole
