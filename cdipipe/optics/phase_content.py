"""How much of an object its phase is: what someone would get who knows the modulus and takes the phase for flat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FINER = 2
"""Ramps are tried in steps of one pixel of the pattern over this, as large as the object's own box makes it."""


@dataclass(frozen=True)
class PhaseContent:
    """Of one object, once the phase ramp is off that tells its modulus most of it.

    Parameters
    ----------
    flat_correlation : largest |<|u| e^{i ramp}, u>| / <u, u> over all ramps
        Of the true modulus with phase zero and the truth; 1: there is no phase.
    range_rad : between the 1st and the 99th of a hundred voxels where the object is, wrapped to 2 pi about the mean
    """

    flat_correlation: float
    range_rad: float


def phase_content(exit_wave: np.ndarray) -> PhaseContent:
    """What the phase of an object (*grid), with zeros around it, adds to its modulus; nan for an empty one."""
    from scipy import fft  # loads much

    power = float(np.sum(np.abs(exit_wave) ** 2))
    if power == 0:
        return PhaseContent(float("nan"), float("nan"))
    box = tuple(slice(places.min(), places.max() + 1) for places in np.nonzero(exit_wave))
    wave = exit_wave[box].astype(np.complex128)
    sizes = [FINER * length for length in wave.shape]
    places = _highest(np.abs(fft.fftn(wave * np.abs(wave), sizes)))
    turns = sum(
        np.arange(length).reshape([-1 if a == axis else 1 for a in range(wave.ndim)]) * places[axis] / sizes[axis]
        for axis, length in enumerate(wave.shape)
    )
    level = wave * np.exp(-2j * np.pi * turns)
    overlap = np.sum(level * np.abs(wave))
    inside = np.abs(wave) > 0.1 * np.abs(wave).max()
    low, high = np.quantile(np.angle(level[inside] * np.conj(overlap)), [0.01, 0.99])
    return PhaseContent(float(np.abs(overlap)) / power, float(high - low))


def _highest(values: np.ndarray) -> np.ndarray:
    """Place of the largest value of a periodic array, between its points: a parabola along each axis."""
    peak = np.unravel_index(values.argmax(), values.shape)
    places = np.array(peak, float)
    for axis, size in enumerate(values.shape):
        before, at, after = (
            values[tuple((p + step) % size if a == axis else p for a, p in enumerate(peak))] for step in (-1, 0, 1)
        )
        places[axis] += 0.5 * (before - after) / min(before - 2 * at + after, -1e-300)
    return places
