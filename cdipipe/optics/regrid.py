"""Arrays on grids of other size, and a pattern on a coarser detector."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from cdipipe.optics import fourier


def coarser(intensity: torch.Tensor, sides: Sequence[int]) -> torch.Tensor:
    """Patterns on fewer pixels, by their autocorrelation, which has to fit: the same objects with the same photons.

    Parameters
    ----------
    intensity : (..., *grid) float, FFT order
    sides : of the new grid

    Returns
    -------
    (..., *sides) float32, nothing negative
    """
    ndim = len(sides)
    # orthonormal on both grids: the same object has its pattern N / n times higher per pixel on n pixels
    gain = math.prod(intensity.shape[-ndim:]) / math.prod(sides)
    lags = fourier.inverse_corner(intensity.to(torch.complex64), ndim)
    return fourier.forward_corner(regrid(lags, sides), ndim).real.clamp(min=0) * gain**0.5


def window(array: torch.Tensor, sides) -> torch.Tensor:
    """The centred window of a centred array over the last ``len(sides)`` axes; zeros where it reaches beyond."""
    for axis, side in zip(range(-len(sides), 0), sides, strict=True):
        size = array.shape[axis]
        start = size // 2 - side // 2
        if side <= size:
            array = array.narrow(axis, start, side)
        else:
            gap = list(array.shape)
            gap[axis] = side
            whole = array.new_zeros(gap)
            whole.narrow(axis, -start, size).copy_(array)
            array = whole
    return array


def regrid(array: torch.Tensor, sides) -> torch.Tensor:
    """A batch in FFT order on a grid of other size: cropped, or surrounded by zeros."""
    ndim = len(sides)
    if tuple(array.shape[-ndim:]) == tuple(sides):
        return array
    return fourier.to_corner(window(fourier.to_centre(array, ndim), sides), ndim).contiguous()
