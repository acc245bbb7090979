"""Objects of a network against many truths: a few numbers of each, and no more than a few transforms."""

from __future__ import annotations

import numpy as np

from cdipipe.metrics.align import align_to
from cdipipe.optics.far_field import propagate

SUPPORT_SHARE = 0.1
"""Of the largest modulus of a truth: above it phases count."""
FINENESS = 20
"""Shifts are undone to 1 / FINENESS pixels: no pattern tells them, and half a pixel costs a small crystal a tenth."""

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
    """The numbers of ``MEASURES`` of one object and its :func:`phase_wraps`, and the object laid over its truth.

    Parameters
    ----------
    found, truth : (*grid) complex, centred
    intensity, measured : (*grid), photons and mask of the pattern
    """
    r_factor = _r_factor(found, intensity, measured)
    if found.ndim == 3:
        ramp = _ramp(intensity * measured)
        found, truth = found * ramp.conj(), truth * ramp.conj()
    aligned = align_to(truth, found, upsample=FINENESS)
    flat = align_to(truth, np.abs(found).astype(complex), upsample=FINENESS)
    laid = aligned.object
    inside = np.abs(truth) > SUPPORT_SHARE * np.abs(truth).max()
    mean = np.sum(truth * np.abs(truth))
    level = np.angle(truth * np.conj(mean))
    return {
        "complex_correlation": aligned.correlation,
        "flat_correlation": flat.correlation,
        "shape_correlation": _correlation(np.abs(laid), np.abs(truth)),
        "phase_error_rad": float(np.abs(np.angle(laid[inside] * truth[inside].conj())).mean()),
        "flat_phase_error_rad": float(np.abs(level[inside]).mean()),
        "r_factor": r_factor,
        "phase_wraps": phase_wraps(level, inside),
    }, laid


def phase_wraps(phase: np.ndarray, inside: np.ndarray) -> float:
    """How often the phase jumps by more than pi from a pixel of the object to the next.

    Parameters
    ----------
    phase : (*grid) rad, with the object's mean phase at zero
    inside : (*grid) bool, the object
    """
    pairs = 0
    for axis in range(phase.ndim):
        both = np.logical_and(
            *(np.take(inside, range(first, inside.shape[axis] - 1 + first), axis) for first in (0, 1))
        )
        pairs += np.count_nonzero(both & (np.abs(np.diff(phase, axis=axis)) > np.pi))
    return float(pairs)


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
