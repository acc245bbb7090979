"""The box in which a field lives: where the object may be, found from the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.optics import fourier
from cdipipe.phasing.support import autocorrelation_corner

SMALLEST_PX = 8
SMOOTHING_PX = 1.5
HIGHEST_LEVEL, LOWEST_LEVEL, LEVEL_STEP = 0.05, 0.004, 0.8
GROWTH = 1.13
"""The autocorrelation of a compact object ends: from level to level its extent grows less and less, by 7 % at most for
a convex one. Where it grows faster than this, noise or a halo of the pattern begins."""
NOISE_FACTOR = 3.5
PROBE_LEVEL = 0.01


@dataclass(frozen=True)
class Box:
    """A block of cells around the middle of the array, one cell per pixel."""

    first: tuple[int, ...]
    """Place of the first cell along each axis, in pixels from the centre"""
    sides: tuple[int, ...]

    def places(self, axis: int) -> torch.Tensor:
        """Pixels from the centre of all cells along an axis, (side,) int64."""
        return torch.arange(self.sides[axis]) + self.first[axis]

    def index(self, shape) -> tuple[torch.Tensor, ...]:
        """What picks the box out of an array (..., *shape) in FFT order."""
        places = [self.places(axis) % size for axis, size in enumerate(shape)]
        return torch.meshgrid(*places, indexing="ij")

    def middle(self, sides) -> tuple[slice, ...]:
        """The cells of a smaller block around the same middle."""
        return tuple(
            slice((side - inner) // 2, (side - inner) // 2 + inner)
            for side, inner in zip(self.sides, sides, strict=True)
        )


def centred_box(sides) -> Box:
    """Sides made even, around the centre."""
    sides = tuple(2 * round(side / 2) for side in sides)
    return Box(tuple(-side // 2 for side in sides), sides)


def find_box(problem, support, box_px, margin) -> Box:
    """The box of a problem: as asked for, that of a known support or of the probe, or found from the autocorrelation.

    Parameters
    ----------
    problem : Problem
    support : (*grid) bool in FFT order, or None where the support is not known
    box_px : int, or None to find it
    margin : factor on the extent that the autocorrelation tells

    Raises
    ------
    InputError   the box is larger than the array
    """
    if box_px is not None:
        if box_px > min(problem.shape):
            raise InputError(f"box_px {box_px} is larger than the array {problem.shape}; usual is at most half of it")
        return centred_box((box_px,) * problem.ndim)
    if support is not None:
        return box_around(support)
    if problem.model.probe_modes is not None:
        power = problem.model.illumination
        return box_around(power > PROBE_LEVEL * power.max())
    extents = object_extents(problem.intensity, problem.measured, problem.ndim)
    halves = [size // 2 for size in problem.shape]
    return centred_box(
        [min(max(margin * extent, SMALLEST_PX), half) for extent, half in zip(extents, halves, strict=True)]
    )


def box_around(support) -> Box:
    """The smallest box around a support in FFT order, one pixel of room on each side."""
    places = torch.nonzero(fourier.to_centre(support, support.ndim))
    centre = torch.tensor([size // 2 for size in support.shape], device=places.device)
    low, high = (places - centre).amin(0) - 1, (places - centre).amax(0) + 1
    first = [max(int(a), -(size // 2)) for a, size in zip(low, support.shape, strict=True)]
    last = [min(int(b), (size - 1) // 2) for b, size in zip(high, support.shape, strict=True)]
    return Box(tuple(first), tuple(b - a + 1 for a, b in zip(first, last, strict=True)))


def object_extents(intensity, measured, ndim) -> tuple[float, ...]:
    """Extent of the object along each axis, in pixels: half that of its autocorrelation.

    The autocorrelation is cut at falling levels until noise or a halo makes its extent jump.
    """
    from scipy import ndimage

    correlation = fourier.gaussian_blur_corner(autocorrelation_corner(intensity, measured, ndim), SMOOTHING_PX, ndim)
    correlation = fourier.to_centre(correlation, ndim).cpu().numpy()
    correlation = correlation / correlation.max()
    lowest = max(LOWEST_LEVEL, NOISE_FACTOR * _spread_of_far_lags(correlation))
    middle = tuple(size // 2 for size in correlation.shape)

    def extents(level):
        above = ndimage.binary_opening(correlation > level, np.ones((3,) * ndim))
        labels, _ = ndimage.label(above)
        found = np.nonzero(labels == labels[middle]) if labels[middle] else [np.array([m]) for m in middle]
        return np.array([(np.ptp(places) + 1) / 2 for places in found])

    level, found = HIGHEST_LEVEL, extents(HIGHEST_LEVEL)
    while level * LEVEL_STEP > lowest:
        level *= LEVEL_STEP
        larger = extents(level)
        if (larger > np.maximum(GROWTH * found, found + 1.5)).any():
            break
        found = larger
    return tuple(float(extent) for extent in found)


def _spread_of_far_lags(correlation) -> float:
    """Standard deviation of the autocorrelation where no object of half the array reaches: its corners."""
    corners = correlation[tuple(slice(0, max(size // 8, 1)) for size in correlation.shape)]
    return float(corners.std())
