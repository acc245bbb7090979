"""Where the pattern's centre is, and cutting, padding and binning around it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cdipipe.errors import InputError
from cdipipe.io.importing.detector import Frames

HOT_NEIGHBOUR_SHARE = 0.02
HOT_PIXELS_TRIED = 200


def _is_hot(pattern: np.ndarray, index: tuple[int, ...]) -> bool:
    """A pixel far above all its neighbours is a defect, not the peak of a sampled pattern."""
    around = tuple(slice(max(i - 1, 0), i + 2) for i in index)
    neighbours = np.sort(pattern[around], axis=None)[:-1]
    return neighbours.size == 0 or neighbours[-1] < HOT_NEIGHBOUR_SHARE * pattern[index]


def _largest_patch_centre(where: np.ndarray) -> tuple[int, ...]:
    labels, count = ndimage.label(where)
    largest = 1 + int(np.argmax(ndimage.sum_labels(where, labels, range(1, count + 1))))
    return tuple(round(float(c)) for c in ndimage.center_of_mass(where, labels, largest))


def find_centre(pattern: np.ndarray, saturated: np.ndarray | None = None) -> tuple[int, ...]:
    """Index of the zero frequency (or Bragg peak) of one pattern.

    The middle of the largest saturated patch if any pixel is saturated, else the brightest pixel that is not a lone hot
    one; in patterns too sparse to tell, the maximum after a blur of 2 pixels.

    Parameters
    ----------
    pattern : (H, W) or (D, H, W), masked pixels 0
    saturated : bool, same shape
    """
    if saturated is not None and saturated.any():
        return _largest_patch_centre(saturated)
    tried = min(HOT_PIXELS_TRIED, pattern.size)
    brightest = np.argpartition(pattern, -tried, axis=None)[-tried:]
    brightest = brightest[np.argsort(-pattern.ravel()[brightest], kind="stable")]
    for flat in brightest:
        index = tuple(int(i) for i in np.unravel_index(flat, pattern.shape))
        if pattern[index] <= 0:
            break
        if not _is_hot(pattern, index):
            return index
    blurred = ndimage.gaussian_filter(pattern, 2.0)
    return tuple(int(i) for i in np.unravel_index(np.argmax(blurred), pattern.shape))


def _cut(array: np.ndarray, centre: tuple[int, ...], size: tuple[int, ...]) -> np.ndarray:
    """Window of ``size`` along the last axes with ``centre`` at ``size // 2``; zeros (False) where there is nothing."""
    leading = array.shape[: array.ndim - len(size)]
    result = np.zeros((*leading, *size), dtype=array.dtype)
    source, target = [], []
    for middle, length, available in zip(centre, size, array.shape[len(leading) :], strict=True):
        start = middle - length // 2
        low, high = max(start, 0), min(start + length, available)
        if low >= high:
            raise InputError(f"--crop: the window of {size} around {centre} holds no pixel of the pattern")
        source.append(slice(low, high))
        target.append(slice(low - start, high - start))
    result[(..., *target)] = array[(..., *source)]
    return result


def crop_frames(frames: Frames, centre: tuple[int, ...], size: tuple[int, ...]) -> Frames:
    """Cut all patterns to ``size`` with ``centre`` at ``size // 2``; pixels beyond the detector become unmeasured."""
    measured = _cut(frames.measured, centre, size)
    inside = _cut(np.ones(frames.counts.shape[-len(size) :], dtype=bool), centre, size)
    frames = Frames(_cut(frames.counts, centre, size), measured, dict(frames.masked))
    frames.masked["beyond_detector"] = int(np.count_nonzero(~inside)) * (measured.size // inside.size)
    return frames


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
