"""How the intervals of a result compare with its truth; needs no phasing, so it starts at once."""

from __future__ import annotations

import numpy as np

from cdipipe.errors import InputError
from cdipipe.measurement import Truth
from cdipipe.metrics.align import lay_over
from cdipipe.uncertainty.record import MAP_OF, Uncertainty


def errors_of(object_: np.ndarray, support: np.ndarray, freedom: str, truth: np.ndarray) -> dict[str, np.ndarray]:
    """True absolute errors of the pixels inside the support, kind -> (pixels,): sqrt(photons), and rad of the phase.

    The truth is laid over the object, and its scale fitted.

    Parameters
    ----------
    object_, truth : (*grid) complex
    support : (*grid) bool
    freedom : what the pattern leaves open, see ``ForwardModel.freedom``
    """
    laid = lay_over(object_, truth, freedom).astype(np.complex128)
    laid = laid * (np.vdot(laid, object_).real / (np.vdot(laid, laid).real or 1.0))
    there, found = laid[support], object_[support].astype(np.complex128)
    phase = np.abs(np.angle(found * there.conj()))
    return {"complex": np.abs(found - there), "amplitude": np.abs(np.abs(found) - np.abs(there)), "phase": phase}


def judge(found: Uncertainty, truth: Truth) -> dict[str, float]:
    """How many of the true values the intervals hold, and whether the map is large where the error is.

    Parameters
    ----------
    found : of :func:`estimate`
    truth : of the same grid

    Returns
    -------
    dict with ``coverage_90``, ``coverage_90_amplitude``, ``coverage_90_phase``: shares of the pixels in the support;
    ``error_rank_correlation``: Spearman's, of ``error_90`` and the true absolute error

    Raises
    ------
    InputError   shapes differ
    """
    if truth.object.shape != found.object.shape:
        raise InputError(f"truth of shape {truth.object.shape} does not fit an object of shape {found.object.shape}")
    if not np.isfinite(found.maps["error_90"]).any():
        return {}
    errors = errors_of(found.object, found.support, found.freedom, truth.object)
    stated = {kind: found.maps[name][found.support] for kind, name in MAP_OF.items()}
    shares = {kind: float(np.mean(errors[kind] <= stated[kind])) for kind in MAP_OF}
    return {
        "coverage_90": shares["complex"],
        "coverage_90_amplitude": shares["amplitude"],
        "coverage_90_phase": shares["phase"],
        "error_rank_correlation": rank_correlation(stated["complex"], errors["complex"]),
    }


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation; 0 where one of the arrays is constant.

    Parameters
    ----------
    first, second : (pixels,) real
    """
    one, two = (_ranks(values) - (len(values) + 1) / 2 for values in (first, second))
    norm = float(np.linalg.norm(one) * np.linalg.norm(two))
    return float(one @ two) / norm if norm > 0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, the mean one of equal values; scipy.stats has the same, and takes as long to load as all else."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]
