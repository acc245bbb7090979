"""The same pattern on a coarser detector: all that an object of known extent can tell, with less to compute.

The autocorrelation F^-1 I ends at the object's extent. Cropped to a smaller array that still holds it, and
transformed back, it is the pattern of the same object pixels on fewer and larger detector pixels: the same number of
photons on a quarter of the pixels. Noise at lags that the object cannot have is gone as well.
"""

from __future__ import annotations

import numpy as np
import torch

from cdipipe.measurement import Measurement
from cdipipe.optics import fourier
from cdipipe.optics.regrid import coarser, window
from cdipipe.phasing.problem import Problem

FAST_FACTORS = (2, 3, 5)
LEAST_SIDE_PX = 16


def cropped_problem(problem: Problem, extents_px, margin: float) -> Problem | None:
    """The problem on the smallest array that holds the autocorrelation; None where the crop does not apply.

    It needs a complete pattern, since unmeasured pixels spoil all lags, and a plane wave without a static region.

    Parameters
    ----------
    extents_px : extent of the object along each axis
    margin : factor on twice the extent
    """
    complete = bool(problem.measured.all()) and problem.model.freedom == "shift"
    sides = [_even_side(2 * margin * extent, size) for extent, size in zip(extents_px, problem.shape, strict=True)]
    if not complete or all(side == size for side, size in zip(sides, problem.shape, strict=True)):
        return None
    ndim = problem.ndim
    # orthonormal on both grids: the same object has its pattern N / n times higher per pixel on n pixels
    gain = float(np.prod([size / side for side, size in zip(sides, problem.shape, strict=True)]))
    intensity = coarser(problem.intensity.clamp(min=0), sides)
    background = problem.background
    if isinstance(background, torch.Tensor):
        background = fourier.to_centre(coarser(background, sides), ndim)
    else:
        background = background * gain
    pattern = Measurement(
        fourier.to_centre(intensity, ndim).cpu().numpy(),
        np.ones(sides, bool),
        "single" if ndim == 2 else "volume",
        object_support=None if problem.object_support is None else _centred(problem.object_support, sides),
    )
    small = Problem(pattern, problem.constraint, problem.phase_range_rad, problem.device, background=background)
    return small if problem.coherence_px is None else small.with_coherence(problem.coherence_px)


def _even_side(least: float, size: int) -> int:
    """The smallest even side of small prime factors that holds ``least`` pixels, at most ``size``."""
    side = max(2 * int(np.ceil(least / 2)), LEAST_SIDE_PX)
    while side < size and not _is_fast(side):
        side += 2
    return min(side, size)


def _is_fast(side: int) -> bool:
    for factor in FAST_FACTORS:
        while side % factor == 0:
            side //= factor
    return side == 1


def _centred(corner, sides):
    return window(fourier.to_centre(corner, corner.ndim), sides).cpu().numpy()
