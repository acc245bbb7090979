"""Where the middle of a pattern is: its brightest spot where that was measured whole, else its centre of symmetry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from cdipipe.io.importing.symmetry import Symmetry, find_symmetry, improve_symmetry

ENOUGH_PHOTONS = 30
"""Patterns with fewer counts in the brightest pixel are blurred first."""
BLUR_PX = 2.0
NOISE_SIGMAS = 3.0
SURE, FAIRLY_SURE, NOTICEABLE = 0.7, 0.4, 0.15
"""Agreements of a pattern with itself turned round that are taken for proof, for a strong and for a weak sign."""
STRONG, BETTER_BY, BETTER_IN_PATCH_BY = 0.6, 0.25, 0.1
"""A centre of symmetry overrules a brightest spot that was measured whole only where it is strong and agrees better by
so much; by less if it lies in an unmeasured patch."""
SAME_PX = 2
BRIGHT_RIM = 0.3
"""Around a saturated patch or a beam stop there are this share of the brightest counts."""
DARK_LEVELS, DARK_RIM, DARK_REACH_PX = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2), 0.1, 2
"""A beam stop that counts as measured has less than one of these shares of the brightest counts, and its rim more, near
pixels as bright as its rim."""
SURELY_DARK = 3e-3
"""At most this share: no pixel beside a bright one has so little, so that dark pixels farther out are no rim."""
ENOUGH_FOR_DARK, LEAST_DARK_PX = 3, 5
"""Counts that the share must be of, so that none of them is no chance, and the size of a stop."""
EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Middle:
    """The middle of a two-dimensional pattern.

    Parameters
    ----------
    index : row and column
    how : ``spot`` (brightest), ``symmetry``, ``patch`` (the middle of a bright unmeasured patch)
    agreement : correlation of the pattern with itself, turned by 180 degrees about the index
    why : in words
    twice : the brightest spot is the centre of symmetry
    unmeasured_px : pixels of the unmeasured patch that the index lies in
    dark_px : pixels of a beam stop that counts as measured
    """

    index: tuple[int, int]
    how: str
    agreement: float
    why: str
    twice: bool = False
    unmeasured_px: int = 0
    dark_px: int = 0

    @property
    def confidence(self) -> str:
        """``sure``, ``fairly sure`` or ``not sure``."""
        if self.agreement >= SURE or (self.twice and self.agreement >= NOTICEABLE):
            return "sure"
        return "fairly sure" if self.agreement >= FAIRLY_SURE else "not sure"


@dataclass(frozen=True)
class Spot:
    """The brightest pixel, or the middle of the region above half of it; whether all of the region was measured."""

    index: tuple[int, int]
    whole: bool


def brighter(counts: np.ndarray, middle: tuple[int, ...], top: tuple[int, ...]) -> tuple[int, ...]:
    """The brightest pixel if it is brighter than the middle by more than Poisson noise, else the middle."""
    return top if counts[top] - counts[middle] > NOISE_SIGMAS * np.sqrt(counts[top]) else middle


def brightest_spot(image: np.ndarray, measured: np.ndarray) -> Spot:
    """The brightest pixel; where noise may have chosen it, the centre of mass of what is above half of it.

    Parameters
    ----------
    image : (H, W), counts, the sum over all frames
    measured : (H, W) bool
    """
    seen = np.where(measured, image, 0)
    level = (
        seen if np.max(seen, initial=0) >= ENOUGH_PHOTONS else ndimage.gaussian_filter(seen.astype(np.float64), BLUR_PX)
    )
    top = np.unravel_index(int(level.argmax()), level.shape)
    if not level[top] > 0:
        return Spot(tuple(size // 2 for size in level.shape), False)
    labels, _ = ndimage.label(level >= level[top] / 2, EIGHT)
    region = labels == labels[top]
    (box,) = ndimage.find_objects(region.astype(np.uint8))
    mass = ndimage.center_of_mass(np.where(region, level, 0)[box])
    middle = tuple(round(float(place)) + side.start for place, side in zip(mass, box, strict=True))
    index = brighter(level, middle, tuple(int(place) for place in top))
    at_border = any(side.start == 0 or side.stop == size for side, size in zip(box, level.shape, strict=True))
    wider = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
    beside = ndimage.binary_dilation(region[wider], EIGHT)
    return Spot(index, not at_border and bool(measured[wider][beside].all()))


def rim_level(image: np.ndarray, patch: np.ndarray, counted: np.ndarray) -> float:
    """The mean of the counted pixels around a patch; 0 where there is none."""
    rim = ndimage.binary_dilation(patch, EIGHT) & ~patch & counted
    return float(image[rim].mean()) if rim.any() else 0.0


def _patches(where: np.ndarray) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice], np.ndarray]]:
    """Connected patches: the box, the box one pixel wider, and the patch within that."""
    labels, _ = ndimage.label(where, EIGHT)
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        wider = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
        yield box, wider, labels[wider] == number


def bright_patch(image: np.ndarray, measured: np.ndarray) -> tuple[int, int] | None:
    """The middle of the unmeasured patch with the brightest rim, saturated pixels or a beam stop; None without one."""
    best, found = BRIGHT_RIM * np.max(image, where=measured, initial=0), None
    for box, wider, patch in _patches(~measured):
        if any(side.start == 0 or side.stop == size for side, size in zip(box, image.shape, strict=True)):
            continue  # gaps run through
        if (level := rim_level(image[wider], patch, measured[wider])) > best:
            best, mass = level, ndimage.center_of_mass(patch)
            found = tuple(round(float(place)) + side.start for place, side in zip(mass, wider, strict=True))
    return found


def dark_patch(image: np.ndarray, measured: np.ndarray) -> np.ndarray | None:
    """A patch without counts inside the brightest part: a beam stop that counts as measured; None without one.

    Sampled patterns are smooth: between speckles they are dark, but not beside their brightest pixels.
    """
    brightest = np.max(image, where=measured, initial=0)
    near = ndimage.binary_dilation(measured & (image > DARK_RIM * brightest), EIGHT, iterations=DARK_REACH_PX)
    for share in DARK_LEVELS:
        if share * brightest < ENOUGH_FOR_DARK:
            continue
        dark = measured & (image < share * brightest)
        counted = measured & ~dark if share <= SURELY_DARK else measured
        best, found = DARK_RIM * brightest, None
        for _, wider, patch in _patches(dark & near):
            if np.count_nonzero(patch) < LEAST_DARK_PX:
                continue
            if (level := rim_level(image[wider], patch, counted[wider])) > best:
                best, found = level, np.zeros(image.shape, bool)
                found[wider] = patch
        if found is not None:
            return found
    return None


def find_middle(image: np.ndarray, measured: np.ndarray) -> Middle:
    """The zero frequency (or the Bragg peak) of a pattern.

    Parameters
    ----------
    image : (H, W), counts, the sum over all frames
    measured : (H, W) bool; hot and saturated pixels do not count as measured
    """
    dark = dark_patch(image, measured)
    seen = measured if dark is None else measured & ~dark
    spot, best = brightest_spot(image, seen), find_symmetry(image, seen)
    found = _of_whole_spot(image, seen, spot, best) if spot.whole else _of_cut_spot(image, seen, spot, best)
    dark_px = 0 if dark is None else int(np.count_nonzero(dark))
    return replace(found, unmeasured_px=_patch_px(found.index, measured), dark_px=dark_px)


def _of_whole_spot(image: np.ndarray, measured: np.ndarray, spot: Spot, best: Symmetry) -> Middle:
    here = improve_symmetry(image, measured, spot.index, 0)
    better = best.agreement - here.agreement
    hidden = not measured[best.index] and best.agreement >= NOTICEABLE and better > BETTER_IN_PATCH_BY
    if hidden or (best.agreement >= STRONG and better > BETTER_BY):
        why = f"the pattern is symmetric about it, not about its brightest spot {spot.index}"
        return Middle(best.index, "symmetry", best.agreement, why)
    twice = max(abs(a - b) for a, b in zip(best.index, spot.index, strict=True)) <= SAME_PX
    return Middle(spot.index, "spot", here.agreement, "the brightest spot", twice)


def _of_cut_spot(image: np.ndarray, measured: np.ndarray, spot: Spot, best: Symmetry) -> Middle:
    if best.agreement >= NOTICEABLE and best.agreement > best.beside:
        return Middle(
            best.index, "symmetry", best.agreement, "by symmetry, as the brightest spot was not measured whole"
        )
    if (patch := bright_patch(image, measured)) is not None:
        return Middle(patch, "patch", best.agreement, "the middle of an unmeasured patch with a bright rim")
    return Middle(spot.index, "spot", best.agreement, "the brightest spot, which was not measured whole")


def _patch_px(index: tuple[int, int], measured: np.ndarray) -> int:
    """Pixels of the unmeasured patch around an index; 0 where the index is measured."""
    if measured[index]:
        return 0
    labels, _ = ndimage.label(~measured, EIGHT)
    return int(np.count_nonzero(labels == labels[index]))
