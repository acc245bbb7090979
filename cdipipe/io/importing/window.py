"""Which part of the patterns is kept: cutting, padding and binning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.importing.frames import Frames


@dataclass(frozen=True)
class AxisWindow:
    """What is kept of one axis.

    Parameters
    ----------
    order : (n,) source indices in the order wanted, blocks of ``factor`` of them to one pixel of the result
    factor : how many are summed
    size : pixels of the result
    offset : where the first block lies in the result; what is before and after was beyond the detector
    """

    order: np.ndarray
    factor: int
    size: int
    offset: int

    @property
    def inside(self) -> slice:
        """The part of the result that lies on the detector."""
        return slice(self.offset, self.offset + len(self.order) // self.factor)


def axis_order(count: int, corner: bool, factor: int) -> np.ndarray:
    """Source indices in the order of the result before cropping, whole blocks only."""
    order = np.fft.fftshift(np.arange(count)) if corner else np.arange(count)
    return order[: count // factor * factor]


def crop_axis(order: np.ndarray, factor: int, centre: int, size: int | None) -> AxisWindow:
    """A window of ``size`` with the block ``centre`` at ``size // 2``; None keeps everything."""
    blocks = len(order) // factor
    if size is None:
        return AxisWindow(order, factor, blocks, 0)
    start = centre - size // 2
    low, high = max(start, 0), min(start + size, blocks)
    if low >= high:
        raise InputError(f"--crop: the window of {size} around {centre} holds no pixel of the pattern")
    return AxisWindow(order[low * factor : high * factor], factor, size, low - start)


def binned_place(order: np.ndarray, factor: int, index: int) -> int:
    """The block that a source index falls into; the nearest where the index fills no block."""
    found = np.flatnonzero(order == index)
    return min(int(found[0]) if found.size else len(order) - 1, len(order) - 1) // factor


def per_axis(numbers: tuple[int, ...], rank: int, fill: tuple[int | None, ...], option: str) -> tuple[int | None, ...]:
    """One number per pattern axis: one stands for both detector axes, two for them, ``fill`` for a volume's first."""
    shown = ",".join(map(str, numbers))
    numbers = numbers * 2 if len(numbers) == 1 else numbers
    if len(numbers) == 2 and rank == 3:
        numbers = (fill[0], *numbers)
    if len(numbers) != rank:
        raise InputError(f"{option} {shown}: patterns have {rank} axes")
    return numbers


def bin_frames(frames: Frames, factors: tuple[int, ...]) -> Frames:
    """Sum photons over blocks of the last axes; a block is measured only if all its pixels are.

    Trailing rows and columns that fill no block are dropped.
    """
    shape = frames.counts.shape
    leading, spatial = shape[: len(shape) - len(factors)], shape[len(shape) - len(factors) :]
    blocks = tuple(size // factor for size, factor in zip(spatial, factors, strict=True))
    if min(blocks) < 1:
        raise InputError(f"--bin {','.join(map(str, factors))}: blocks are larger than patterns of shape {spatial}")
    kept = (..., *(slice(block * factor) for block, factor in zip(blocks, factors, strict=True)))
    split = [number for pair in zip(blocks, factors, strict=True) for number in pair]
    axes = tuple(len(leading) + 1 + 2 * index for index in range(len(factors)))
    with np.errstate(over="ignore"):
        counts = (frames.counts * frames.measured)[kept].reshape(*leading, *split).sum(axes)
    measured = frames.measured[kept].reshape(*leading, *split).all(axes)
    return Frames(counts * measured, measured, frames.masked)


def fill_friedel(frames: Frames, rank: int) -> int:
    """Give unmeasured pixels the counts of their centrosymmetric mates, I(q) = I(-q), in place.

    True of real objects (and nearly of weak phase objects), not of a strained crystal. The zero frequency is at
    ``N // 2``; where the mate lies outside or is unmeasured too, nothing changes.

    Parameters
    ----------
    rank : axes of one pattern

    Returns
    -------
    Number of pixels filled.

    References
    ----------
    DPR, Methods 4.6
    """
    spatial = frames.counts.shape[-rank:]
    mates = (..., *np.ix_(*[(2 * (size // 2) - np.arange(size)) % size for size in spatial]))
    fill = ~frames.measured & frames.measured[mates]
    for axis, size in zip(range(-rank, 0), spatial, strict=True):
        if size % 2 == 0:  # the first row of an even grid has its mate beyond the last
            np.moveaxis(fill, axis, 0)[0] = False
    frames.counts[fill] = frames.counts[mates][fill]
    frames.measured |= fill
    return int(np.count_nonzero(fill))
