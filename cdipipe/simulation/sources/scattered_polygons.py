"""Many polygons with points scattered over one small grid, drawn together: the training set of CDI NN at speed.

Each polygon takes its random numbers from its own generator in the order of ``polygons.build``; all arithmetic is
element by element, so that a polygon is the same to the last bit in any company.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

MOST_POINTS = 12
MOST_TERMS = 4
"""At most so many gratings, and so many Gaussians, in a phase."""
EDGE_SIGMA_PX = 1.0
EDGE_CUT = 0.05
"""Blurred edges are cut at this amplitude, so that the object is zero outside its support."""
LEAST_FILL = 0.2
"""Least area (volume) of a hull as a share of the cube of its largest extent; thinner ones are drawn again."""


def draw_polygons(rngs: list[np.random.Generator], grid: int, span: float | Literal["random"], out: np.ndarray) -> None:
    """One polygon per generator into ``out``, (B, grid, grid) complex128; see ``polygons`` for what they are.

    Parameters
    ----------
    span : peak to peak of the phase on the support, rad; ``random``: uniform in 0 to 2 pi
    """
    amplitude = _amplitudes(rngs, grid)
    support = amplitude > 0
    owner, row, column = np.nonzero(support)
    starts = np.searchsorted(owner, np.arange(len(rngs)))
    low, high = _boxes(support)
    spans, gratings, gaussians = _draw_terms(rngs, span, low - grid // 2, high - grid // 2)
    field = _field(owner, row - grid // 2, column - grid // 2, gratings, gaussians)
    bottom, top = np.minimum.reduceat(field, starts)[owner], np.maximum.reduceat(field, starts)[owner]
    phase = ((field - bottom) / (top - bottom) - 0.5) * spans[owner]
    out[owner, row, column] = amplitude[owner, row, column] * np.exp(1j * phase)


def _amplitudes(rngs: list[np.random.Generator], grid: int) -> np.ndarray:
    """Blurred hulls (B, grid, grid); thin ones are drawn again."""
    from scipy.ndimage import gaussian_filter

    inside = np.empty((len(rngs), grid, grid), np.float64)
    waiting = np.arange(len(rngs))
    while len(waiting):
        points, present = _draw_points([rngs[index] for index in waiting])
        first, second, is_edge, fill = _hull_edges(points, present)
        good = fill >= LEAST_FILL
        inside[waiting[good]] = _filled(first[good], second[good], is_edge[good], grid)
        waiting = waiting[~good]
    amplitude = gaussian_filter(inside, (0, EDGE_SIGMA_PX, EDGE_SIGMA_PX), mode="constant")
    return np.where(amplitude > EDGE_CUT, amplitude, 0.0)


def _draw_points(rngs: list[np.random.Generator]) -> tuple[np.ndarray, np.ndarray]:
    """4 to 12 points in a unit square: (B, 12, 2), the missing ones copies of the first, and which are there."""
    points = np.empty((len(rngs), MOST_POINTS, 2))
    counts = np.empty(len(rngs), int)
    for index, rng in enumerate(rngs):
        count = counts[index] = rng.integers(4, MOST_POINTS + 1)
        drawn = rng.random((count, 2))
        points[index, :count] = drawn
        points[index, count:] = drawn[0]
    return points - 0.5, np.arange(MOST_POINTS) < counts[:, None]


_FIRST, _SECOND = (index[~np.eye(MOST_POINTS, dtype=bool)] for index in np.indices((MOST_POINTS, MOST_POINTS)))


def _hull_edges(points: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All ordered pairs of points (B, P, 2), which of them are edges of the hull, and its area over its box squared.

    A pair is an edge if all points lie on its left.
    """
    y, x = points[..., 0], points[..., 1]
    dy, dx = y[:, _SECOND] - y[:, _FIRST], x[:, _SECOND] - x[:, _FIRST]
    is_edge = present[:, _FIRST] & present[:, _SECOND]
    for other in range(MOST_POINTS):
        side = dx * (y[:, other, None] - y[:, _FIRST]) - dy * (x[:, other, None] - x[:, _FIRST])
        is_edge &= (side >= 0) | (other == _FIRST) | (other == _SECOND)
    cross = np.where(is_edge, x[:, _FIRST] * y[:, _SECOND] - x[:, _SECOND] * y[:, _FIRST], 0.0)
    extent = (points.max(1) - points.min(1)).max(1)
    return points[:, _FIRST], points[:, _SECOND], is_edge, cross.sum(1) / 2 / extent**2


def _filled(first: np.ndarray, second: np.ndarray, is_edge: np.ndarray, grid: int) -> np.ndarray:
    """Which pixel centres (B, grid, grid) lie in the hulls: on the left of all edges, row by row."""
    most = max(int(is_edge.sum(1).max()), 1) if len(is_edge) else 1
    order = np.argsort(~is_edge, axis=1, kind="stable")[:, :most]
    valid = np.take_along_axis(is_edge, order, 1)
    (y1, x1), (y2, x2) = (
        tuple(np.take_along_axis(ends[..., axis], order, 1)[:, None] for axis in (0, 1)) for ends in (first, second)
    )
    axis = (np.arange(grid) - grid // 2) / (grid - 2)
    y = axis[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        at_row = x1 + (y - y1) * (x2 - x1) / (y2 - y1)  # where each edge crosses each row: (B, grid, edges)
    upward, downward = valid[:, None] & (y2 > y1), valid[:, None] & (y2 < y1)
    right = np.where(upward, at_row, np.inf).min(2)
    left = np.where(downward, at_row, -np.inf).max(2)
    bottom, top = np.where(valid, np.minimum(y1, y2)[:, 0], np.inf), np.where(valid, np.maximum(y1, y2)[:, 0], -np.inf)
    first_row, last_row = bottom.min(1, keepdims=True), top.max(1, keepdims=True)
    within = (first_row <= axis) & (axis <= last_row)
    return (axis >= left[..., None]) & (axis <= right[..., None]) & within[..., None]


def _boxes(support: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last row and column of each support: two (B, 2) arrays."""
    last = support.shape[1] - 1
    shadows = [support.any(2), support.any(1)]
    low = np.stack([shadow.argmax(1) for shadow in shadows], 1)
    return low, np.stack([last - shadow[:, ::-1].argmax(1) for shadow in shadows], 1)


def _draw_terms(rngs, span, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, list, list]:
    """Spans of the phases (B,), and up to four gratings and Gaussians each, as arrays with their owners' numbers."""
    extents = (high - low).max(1).astype(float) + 1
    spans = np.empty(len(rngs))
    waves: list[list] = [[] for _ in range(MOST_TERMS)]
    bumps: list[list] = [[] for _ in range(MOST_TERMS)]
    for index, rng in enumerate(rngs):
        spans[index] = 2 * np.pi * rng.random() if span == "random" else min(span, 2 * np.pi)
        for term in range(rng.integers(1, MOST_TERMS + 1)):
            direction = rng.standard_normal(2)
            waves[term].append((index, *direction, *rng.random(3), direction.dot(direction)))
        for term in range(rng.integers(1, MOST_TERMS + 1)):
            bumps[term].append((index, *rng.random(4)))
    gratings = [_gratings(np.array(terms), extents) for terms in waves if terms]
    return spans, gratings, [_gaussians(np.array(terms), extents, low, high) for terms in bumps if terms]


def _gratings(drawn: np.ndarray, extents: np.ndarray) -> tuple[np.ndarray, ...]:
    """Owners, cycles per pixel along rows and columns, offset in cycles, weight."""
    owner = drawn[:, 0].astype(int)
    rows, columns, period, offset, weight, length2 = drawn[:, 1:].T
    shortest, longest = np.log(0.35), np.log(2.0)
    length = np.sqrt(length2) * extents[owner] * np.exp(shortest + (longest - shortest) * period)
    return owner, rows / length, columns / length, offset, -1 + 2 * weight


def _gaussians(drawn: np.ndarray, extents: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, ...]:
    """Owners, row and column of the peak, twice the squared width, weight."""
    owner = drawn[:, 0].astype(int)
    row, column = (low[owner] + (high - low)[owner] * drawn[:, 1:3]).T
    width = extents[owner] * (0.1 + (0.35 - 0.1) * drawn[:, 3])
    return owner, row, column, 2 * width**2, -2 + 4 * drawn[:, 4]


def _field(owner: np.ndarray, row: np.ndarray, column: np.ndarray, gratings: list, gaussians: list) -> np.ndarray:
    """Sum of the terms at every pixel of every support."""
    field = np.zeros(len(owner))
    for kind, terms in ((_wave, gratings), (_bump, gaussians)):
        for owners, *values in terms:
            place = np.full(owner[-1] + 1, -1)
            place[owners] = np.arange(len(owners))
            term = place[owner]
            at = np.nonzero(term >= 0)[0]
            term = term[at]
            field[at] += kind(row[at], column[at], *(value[term] for value in values))
    return field


def _wave(row, column, cycles_row, cycles_column, offset, weight):
    return weight * np.sin(2 * np.pi * (cycles_row * row + cycles_column * column + offset))


def _bump(row, column, peak_row, peak_column, width2, weight):
    return weight * np.exp(-((row - peak_row) ** 2 + (column - peak_column) ** 2) / width2)
