"""Hot pixels: counts that stand alone among their neighbours, as no sampled diffraction pattern can.

Speckles and Bragg peaks are several pixels wide where a pattern is sampled well enough to be phased. So every pixel
has some line of three pixels through it on which its neighbours are not much darker; how much darker they get is
learned from the pattern itself.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

LINES = ((0, 1), (1, 0), (1, 1), (1, -1))
ALL_LINES, LEAST_LINES = 12, 6
"""Measured lines of three pixels through a pixel, and how many are left beside a straight gap: fewer say nothing."""
SIGMAS = 6.0
"""Standard deviations of a Poisson count (after the square root that makes them equal) above the neighbours."""
LEAST_COUNTS = 14
"""No smaller count stands out by :data:`SIGMAS` from nothing."""
FACTOR_OVER_USUAL = 8.0
FACTOR_LIMITS = (6.0, 40.0)
"""A hot pixel has this many times the counts of the best of its lines: 8 times what one in a hundred pixels has. Beside
unmeasured pixels, where a masked beam may end, it has the upper limit times the counts of its brightest neighbour."""
LEAST_LENGTH, PARTS, ALIKE = 32, 4, 4.0
"""Rows and columns of so many pixels are judged by the medians of four parts, which differ by less than four times."""
MOST_BROKEN = 0.1
"""More rows or columns than this share are a pattern of their own."""
LARGEST_SHARE = 0.005
"""More lone pixels than this share are no defects: single photons, or values that are no counts."""


@dataclass(frozen=True)
class HotPixels:
    """Pixels that stand alone.

    Parameters
    ----------
    always : (H, W) bool, defects: they stand out when the brightest frame is set aside, too; broken rows and columns
    once : (H, W) bool, stand out in single frames only: cosmic rays
    too_many : number of lone pixels where they are too many to be defects (and are not listed), else 0
    """

    always: np.ndarray
    once: np.ndarray
    too_many: int = 0


def line_level(image: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The neighbours that a pixel is compared with.

    Of the lines of three pixels through it, the brightest, given by its darker neighbour; beside unmeasured pixels the
    brightest neighbour.

    Parameters
    ----------
    image, measured : (..., H, W)

    Returns
    -------
    level : float32; 0 where there is no measured neighbour
    lines : number of measured lines, 0 to 12
    """
    height, width = image.shape[-2:]
    values = np.where(measured, image, -np.inf).astype(np.float32)
    padded = np.pad(values, [(0, 0)] * (image.ndim - 2) + [(2, 2), (2, 2)], mode="reflect")
    level, nearest = np.zeros((2, *values.shape), np.float32)
    lines = np.zeros(values.shape, np.uint8)
    for down, right in LINES:
        near, far = [
            [padded[..., 2 + k * down :, 2 + k * right :][..., :height, :width] for k in (-step, step)]
            for step in (1, 2)
        ]
        for first, second in ((near[0], near[1]), (near[0], far[0]), (near[1], far[1])):
            line = np.minimum(first, second)
            lines += line > -np.inf
            np.maximum(level, line, out=level)
        for neighbour in near:
            np.maximum(nearest, neighbour, out=nearest)
    return np.where(lines == ALL_LINES, level, nearest), lines


def _excess(image: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Standard deviations of counts above a level, by Anscombe's square root (Biometrika 35, 246 (1948))."""
    return 2 * (np.sqrt(np.maximum(image, 0) + 0.375) - np.sqrt(level + 0.375))


def lone_pixels(image: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Pixels of one pattern that stand alone.

    Parameters
    ----------
    image : (H, W) counts, or sums of counts over frames
    measured : (H, W) bool
    """
    level, lines = line_level(image, measured)
    judged = measured & (lines >= LEAST_LINES) & (image >= LEAST_COUNTS)
    if not judged.any():
        return judged
    surely = np.maximum(np.sqrt(image[judged] + 0.375) - SIGMAS / 2, 0) ** 2 / np.maximum(level[judged], 1)
    factor = np.clip(FACTOR_OVER_USUAL * np.quantile(surely, 0.99), *FACTOR_LIMITS)
    judged[judged] = surely > np.where(lines[judged] == ALL_LINES, factor, FACTOR_LIMITS[1])
    judged[judged] = _excess(image[judged], level[judged] + 1) > SIGMAS
    return judged


def hot_lines(image: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Whole rows and columns, and pairs of them, that stand out alike along all of their length.

    Streaks of slits and crystal surfaces fade away from the beam; a broken row does not.
    """
    found = np.zeros(image.shape, dtype=bool)
    for axis in (0, 1):
        values = np.moveaxis(np.where(measured, image, np.nan), axis, 0).astype(np.float64)
        if min(values.shape) < LEAST_LENGTH:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a part of which nothing was measured
            parts = np.stack([np.nanmedian(part, axis=0) for part in np.array_split(values, PARTS)])
        known = np.isfinite(parts)
        parts = np.where(known, parts, 0)
        near, far = ([np.roll(parts, step, 1) for step in (-reach, reach)] for reach in (1, 2))
        level = np.max([np.minimum(*near), np.minimum(near[0], far[0]), np.minimum(near[1], far[1])], axis=0)
        alone = (parts > FACTOR_LIMITS[0] * np.maximum(level, 1)) & (_excess(parts, level + 1) > SIGMAS)
        lowest = np.min(parts, axis=0, where=known, initial=np.inf)
        broken = (alone | ~known).all(0) & (known.sum(0) > PARTS / 2) & (parts.max(0) < ALIKE * lowest)
        if broken.mean() <= MOST_BROKEN:
            np.moveaxis(found, axis, 0)[:, broken] = True
    return found & measured


def find_hot(total: np.ndarray, peak: np.ndarray, least: np.ndarray, times: np.ndarray) -> HotPixels:
    """Hot pixels of a stack.

    Parameters
    ----------
    total, peak, least : (H, W) sum, largest and smallest of the measured counts of all frames
    times : (H, W) in how many frames the pixel was measured
    """
    lines = hot_lines(least, times > 0)
    measured = (times > 0) & ~lines
    share = times.max() / np.maximum(times, 1)
    lone = [lone_pixels(image, measured) for image in (total * share, (total - peak) * share, least, peak)]
    always = lone[2] | (lone[0] & lone[1])
    once = (lone[0] | lone[3]) & ~always
    number = int(np.count_nonzero(always | once))
    if number > max(LARGEST_SHARE * np.count_nonzero(measured), 4):
        return HotPixels(lines, np.zeros_like(measured), number)
    return HotPixels(always | lines, once)


def stands_out(counts: np.ndarray, measured: np.ndarray, suspects: np.ndarray) -> np.ndarray:
    """In which frames suspected pixels stand alone.

    Parameters
    ----------
    counts, measured : (N, H, W)
    suspects : (H, W) bool

    Returns
    -------
    bool, (N, H, W)
    """
    found = np.zeros(counts.shape, dtype=bool)
    for row, column in np.argwhere(suspects):
        top, left = max(row - 2, 0), max(column - 2, 0)
        box = (slice(None), slice(top, row + 3), slice(left, column + 3))
        level, _ = line_level(counts[box], measured[box])
        here = (slice(None), row - top, column - left)
        value = counts[:, row, column]
        far_above = value > FACTOR_LIMITS[0] * np.maximum(level[here], 1)
        found[:, row, column] = measured[:, row, column] & far_above & (_excess(value, level[here] + 1) > SIGMAS)
    return found
