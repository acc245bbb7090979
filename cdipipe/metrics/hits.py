"""Which shots of a stack are hits, judged by their patterns alone: neither truth nor any reconstruction is looked at.

``blank``: the photons are what the background of the stack alone would give. ``weak``: an object, but too few photons
for each of its pixels, or far fewer than in the other shots. ``multiple``: several objects in the beam at once; their
distances stand in the autocorrelation (the Fourier transform of the pattern) beyond the size of one object. ``single``:
a hit. How large one object is, what its autocorrelation leaves beyond, and how much that differs from shot to shot is
taken from the stack itself, by medians: most shots with light must be single hits, of objects of similar size.

The pattern enters as its contrast on each ring, (I - mean) / signal, weighted as a Wiener filter does: rings count by
their speckle and not by their brightness, and masked pixels add little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cdipipe.measurement import Measurement
from cdipipe.metrics import fourier, noise
from cdipipe.metrics.record import Metric

KINDS = ("single", "multiple", "weak", "blank")
FEW_PHOTONS = 10.0
"""Photons for each pixel of the object, below which a shot is weak; see ``cdipipe.metrics.trust``."""
FAINT = 0.05
"""Of the photons of a typical bright shot, below which a shot is weak: the object met the beam's edge."""
BEYOND = 5.0
"""Robust standard deviations of the stack, from which on what lies beyond one object's autocorrelation is too much."""
ABOVE_BACKGROUND = 5.0
"""Standard deviations of counting, from which on photons are more than background."""
FEWEST_SHOTS = 8
"""Shots from which a stack tells what a single object is like."""
BRIGHT = 0.3
"""Of the photons of the upper quartile: shots that tell what a single object is like."""
EDGE = 5e-3
"""Of the greatest mean squared autocorrelation on a ring: where that of a single object ends."""
FILLED = 0.95
"""Of the energy of the typical autocorrelation, within the diameter of the object."""
LOW_GROUP = 0.3
"""Of the photons of the other shots, at most, that a group of equal ones may have to be taken for the background."""
SMALLEST_SPREAD = 1e-3
PIXELS_TOGETHER = 2**20


@dataclass(frozen=True)
class Hits:
    """What the patterns of a stack tell of each shot.

    Parameters
    ----------
    kind : (N,) str, one of ``KINDS``
    score : (N,) float64, -log10 of the worst doubt in units of its limit; above 0 for single hits, greater is better
    photons : (N,) float64, on the measured pixels
    signal : (N,) float64, photons above the background
    per_pixel : (N,) float64, signal for each pixel of the typical object; NaN where the stack does not tell its size
    beyond : (N,) float64, energy beyond the autocorrelation of one object, in robust standard deviations of the stack;
        NaN where the stack does not tell
    diameter_px : of the typical object, or None
    """

    kind: np.ndarray
    score: np.ndarray
    photons: np.ndarray
    signal: np.ndarray
    per_pixel: np.ndarray
    beyond: np.ndarray
    diameter_px: float | None

    @property
    def count(self) -> dict[str, int]:
        """Shots of each kind."""
        return {kind: int((self.kind == kind).sum()) for kind in KINDS}

    def best_kind(self) -> str:
        """The kind that numbers of the stack are taken over: single hits, or what comes nearest to them."""
        return next(kind for kind in ("single", "weak", "multiple", "blank") if (self.kind == kind).any())


def find_hits(measurement: Measurement) -> Hits | None:
    """Judge each shot of a stack.

    Parameters
    ----------
    measurement : Measurement of a stack

    Returns
    -------
    Hits, or None where no judgement is possible: no stack of shots, or something known stands beside the objects
    """
    known = (measurement.probe_modes, measurement.known_static_support)
    if measurement.stack != "shots" or any(array is not None for array in known):
        return None
    rings = _Rings.of(measurement)
    background, dark = rings.background()
    photons = rings.sums.sum(1)
    own = np.fmin(background, np.where(rings.outer_pixels > 0, rings.outer_mean, np.inf))
    expected = own * rings.pixels.sum(1)
    variance = expected * (1 + rings.pixels.sum(1) / np.maximum(rings.outer_pixels, 1)) + dark * rings.pixels.sum(1)
    signal = photons - expected
    empty = signal <= ABOVE_BACKGROUND * np.sqrt(np.maximum(variance, 1e-12))
    empty |= _low_group(measurement, photons, ~empty)
    lags = _Lags.of(measurement, rings, background, dark)
    bright = ~empty & (photons >= BRIGHT * np.percentile(photons[~empty], 75)) if not empty.all() else ~empty
    diameter, beyond = lags.beyond(bright)
    area = np.nan if diameter is None else np.pi / 4 * diameter**2
    per_pixel = np.maximum(signal, 0) / area
    faint = FAINT * np.median(signal[bright]) if bright.sum() >= FEWEST_SHOTS else 0.0
    weak = np.fmax(FEW_PHOTONS / np.maximum(per_pixel, 1e-3), faint / np.maximum(signal, 1e-3))
    return _judged(empty, weak, Hits(np.empty(0), np.empty(0), photons, signal, per_pixel, beyond, diameter))


def _judged(empty: np.ndarray, weak: np.ndarray, found: Hits) -> Hits:
    """Kinds and scores from doubts, which are 1 at their limits."""
    beyond = found.beyond
    multiple = np.nan_to_num(beyond / BEYOND, nan=0.1)
    doubt = np.clip(np.maximum(weak, multiple), 1e-2, 1e4)
    doubt[empty] = 1e4
    kind = np.full(len(doubt), "single", dtype="U8")
    kind[multiple >= 1] = "multiple"
    kind[weak >= 1] = "weak"
    kind[empty] = "blank"
    return replace(found, kind=kind, score=-np.log10(doubt))


@dataclass(frozen=True)
class _Rings:
    """Sums over the rings of each shot, (N, rings): counts, and pixels; of the outer ones also mean and variance."""

    index: np.ndarray
    sums: np.ndarray
    pixels: np.ndarray
    outer_pixels: np.ndarray
    outer_mean: np.ndarray
    outer_variance: np.ndarray

    @classmethod
    def of(cls, measurement: Measurement) -> _Rings:
        shape = measurement.pattern_shape
        index = fourier.ring_index(shape)
        rings, outer = int(index.max()) + 1, index >= 0.75 * (min(shape) // 2)
        rows = []
        for number in range(measurement.pattern_count):
            pattern = measurement.pattern(number)
            used, counts = pattern.measured, pattern.intensity
            far = counts[used & outer].astype(float)
            filled = np.bincount(index[used], minlength=rings)
            told = (far.mean(), far.var()) if far.size else (np.nan, np.nan)
            rows.append((np.bincount(index[used], counts[used], rings), filled, far.size, *told))
        sums, pixels, outer_pixels, mean, variance = zip(*rows, strict=True)
        flat = (np.array(column, float) for column in (outer_pixels, mean, variance))
        return cls(index, np.stack(sums), np.stack(pixels), *flat)

    def background(self) -> tuple[float, float]:
        """Photons of a flat background on each pixel, and the variance of read noise: those of the darkest shots."""
        if np.isnan(self.outer_mean).all():
            return 0.0, 0.0
        excess = self.outer_variance - self.outer_mean
        return float(max(np.nanpercentile(self.outer_mean, 10), 0)), float(max(np.nanpercentile(excess, 10), 0))


def _low_group(measurement: Measurement, photons: np.ndarray, lit: np.ndarray) -> np.ndarray:
    """Shots that look like the darkest ones, where these are all alike: the background, whatever its shape."""
    count = len(photons)
    size = max(FEWEST_SHOTS, count // 20)
    none = np.zeros(count, bool)
    if count < 2 * size or not lit.any():
        return none
    darkest = np.argsort(photons, kind="stable")[:size]
    level = float(photons[darkest].mean())
    if photons[darkest].var() > 4 * max(level, 1.0):
        return none
    near = photons <= level + ABOVE_BACKGROUND * np.sqrt(max(level, 1.0))
    others = photons[~near]
    if not others.size or level > LOW_GROUP * np.median(others):
        return none
    counts = np.maximum(measurement.intensity[darkest], 0)
    measured = np.broadcast_to(measurement.measured, measurement.intensity.shape)[darkest]
    seen = np.maximum(measured.sum(0), 1)
    mean = np.where(measured, counts, 0).sum(0, dtype=float) / seen
    means = np.maximum((mean * seen + 0.5) / (seen + 1), 1e-3)  # a pixel without a photon has not the mean 0
    alike = [
        fourier.poisson_nll(means, counts[n], measured[n]) <= 1.5 * (noise.nll_of_noise(means, measured[n]) or 1)
        for n in range(size)
    ]
    return near if np.mean(alike) > 0.5 else none


@dataclass(frozen=True)
class _Lags:
    """Squared autocorrelation of each shot's contrast on rings of lags, (N, rings), without the part of noise.

    Parameters
    ----------
    energy : (N, rings) float64
    pixels : (rings,) lags of each ring
    noise : (N,) float64, mean of one lag by counting noise alone
    half : number of rings within the array
    """

    energy: np.ndarray
    pixels: np.ndarray
    noise: np.ndarray
    half: int

    @classmethod
    def of(cls, measurement: Measurement, rings: _Rings, background: float, dark: float) -> _Lags:
        from scipy import fft  # loads much: only what is judged waits for it

        shape, count = measurement.pattern_shape, measurement.pattern_count
        axes = [np.rint(fft.fftfreq(n) * n) for n in shape]
        lag = np.rint(np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))).astype(np.int64)
        pixels = np.bincount(lag.ravel())
        means = np.maximum(rings.sums / np.maximum(rings.pixels, 1), 1e-6)
        signals = np.maximum(means - background, 0)
        weights = signals / (signals**2 + means + dark)
        energy, level = [], (weights**2 * (means + dark) * rings.pixels).sum(1)
        step = max(1, PIXELS_TOGETHER // lag.size)
        for first in range(0, count, step):
            part = slice(first, first + step)
            used = np.broadcast_to(measurement.measured, measurement.intensity.shape)[part]
            contrast = (measurement.intensity[part] - means[part][:, rings.index]) * weights[part][:, rings.index]
            power = np.abs(fft.fftn(np.where(used, contrast, 0).astype(np.float32), axes=(1, 2))) ** 2
            energy += [np.bincount(lag.ravel(), p.ravel(), len(pixels)) for p in power]
        return cls(np.stack(energy) - level[:, None] * pixels, pixels, level, min(shape) // 2)

    def beyond(self, bright: np.ndarray) -> tuple[float | None, np.ndarray]:
        """Diameter of the typical object, and of each shot what lies beyond its autocorrelation.

        Parameters
        ----------
        bright : (N,) bool, shots that tell what is typical
        """
        unknown = np.full(len(self.energy), np.nan)
        total = self.energy.sum(1)
        lit = total > 0
        if not (bright & lit).any():
            return None, unknown
        shares = self.energy / np.where(lit, total, np.inf)[:, None]
        typical = np.median(shares[bright & lit], axis=0)
        diameter = float(np.searchsorted(np.cumsum(typical) / typical.sum(), FILLED)) if typical.sum() > 0 else None
        density = typical / self.pixels
        low = np.flatnonzero(density[1:] < EDGE * density[1:].max()) + 1
        last = int(0.8 * self.half)
        if (bright & lit).sum() < FEWEST_SHOTS or not low.size or low[0] >= last:
            return diameter, unknown
        edges = np.arange(low[0], last)
        rest = 1 - np.cumsum(shares, axis=1)[:, edges]
        lags = self.pixels.sum() - np.cumsum(self.pixels)[edges]
        middle = np.median(rest[bright & lit], axis=0)
        spread = 1.4826 * np.median(np.abs(rest[bright & lit] - middle), axis=0) + SMALLEST_SPREAD
        counting = self.noise[:, None] * np.sqrt(2.0 * lags) / np.where(lit, total, np.inf)[:, None]
        found = ((rest - middle) / np.hypot(spread, counting)).max(1)
        return diameter, np.where(lit, found, np.nan)


def _count(kind: str) -> Callable[[Any], int | None]:
    return lambda case: None if case.hits is None else case.hits.count[kind]


COUNTS: dict[str, Any] = {"of": "whole", "format": ".0f", "shown": False}
METRICS = (
    Metric(
        name="headline",
        label="numbers of",
        meaning="what the numbers of a stack are: the median over the shots that are hits, or the mean over the frames "
        "of a movie",
        judge=lambda case: case.headline,
        of="whole",
        shown=False,
    ),
    *(
        Metric(name=f"shots_{kind}", label=f"{kind} shots", meaning=meaning, judge=_count(kind), **COUNTS)
        for kind, meaning in {
            "single": "shots of a stack that hit one object, judged by the patterns alone",
            "multiple": "shots that hit several objects at once",
            "weak": "shots with too few photons",
            "blank": "shots of the background alone",
        }.items()
    ),
)
