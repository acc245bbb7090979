"""Objects of a network against many truths: a few numbers of each, and no more than a few transforms."""

from __future__ import annotations

import numpy as np

from cdipipe.optics.far_field import propagate

SUPPORT_SHARE = 0.1
"""Of the largest modulus of a truth: above it phases count."""

MEASURES = {
    "complex_correlation": "with the truth; shift, twin, global phase and, of a volume, the ramp of its peak undone",
    "flat_correlation": "the same of the network's own modulus with phase zero",
    "shape_correlation": "of the moduli, laid over each other like the objects",
    "phase_error_rad": "mean absolute error of the phase where the truth is",
    "flat_phase_error_rad": "the same of phase zero",
    "r_factor": "of the pattern, measured pixels only, at the best scale",
}


def judge_object(
    found: np.ndarray, truth: np.ndarray, intensity: np.ndarray, measured: np.ndarray
) -> tuple[dict[str, float], np.ndarray]:
    """The numbers of ``MEASURES`` of one object, and the object laid over its truth.

    Parameters
    ----------
    found, truth : (*grid) complex, centred
    intensity, measured : (*grid), photons and mask of the pattern
    """
    r_factor = _r_factor(found, intensity, measured)
    if found.ndim == 3:
        ramp = _ramp(intensity * measured)
        found, truth = found * ramp.conj(), truth * ramp.conj()
    laid, overlap = lay_over(found, truth)
    _, flat = lay_over(np.abs(found).astype(complex), truth)
    inside = np.abs(truth) > SUPPORT_SHARE * np.abs(truth).max()
    mean = np.sum(truth * np.abs(truth))
    return {
        "complex_correlation": overlap,
        "flat_correlation": flat,
        "shape_correlation": _correlation(np.abs(laid), np.abs(truth)),
        "phase_error_rad": float(np.abs(np.angle(laid[inside] * truth[inside].conj())).mean()),
        "flat_phase_error_rad": float(np.abs(np.angle(truth[inside] * np.conj(mean))).mean()),
        "r_factor": r_factor,
    }, laid


def lay_over(found: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    """``found`` or its twin, shifted by whole pixels and turned in phase to fit the truth; and their correlation."""
    axes, size = tuple(range(truth.ndim)), truth.shape
    wanted = np.fft.fftn(truth)
    best = None
    for candidate in (found, np.conj(np.flip(found))):
        overlaps = np.fft.ifftn(np.conj(np.fft.fftn(candidate)) * wanted)
        place = np.unravel_index(np.abs(overlaps).argmax(), size)
        if best is None or np.abs(overlaps[place]) > np.abs(best[0]):
            best = overlaps[place], place, candidate
    overlap, place, candidate = best
    norm = float(np.sqrt(np.sum(np.abs(found) ** 2) * np.sum(np.abs(truth) ** 2)))
    turned = np.roll(candidate, place, axes) * (overlap / max(np.abs(overlap), 1e-300))
    return turned, float(np.abs(overlap)) / max(norm, 1e-300)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.sum(first * second) / max(np.sqrt(np.sum(first**2) * np.sum(second**2)), 1e-300))


def _r_factor(found: np.ndarray, intensity: np.ndarray, measured: np.ndarray) -> float:
    predicted = np.abs(propagate(found, found.ndim))[measured]
    modulus = np.sqrt(np.maximum(intensity, 0))[measured]
    scale = np.sum(predicted * modulus) / max(np.sum(predicted**2), 1e-300)
    return float(np.abs(scale * predicted - modulus).sum() / max(modulus.sum(), 1e-300))


def _ramp(pattern: np.ndarray) -> np.ndarray:
    """The phase ramp that the centre of mass of a pattern tells."""
    turns = np.zeros(pattern.shape)
    for axis, size in enumerate(pattern.shape):
        along = (np.arange(size) - size // 2).reshape([-1 if a == axis else 1 for a in range(pattern.ndim)])
        turns = turns + along * (np.sum(pattern * along) / max(pattern.sum(), 1e-300) / size)
    return np.exp(2j * np.pi * turns)
