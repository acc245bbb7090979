"""Photon noise. Numpy only; every draw comes from the generator passed in."""

from __future__ import annotations

import numpy as np

GAUSSIAN_ABOVE = 1e12
"""Above this mean a Poisson number is drawn as a rounded normal one (relative skewness 1e-6); int64 would overflow."""


def poisson(mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Counts drawn independently from Poisson distributions.

    Parameters
    ----------
    mean : real array of any shape, photons, >= 0
    rng : numpy Generator; the result depends on its state and on ``mean`` only

    Returns
    -------
    float32 array of the same shape, whole numbers (beyond 2^24 rounded to 24 bits, below the noise up to 1e13)

    Raises
    ------
    ValueError   a mean is negative or not finite
    """
    mean = np.asarray(mean, np.float64)
    if mean.size and not (np.isfinite(mean).all() and mean.min() >= 0):
        raise ValueError("poisson: every mean must be finite and at least 0")
    counts = rng.poisson(np.minimum(mean, GAUSSIAN_ABOVE)).astype(np.float64)
    bright = mean > GAUSSIAN_ABOVE
    if bright.any():
        counts[bright] = np.rint(rng.normal(mean[bright], np.sqrt(mean[bright])))
    return counts.astype(np.float32)


def thin(counts: np.ndarray, share: float, rng: np.random.Generator, draws: int | None = None) -> np.ndarray:
    """Counts of an exposure that was shorter: of each photon a draw decides whether it is kept.

    What is kept and what is left are independent where the counts are Poisson numbers.

    Parameters
    ----------
    counts : real array of any shape, photons; rounded, and negative ones count as none
    share : of the photons that is kept, 0 to 1
    rng : numpy Generator
    draws : how many times; None: once, without an axis for it

    Returns
    -------
    float32 array of the shape of ``counts``, with ``draws`` in front where given
    """
    whole = np.rint(np.clip(counts, 0, GAUSSIAN_ABOVE)).astype(np.int64)
    shape = whole.shape if draws is None else (draws, *whole.shape)
    return rng.binomial(whole, share, shape).astype(np.float32)


def count_photons(
    intensity: np.ndarray,
    rng: np.random.Generator | None,
    background_photons: float = 0.0,
    read_noise_photons: float = 0.0,
) -> np.ndarray:
    """Counts of a detector: Poisson numbers of intensity plus background, and Gaussian read noise on top.

    Parameters
    ----------
    intensity : real array of any shape, photons, >= 0
    rng : None: the mean counts, without noise
    background_photons : mean per pixel, added before the Poisson numbers are drawn
    read_noise_photons : standard deviation; a full width at half maximum of 1 is 1 / 2.35482; counts may become < 0

    Returns
    -------
    float32 array of the same shape, newly made

    Raises
    ------
    ValueError   an intensity is negative or not finite

    References
    ----------
    DPR, Methods 4.2, equation 4: Pois(I) + N(0, sigma)
    """
    mean = intensity + background_photons if background_photons > 0 else intensity
    if rng is None:
        return np.array(mean, dtype=np.float32)
    counts = poisson(mean, rng)
    if read_noise_photons > 0:
        counts += np.float32(read_noise_photons) * rng.standard_normal(counts.shape, dtype=np.float32)
    return counts
