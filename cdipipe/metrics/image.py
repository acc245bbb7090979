"""How close an object is to the truth. Every function takes objects that are aligned already (see ``align``)."""

from __future__ import annotations

import numpy as np


def psnr_db(truth: np.ndarray, image: np.ndarray, peak: float | None = None) -> float | None:
    """20 log10(peak / root mean square difference); None for equal images.

    Parameters
    ----------
    truth, image : real, same shape; pass the pixels of the support to judge only those
    peak : float, by default the maximum of ``truth``
    """
    peak = float(np.max(truth)) if peak is None else peak
    error = float(np.sqrt(np.mean((np.asarray(truth, float) - image) ** 2)))
    return 20 * float(np.log10(peak / error)) if error > 0 and peak > 0 else None


def ssim_global(truth: np.ndarray, image: np.ndarray, peak: float | None = None) -> float | None:
    """Structural similarity from one mean, variance and covariance of all pixels, as DPR defines it.

    Not the mean over 7-pixel windows that libraries compute. c1 = (0.01 peak)^2, c2 = (0.03 peak)^2.

    References
    ----------
    The DPR paper, equation 6; Wang et al., IEEE Trans. Image Process. 13, 600 (2004), doi:10.1109/TIP.2003.819861
    """
    peak = float(np.max(truth)) if peak is None else peak
    one, two = np.asarray(truth, float), np.asarray(image, float)
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    covariance = np.mean((one - one.mean()) * (two - two.mean()))
    above = (2 * one.mean() * two.mean() + c1) * (2 * covariance + c2)
    below = (one.mean() ** 2 + two.mean() ** 2 + c1) * (one.var() + two.var() + c2)
    return float(above / below) if below > 0 else None


def pcc(first: np.ndarray, second: np.ndarray) -> float | None:
    """Pearson's correlation coefficient of two real arrays; None if one of them is constant."""
    one = np.asarray(first, float) - np.mean(first, dtype=float)
    two = np.asarray(second, float) - np.mean(second, dtype=float)
    norm = np.linalg.norm(one) * np.linalg.norm(two)
    smallest = 1e-12 * np.size(first) * np.max(np.abs(first)) * np.max(np.abs(second))
    return float(np.clip(np.sum(one * two) / norm, -1, 1)) if norm > smallest else None


def phase_rmse_rad(truth: np.ndarray, image: np.ndarray) -> float | None:
    """Root mean square phase difference, weighted by |truth|^2; differences are taken in -pi to pi."""
    weight = np.abs(truth).astype(float) ** 2
    total = weight.sum()
    difference = np.angle(np.asarray(image, complex) * np.conj(truth))
    return float(np.sqrt(np.sum(weight * difference**2) / total)) if total > 0 else None


def box_around(support: np.ndarray) -> tuple[slice, ...]:
    """Twice the bounding box of a support, per axis, as far as the array goes.

    A network's output is a picture of object and surroundings, and papers give PSNR and SSIM of all of it. This box
    does not grow with the padding of the array.
    """
    box = []
    for axis in range(support.ndim):
        filled = np.flatnonzero(support.any(axis=tuple(a for a in range(support.ndim) if a != axis)))
        margin = (filled[-1] + 1 - filled[0] + 1) // 2
        box.append(slice(max(filled[0] - margin, 0), filled[-1] + 1 + margin))
    return tuple(box)
