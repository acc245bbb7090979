"""Pixels that a detector does not measure: stops, gaps, dead pixels, rectangles and irregular masks.

Every function gives ``hidden``, True where a pixel is missing. Sizes are in pixels, places are counted from the centre
``N // 2``; what is random comes from the generator passed in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cdipipe.optics.grid import pixel_axes

STROKES_GRID = 512
"""Grid on which the sizes of strokes are given; other grids scale them."""


def _axes(shape: Sequence[int], offset_px: Sequence[float] = (0, 0)) -> list[np.ndarray]:
    return [axis - shift for axis, shift in zip(pixel_axes(shape), offset_px, strict=True)]


def disc(shape: Sequence[int], radius_px: float, offset_px: Sequence[float] = (0, 0)) -> np.ndarray:
    """Beam stop: pixels nearer than ``radius_px`` to the centre plus ``offset_px`` (row, column)."""
    rows, columns = _axes(shape, offset_px)
    return rows**2 + columns**2 < radius_px**2


def rectangle(shape: Sequence[int], sides_px: Sequence[int], offset_px: Sequence[int] = (0, 0)) -> np.ndarray:
    """``sides_px`` rows and columns around the centre plus ``offset_px``; cut off at the edge of the array.

    An even side takes one pixel more on the lower side: side 2r covers -r to r - 1.
    """
    hidden = np.zeros(shape, bool)
    starts = [n // 2 - side // 2 + shift for n, side, shift in zip(shape, sides_px, offset_px, strict=True)]
    hidden[tuple(slice(max(s, 0), max(s + side, 0)) for s, side in zip(starts, sides_px, strict=True))] = True
    return hidden


def random_rectangle(
    shape: Sequence[int], half_sides_px: tuple[int, int], offset_px: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """A rectangle with its half sides and offset drawn per axis from ranges, ends included (DPR: 8..31, -8..7)."""
    half = rng.integers(half_sides_px[0], half_sides_px[1] + 1, 2)
    return rectangle(shape, 2 * half, rng.integers(offset_px[0], offset_px[1] + 1, 2))


def gaps(shape: Sequence[int], module_px: Sequence[int], gap_px: Sequence[int]) -> np.ndarray:
    """Rows and columns between detector modules; gaps of ``gap_px`` with one of each through the centre."""
    hidden = np.zeros(shape, bool)
    for index, module, gap in zip(_axes(shape), module_px, gap_px, strict=True):
        hidden |= (index + gap // 2) % (module + gap) < gap
    return hidden


def dead_pixels(shape: Sequence[int], share: float, rng: np.random.Generator) -> np.ndarray:
    """Each pixel is dead with the probability ``share``."""
    return rng.random(shape, dtype=np.float32) < share


def strokes(shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Thick curved brush strokes: 1 to 15 of them, widths 8 to 76 px and lengths 60 to 700 px on a 512^2 grid.

    The brush is a disc whose heading turns and whose width swells at random along the way.
    """
    hidden = np.zeros(shape, bool)
    scale = min(shape) / STROKES_GRID
    for _ in range(rng.integers(1, 16)):
        radius = rng.uniform(4, 38) * scale
        length = rng.uniform(60, 700) * scale
        step = max(radius / 2, 0.5)
        count = 1 + int(length / step)
        bend = rng.normal(0, 0.004, 2) / scale * step  # mean curvature and its change along the stroke
        turns = bend[0] + bend[1] * np.linspace(-2, 2, count) + rng.normal(0, 0.06, count)
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(turns)
        start = rng.uniform((0, 0), shape)
        path = start[:, None] + step * np.cumsum([np.sin(heading), np.cos(heading)], axis=1)
        swell = 1 + 0.3 * np.sin(rng.uniform(0, 2 * np.pi) + rng.uniform(1, 6) * np.linspace(0, 1, count))
        for row, column, brush in zip(*path, np.maximum(radius * swell, 0.5), strict=True):
            _stamp(hidden, row, column, brush)
    return hidden


def _stamp(hidden: np.ndarray, row: float, column: float, radius: float) -> None:
    top, left = max(int(row - radius), 0), max(int(column - radius), 0)
    bottom, right = max(int(row + radius) + 2, 0), max(int(column + radius) + 2, 0)
    part = hidden[top:bottom, left:right]
    if part.size:
        rows = np.arange(top, top + part.shape[0])[:, None] - row
        columns = np.arange(left, left + part.shape[1]) - column
        part |= rows * rows + columns * columns <= radius * radius


def place_irregular(
    holes: np.ndarray, shape: Sequence[int], grow_px: tuple[int, int], rotation_deg: float, rng: np.random.Generator
) -> np.ndarray:
    """A mask from a file put on the detector: scaled to cover it, grown, and turned about its centre.

    Parameters
    ----------
    holes : (h, w) bool, True where missing
    grow_px : range of the width of the square by which the holes grow, on a 512^2 grid; 0 or 1: not
    rotation_deg : the angle is uniform within +- this; what turns in from outside is measured
    """
    width = int(rng.integers(grow_px[0], grow_px[1] + 1))
    angle = np.deg2rad(rng.uniform(-rotation_deg, rotation_deg))
    if width > 1:
        from scipy.ndimage import maximum_filter

        scaled = max(round(width * max(holes.shape) / STROKES_GRID), 1)
        holes = maximum_filter(holes.astype(np.uint8), scaled, mode="constant") > 0
    zoom = min(h / n for h, n in zip(holes.shape, shape, strict=True))
    rows, columns = (zoom * (axis + 0.5 * (1 - n % 2)) for axis, n in zip(_axes(shape), shape, strict=True))
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    rows, columns = rows.astype(np.float32), columns.astype(np.float32)
    turned = (cosine * rows - sine * columns, sine * rows + cosine * columns)
    indices = [
        np.floor(place + np.float32(size / 2)).astype(np.int32) for place, size in zip(turned, holes.shape, strict=True)
    ]
    framed = np.pad(holes, 1)
    rows, columns = (np.clip(i + 1, 0, size + 1) for i, size in zip(indices, holes.shape, strict=True))
    return framed[rows, columns]
