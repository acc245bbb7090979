"""Metrics in Fourier space: misfits to the counts, rings, FRC/FSC and PRTF.

Rings (shells) are counted from the centre: pixel k of an axis of N pixels has the frequency (k - N//2) / N cycles per
pixel, its ring is round(|f| min(N)), and the ring r stands for r / min(N) cycles per pixel. Rings end at Nyquist,
r = min(N) // 2; the corners beyond are in none. A resolution is a full period, 1 / frequency, in object pixels.
"""

from __future__ import annotations

import functools

import numpy as np

from cdipipe.optics.far_field import propagate
from cdipipe.optics.grid import pixel_axes

LEAST_PREDICTED_PHOTONS = 1e-12
"""Floor of the prediction inside the logarithm, where it vanishes and a photon was counted."""


def intensity_scale(predicted: np.ndarray, intensity: np.ndarray, pixels: np.ndarray) -> float | None:
    """c = sum I / sum I-hat over ``pixels``; None where one of the sums is not positive."""
    seen, expected = intensity[pixels].sum(dtype=float), predicted[pixels].sum(dtype=float)
    return seen / expected if seen > 0 and expected > 0 else None


def r_factor(model: np.ndarray, intensity: np.ndarray, pixels: np.ndarray) -> float | None:
    """sum |sqrt(model) - sqrt(I)| / sum sqrt(I) over ``pixels``.

    Parameters
    ----------
    model : real, scaled prediction c I-hat in photons
    intensity : real, shape of ``model``; negative counts enter as 0
    pixels : bool, shape of ``model``
    """
    modulus, seen = np.sqrt(model[pixels]), np.sqrt(np.maximum(intensity[pixels], 0))
    total = seen.sum(dtype=float)
    return float(np.abs(modulus - seen).sum(dtype=float) / total) if total > 0 else None


def r_factor_local(model: np.ndarray, intensity: np.ndarray, pixels: np.ndarray) -> float | None:
    """Mean of |sqrt(model) - sqrt(I)| / sqrt(I) over those ``pixels`` that saw more than half a photon.

    References
    ----------
    The DPR paper, section 4.4 (local R_F, pixelwise above 0.5 photons)
    """
    found = local_misfits(model, intensity, pixels)
    known = found[np.isfinite(found)]
    return float(np.mean(known, dtype=float)) if known.size else None


def local_misfits(model: np.ndarray, intensity: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """|sqrt(model) - sqrt(I)| / sqrt(I) where ``pixels`` saw more than half a photon, NaN elsewhere; float64.

    References
    ----------
    As :func:`r_factor_local`
    """
    found = np.full(intensity.shape, np.nan)
    pixels = pixels & (intensity > 0.5)
    seen = np.sqrt(intensity[pixels])
    found[pixels] = np.abs(np.sqrt(model[pixels]) - seen) / seen
    return found


def chi2(model: np.ndarray, intensity: np.ndarray, pixels: np.ndarray) -> float | None:
    """sum (sqrt(I) - sqrt(model))^2 / sum I over ``pixels`` (the form of the CDI NN authors' code)."""
    modulus, seen = np.sqrt(model[pixels]), np.sqrt(np.maximum(intensity[pixels], 0))
    total = intensity[pixels].sum(dtype=float)
    return float(np.sum((seen - modulus) ** 2, dtype=float) / total) if total > 0 else None


def poisson_nll(model: np.ndarray, intensity: np.ndarray, pixels: np.ndarray) -> float | None:
    """Mean of model - I + I ln(I / model) over ``pixels``: Poisson deviance / 2 per pixel, 0 for a perfect fit."""
    if not pixels.any():
        return None
    expected = model[pixels].astype(float)
    seen = np.maximum(intensity[pixels], 0).astype(float)
    hit = seen > 0
    logarithm = seen[hit] * np.log(seen[hit] / np.maximum(expected[hit], LEAST_PREDICTED_PHOTONS))
    return float((np.sum(expected - seen) + np.sum(logarithm)) / seen.size)


def misfits(
    predicted: np.ndarray, intensity: np.ndarray, measured: np.ndarray, free: np.ndarray | None = None
) -> dict[str, float]:
    """The misfits of one pattern that are kept as scores of a run; what cannot be computed is absent.

    The prediction is scaled once, on the pixels that the reconstruction saw (measured and not free).
    """
    used = measured if free is None else measured & ~free
    scale = intensity_scale(predicted, intensity, used)
    if scale is None:
        return {}
    model = predicted * scale
    found = {
        "r_factor": r_factor(model, intensity, used),
        "r_factor_free": None if free is None else r_factor(model, intensity, measured & free),
        "poisson_nll_free": None if free is None else poisson_nll(model, intensity, measured & free),
        "r_factor_local": r_factor_local(model, intensity, used),
        "chi2": chi2(model, intensity, used),
        "poisson_nll": poisson_nll(model, intensity, used),
    }
    return {name: value for name, value in found.items() if value is not None}


@functools.lru_cache(maxsize=4)
def ring_index(shape: tuple[int, ...]) -> np.ndarray:
    """Ring (shell) of every pixel of a centred pattern, int, not to be written to; see the module's head."""
    frequency2 = sum((k / n) ** 2 for k, n in zip(pixel_axes(shape), shape, strict=True))
    rings = np.rint(np.sqrt(frequency2) * min(shape)).astype(np.int64)
    rings.flags.writeable = False
    return rings


def ring_frequencies(shape: tuple[int, ...]) -> np.ndarray:
    """Frequency of each ring in cycles per object pixel, from 0 to Nyquist."""
    return np.arange(min(shape) // 2 + 1) / min(shape)


def ring_sums(values: np.ndarray, pixels: np.ndarray | None = None) -> np.ndarray:
    """Sum over each ring, over ``pixels`` only if given; (rings,) float64."""
    rings = ring_index(values.shape)
    count = min(values.shape) // 2 + 1
    if pixels is None or pixels.all():
        return np.bincount(rings.ravel(), values.ravel(), count)[:count]
    return np.bincount(rings[pixels], values[pixels], count)[:count]


def ring_means(values: np.ndarray, pixels: np.ndarray | None = None) -> np.ndarray:
    """Mean over each ring; NaN where a ring has no pixel."""
    weight = ring_sums(np.ones(values.shape), pixels)
    return _ratio(ring_sums(values, pixels), weight)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def fourier_ring_correlation(
    first: np.ndarray, second: np.ndarray, apodise_px: int = 0, pixels: np.ndarray | None = None
) -> np.ndarray:
    """FRC (2D) or FSC (3D) of two aligned objects: Re sum F1 conj(F2) / sqrt(sum |F1|^2 sum |F2|^2) per ring.

    Parameters
    ----------
    first, second : (H, W) or (D, H, W) complex or real, centred
    apodise_px : int
        Width of a raised-cosine edge that both are multiplied with. Needed for objects that do not vanish at the edge
        of the array; a support or mask that both share raises the curve in any case.
    pixels : bool, shape of the objects, optional
        Frequencies that count, centred; all where it is not given.

    Returns
    -------
    (rings,) float64; NaN where a ring is dark in one of them

    References
    ----------
    van Heel and Schatz, J. Struct. Biol. 151, 250 (2005), doi:10.1016/j.jsb.2005.05.009
    """
    window = _window(first.shape, apodise_px)
    one, two = (propagate((array * window).astype(np.complex128), array.ndim) for array in (first, second))
    cross = ring_sums((one * two.conj()).real, pixels)
    power = ring_sums(np.abs(one) ** 2, pixels) * ring_sums(np.abs(two) ** 2, pixels)
    return _ratio(cross, np.sqrt(power))


def bit_threshold(
    shape: tuple[int, ...], bits: float = 0.5, area_fraction: float = 1.0, real: bool = False
) -> np.ndarray:
    """Threshold of an FRC/FSC of two independent halves at which a ring carries ``bits`` bits per pixel.

    T = (s + 2 sqrt(s)/sqrt(n) + 1/sqrt(n)) / (s + 2 sqrt(s)/sqrt(n) + 1), s = (2^bits - 1) / 2.

    Parameters
    ----------
    shape : of the objects
    bits : 0.5 (half-bit) or 1 (one-bit)
    area_fraction : share of the array that the object fills; n is the number of *independent* pixels per ring,
        pixels times this share
    real : whether the objects are real, whose patterns hold every value twice

    Notes
    -----
    Fixed thresholds in use: 0.143 for two independent halves. Against a noise-free truth the same quality reads
    sqrt(2 0.143 / 1.143) = 0.5, which ``frc_resolution_px`` uses.
    """
    pixels = ring_sums(np.ones(shape)) * area_fraction / (2 if real else 1)
    root = np.sqrt(np.maximum(pixels, 1))
    signal = (2**bits - 1) / 2
    noise = 2 * np.sqrt(signal) / root
    return (signal + noise + 1 / root) / (signal + noise + 1)


def phase_retrieval_transfer(
    wavefronts: np.ndarray, intensity: np.ndarray, pixels: np.ndarray, phase_only: bool = False
) -> np.ndarray:
    """PRTF of an ensemble: sum |<F_n>| / sum sqrt(I) per ring, over measured pixels that saw light.

    Near 1 where the runs agree on the phase, near 0.9 / sqrt(R) where R runs have random phases. Of a single run it
    says nothing about phase, so it wants independent starts, 20 or more.

    Parameters
    ----------
    wavefronts : (R, *grid) or (R, M, *grid) complex
        Of aligned runs, on the photon scale; M incoherent modes are summed in quadrature.
    intensity, pixels : (*grid) real and bool
    phase_only : replace the moduli by the measured ones first, so that only phases count

    Returns
    -------
    (rings,) float64; NaN for rings without a photon

    References
    ----------
    Chapman et al., J. Opt. Soc. Am. A 23, 1179 (2006), doi:10.1364/JOSAA.23.001179
    """
    modes = wavefronts if wavefronts.ndim > intensity.ndim + 1 else wavefronts[:, None]
    modulus = np.sqrt(np.maximum(intensity, 0))
    if phase_only:
        power = np.sqrt(np.sum(np.abs(modes) ** 2, axis=1, keepdims=True))
        modes = modes * _ratio(np.broadcast_to(modulus, power.shape), power)
        modes = np.nan_to_num(modes)
    agreed = np.sqrt(np.sum(np.abs(modes.mean(axis=0)) ** 2, axis=0))
    lit = pixels & (intensity > 0)
    return _ratio(ring_sums(agreed, lit), ring_sums(modulus, lit))


def transfer_floor(runs: int) -> float:
    """PRTF of so many runs whose phases are random: sqrt(pi / 4 runs)."""
    return float(np.sqrt(np.pi / 4 / runs))


def smooth_rings(curve: np.ndarray, width: int = 3) -> np.ndarray:
    """Running mean over ``width`` rings, shortened at the ends; rings without a value are left out."""
    valid = np.isfinite(curve)
    kernel = np.ones(width)
    total = np.convolve(np.where(valid, curve, 0.0), kernel, "same")
    smooth = _ratio(total, np.convolve(valid.astype(float), kernel, "same"))
    return np.where(valid, smooth, np.nan)


def resolution_px(frequencies: np.ndarray, curve: np.ndarray, threshold: float | np.ndarray) -> float | None:
    """Full period (object pixels) at which a curve first falls below its threshold, interpolated between rings.

    A curve that never does is limited by its last ring (2 px if that is Nyquist); one that starts below is not
    resolved, and the first ring's period, the whole array, is returned. The centre, ring 0, does not count. None if
    no ring has a value.
    """
    margin = curve - threshold
    valid = np.isfinite(margin) & (frequencies > 0)
    margin, frequencies = margin[valid], frequencies[valid]
    if not margin.size:
        return None
    below = np.flatnonzero(margin < 0)
    if not below.size:
        return float(1 / frequencies[-1])
    first = below[0]
    if first == 0:
        return float(1 / frequencies[0])
    share = margin[first - 1] / (margin[first - 1] - margin[first])
    return float(1 / (frequencies[first - 1] + share * (frequencies[first] - frequencies[first - 1])))


def _window(shape: tuple[int, ...], edge_px: int) -> np.ndarray:
    """Raised-cosine edges of ``edge_px`` pixels along every axis."""
    window = np.ones(shape)
    for axis, size in enumerate(shape):
        distance = np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5
        profile = np.sin(0.5 * np.pi * np.minimum(distance / edge_px, 1)) ** 2 if edge_px > 0 else np.ones(size)
        window = window * profile.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return window
