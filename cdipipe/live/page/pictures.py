"""Patterns and objects as bytes; the browser colours them.

Patterns: 0 is a pixel that was not measured, 1 to 255 the logarithm of the photons between ``low`` and ``high``.
Amplitudes: 0 to 255 is 0 to ``high``. Phases: the circle in 256 steps, 128 is phase 0, after the global phase that
makes the phase of sum |u| u zero was taken off; the figures of ``cdipipe plot`` do the same.
"""

from __future__ import annotations

import numpy as np

LARGEST_PX = 256
"""Longest side of a picture; larger arrays are binned."""
THUMBNAIL_PX = 64
FAINT = 0.02
"""Where the amplitude is below this share of the largest, there is no object."""


def pattern_bytes(photons: np.ndarray, measured: np.ndarray, largest_px: int = LARGEST_PX) -> tuple[np.ndarray, dict]:
    """A pattern as bytes, and its ``low`` and ``high`` in photons per pixel of the detector.

    Parameters
    ----------
    photons : (H, W)
    measured : (H, W) bool
    largest_px : longest side of the result
    """
    factor = _factor(photons.shape, largest_px)
    values = binned(np.where(measured, photons, np.float32(0)), factor)
    known = measured
    if factor > 1:
        share = binned(measured, factor)
        known = share > 0
        values = np.divide(values, share, out=np.zeros_like(values), where=known)
    top = float(values.max(initial=0))
    high = _rounded_up(top) if top > 0 else 1.0
    low = min(max(high * 1e-7, 0.5), high / 10) if high > 1 else high * 1e-4
    scaled = np.log(np.clip(values, low, high) / low) / np.log(high / low)
    return np.where(known, 1 + np.round(254 * scaled), 0).astype(np.uint8), {"low": low, "high": high}


def object_bytes(values: np.ndarray, largest_px: int = LARGEST_PX) -> tuple[np.ndarray, np.ndarray, dict]:
    """Amplitude and phase as bytes, and the ``high`` of the amplitude.

    Parameters
    ----------
    values : (H, W) complex
    largest_px : longest side of the result
    """
    values = np.nan_to_num(binned(values, _factor(values.shape, largest_px)))
    magnitude = np.abs(values)
    seen = magnitude[magnitude > 0]
    high = float(np.quantile(seen, 0.999)) if seen.size else 1.0
    mean = np.sum(magnitude * values)
    phase = np.angle(values * np.exp(-1j * np.angle(mean)))
    turns = np.floor((phase / (2 * np.pi) + 0.5) * 256 + 0.5).astype(np.int64) & 255
    return np.round(255 * np.minimum(magnitude / high, 1)).astype(np.uint8), turns.astype(np.uint8), {"high": high}


def binned(values: np.ndarray, factor: int) -> np.ndarray:
    """(H, W) averaged over squares of ``factor`` px; what is left over at the far edges is not shown."""
    if factor == 1:
        return values
    height, width = (n // factor for n in values.shape)
    rows = values[: height * factor, : width * factor].reshape(height, factor, -1).sum(1)
    return rows.reshape(height, width, factor).sum(2) / factor**2


class Frame:
    """The part of the arrays where objects are, with a margin; it only grows, so that pictures do not jump."""

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = ()
        self._method = ""
        self._box = (0, 0, 0, 0)

    def cut(self, values: np.ndarray, method: str) -> np.ndarray:
        """The part of (H, W) that is shown; begun anew where shape or method change."""
        step = _factor(values.shape, LARGEST_PX)  # of what is shown as one pixel, one is asked
        magnitude = np.abs(values[::step, ::step])
        inside = magnitude > FAINT * magnitude.max(initial=0)
        if (values.shape, method) != (self._shape, self._method):
            self._shape, self._method, self._box = values.shape, method, (*values.shape, 0, 0)
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if rows.size:
            top, left, bottom, right = self._box
            self._box = (
                *(min(top, int(rows[0]) * step), min(left, int(columns[0]) * step)),
                *(max(bottom, int(rows[-1]) * step + 1), max(right, int(columns[-1]) * step + 1)),
            )
        top, left, bottom, right = self._box
        if bottom <= top:
            return values
        side = max(bottom - top, right - left)
        side += 2 * max(2, side // 8)
        return values[_centred(top, bottom, side, values.shape[0]), _centred(left, right, side, values.shape[1])]


def _centred(begin: int, end: int, side: int, size: int) -> slice:
    """``side`` pixels around the middle of begin to end, moved and cut so that they lie in 0 to ``size``."""
    first = max(0, min((begin + end - side) // 2, size - side))
    return slice(first, min(size, first + side))


def _factor(shape: tuple[int, ...], largest_px: int) -> int:
    return max(1, -(-max(shape) // largest_px))


def _rounded_up(value: float) -> float:
    """The next of 1, 2, 5, 10, ...: a scale that stays while the brightest pixel flickers."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10, 20) if step * power >= value * (1 - 1e-6)))
