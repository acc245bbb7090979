"""What counting noise alone leaves between a perfect prediction and the counts, in the mean.

A misfit says little by itself: at a photon per pixel the truth has an R-factor of 0.5. Beside each misfit stands what a
perfect model would have. The three expectations are summed term by term up to 60 photons and follow their asymptotic
series beyond; a table in log(photons) is interpolated.
"""

from __future__ import annotations

import functools

import numpy as np

MANY_PHOTONS = 60.0
FEWEST_PHOTONS = 1e-6
TABLE_LENGTH = 400


@functools.cache
def _table() -> dict[str, np.ndarray]:
    """E|sqrt n - sqrt x|, E sqrt n, and E of the negative log-likelihood's excess, at photons of equal ratios."""
    from scipy import special  # loads much: only what is judged waits for it

    photons = np.geomspace(FEWEST_PHOTONS, MANY_PHOTONS, TABLE_LENGTH)
    counts = np.arange(260.0)
    log_chance = counts * np.log(photons)[:, None] - photons[:, None] - special.gammaln(counts + 1)
    chance, roots = np.exp(log_chance), np.sqrt(counts)
    distance = (chance * np.abs(roots - np.sqrt(photons)[:, None])).sum(1)
    ratio = special.xlogy(counts, np.maximum(counts, 1) / photons[:, None])
    excess = (chance * (photons[:, None] - counts + ratio)).sum(1)
    return {"distance": distance, "root": (chance * roots).sum(1), "excess": excess}


def _interpolated(photons: np.ndarray, name: str) -> np.ndarray:
    """The table between its entries, linear in log(photons)."""
    values = _table()[name]
    step = np.log(MANY_PHOTONS / FEWEST_PHOTONS) / (TABLE_LENGTH - 1)
    place = np.log(np.clip(photons, FEWEST_PHOTONS, MANY_PHOTONS) / FEWEST_PHOTONS) / step
    below = np.minimum(place.astype(np.int64), TABLE_LENGTH - 2)
    return values[below] + (place - below) * np.diff(values)[below]


def expected_root_distance(photons: np.ndarray) -> np.ndarray:
    """E|sqrt(n) - sqrt(x)| of counts n with the mean x.

    Parameters
    ----------
    photons : mean counts x >= 0, of any shape

    Returns
    -------
    float64, shape of ``photons``; 0.4 for many photons
    """
    far = np.sqrt(1 / (2 * np.pi)) * (1 + 0.1 / np.maximum(photons, MANY_PHOTONS))
    return np.where(photons > MANY_PHOTONS, far, _interpolated(photons, "distance"))


def expected_root(photons: np.ndarray) -> np.ndarray:
    """E sqrt(n) of counts n with the mean x.

    Parameters
    ----------
    photons : mean counts x >= 0, of any shape

    Returns
    -------
    float64, shape of ``photons``
    """
    root = np.sqrt(np.maximum(photons, MANY_PHOTONS))
    return np.where(photons > MANY_PHOTONS, root - 1 / (8 * root), _interpolated(photons, "root"))


def expected_nll(photons: np.ndarray) -> np.ndarray:
    """E[x - n + n ln(n / x)], half the mean Poisson deviance of a pixel, of counts n with the mean x.

    Parameters
    ----------
    photons : mean counts x >= 0, of any shape

    Returns
    -------
    float64, shape of ``photons``; 1/2 for many photons, near 0 for very few
    """
    far = 0.5 + 1 / (12 * np.maximum(photons, MANY_PHOTONS))
    return np.where(photons > MANY_PHOTONS, far, _interpolated(photons, "excess"))


def r_factor_of_noise(photons: np.ndarray, pixels: np.ndarray) -> float | None:
    """R-factor that a perfect prediction has in the mean.

    Parameters
    ----------
    photons : real, the prediction
    pixels : bool, shape of ``photons``

    Returns
    -------
    float, or None without any light
    """
    total = expected_root(photons[pixels]).sum()
    return float(expected_root_distance(photons[pixels]).sum() / total) if total > 0 else None


def nll_of_noise(photons: np.ndarray, pixels: np.ndarray) -> float | None:
    """Mean negative log-likelihood that a perfect prediction has in the mean, see ``poisson_nll``.

    Parameters
    ----------
    photons : real, the prediction
    pixels : bool, shape of ``photons``

    Returns
    -------
    float, or None without any pixel
    """
    return float(expected_nll(photons[pixels]).mean()) if pixels.any() else None
