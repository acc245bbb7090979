"""Places on a pixel grid whose centre is at ``N // 2``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pixel_axes(shape: Sequence[int]) -> list[np.ndarray]:
    """Whole-numbered pixel coordinates from the centre along each axis, shaped to broadcast over ``shape``."""
    return list(np.ogrid[tuple(slice(-(n // 2), n - n // 2) for n in shape)])


def central_slices(
    shape: Sequence[int], inner: Sequence[int], offset_px: Sequence[int] | None = None
) -> tuple[slice, ...]:
    """Where a block of shape ``inner`` lies, its centre on that of the grid plus ``offset_px``."""
    shifts = [0] * len(inner) if offset_px is None else offset_px
    starts = [n // 2 - b // 2 + shift for n, b, shift in zip(shape, inner, shifts, strict=True)]
    return tuple(slice(start, start + side) for start, side in zip(starts, inner, strict=True))


def embed(block: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """A block (..., *inner) in the middle of zeros (..., *shape), centre on centre."""
    inner = block.shape[block.ndim - len(shape) :]
    whole = np.zeros((*block.shape[: block.ndim - len(shape)], *shape), block.dtype)
    whole[(..., *central_slices(shape, inner))] = block
    return whole
