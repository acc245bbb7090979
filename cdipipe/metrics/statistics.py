"""What several independent runs, or many patterns, say together. Nothing here ever sees the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from cdipipe.errors import InputError
from cdipipe.measurement import Reconstruction
from cdipipe.metrics.align import lay_over

LARGEST_VALUE = 1e12
"""Largest modulus of an object, in root photons."""


def align_runs(reference: np.ndarray, runs: np.ndarray, freedom: str = "shift", twin: bool = True) -> np.ndarray:
    """Every run laid over one reference, as far as their pattern leaves it open.

    Parameters
    ----------
    reference : (*grid) complex
    runs : (R, *grid) complex
    freedom, twin : as of :func:`cdipipe.metrics.align.lay_over`

    Returns
    -------
    (R, *grid), dtype of ``runs``
    """
    return np.stack([lay_over(reference, run, freedom, twin) for run in runs])


def correlation_matrix(aligned: np.ndarray) -> np.ndarray:
    """|sum conj(a) b| / (|a| |b|) of every pair of aligned runs, (R, R) float64; no further alignment."""
    gram = np.abs(_gram(aligned))
    norm = np.sqrt(np.diag(gram))
    below = np.outer(norm, norm)
    return np.minimum(np.divide(gram, below, out=np.zeros_like(gram), where=below > 0), 1.0)


def repeatability(aligned: np.ndarray) -> float | None:
    """Mean |correlation| over all pairs of different runs; None with fewer than two."""
    if len(aligned) < 2:
        return None
    pairs = np.triu_indices(len(aligned), 1)
    return float(correlation_matrix(aligned)[pairs].mean())


def modes(aligned: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Orthogonal modes of aligned runs (singular value decomposition), strongest first.

    The first is what the runs agree on, the others how they differ; a first weight of 0.9 means that 90 % of the
    energy is common to all.

    Parameters
    ----------
    aligned : (R, *grid) complex
    count : modes to return, at most R

    Returns
    -------
    modes : (count, *grid) complex, each with the root mean square norm of the runs, so on their photon scale
    weights : (R,) float64, energy shares of all R modes; they sum to 1
    """
    runs = aligned.reshape(len(aligned), -1)
    values, vectors = np.linalg.eigh(_gram(aligned))
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    total = values.sum()
    if total == 0:
        raise ValueError("modes: every run is zero")
    found = vectors[:, :count].conj().T.astype(runs.dtype) @ runs
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    found = np.divide(found, norms, out=np.zeros_like(found), where=norms > 1e-6 * np.sqrt(total))
    turn = np.exp(-1j * np.angle(found @ runs.mean(axis=0).conj()))  # phases as in the mean of the runs
    found = found * (turn * np.sqrt(total / len(runs)))[:, None]
    return found.reshape(-1, *aligned.shape[1:]).astype(aligned.dtype), values / total


def mean_object(aligned: np.ndarray) -> np.ndarray:
    """Mean of aligned runs, added up in double precision."""
    return aligned.mean(axis=0, dtype=np.complex128).astype(aligned.dtype)


def best_first(scores: dict[str, np.ndarray], count: int) -> np.ndarray:
    """Order of runs from best to worst: by Poisson NLL, else by R-factor, else as they are stored.

    Runs are chosen by likelihood, not by R-factor: over 8 patterns of plain HIO its choice correlated 0.76 with the
    truth, that of the R-factor 0.69.
    """
    for name in ("poisson_nll", "r_factor"):
        if name in scores and len(scores[name]) == count:
            return np.argsort(scores[name], kind="stable")
    return np.arange(count)


def summarise(rows: Iterable[dict[str, float]], middle: Callable = np.mean) -> dict[str, float]:
    """Middle of each metric over the patterns that have it, and its standard deviation (over N) as ``NAME_std``."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    summary = {}
    for name in names:
        values = np.array([row[name] for row in rows if name in row], float)
        summary[name], summary[f"{name}_std"] = float(middle(values)), float(values.std())
    return summary


def by_pattern(rows: list[dict[str, float]]) -> dict[str, np.ndarray]:
    """``pattern_NAME``: (patterns,) float64 of each metric, NaN where a pattern lacks it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {f"pattern_{name}": np.array([row.get(name, np.nan) for row in rows], float) for name in names}


def compare_paired(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Two-sided tests of whether two methods differ on the same patterns.

    Parameters
    ----------
    first, second : (patterns,) float, a metric of each pattern by both methods; pairs with a NaN are left out

    Returns
    -------
    dict
        ``patterns``; ``difference``, the median of first - second; ``mann_whitney_p``, which takes the two for
        independent samples; ``superiority``, its U / (n n): the chance that a value of the first exceeds one of the
        second, ties half; ``wilcoxon_p``, the signed-rank test of the pairs. p is 1 where all differences are 0.
    """
    from scipy.stats import mannwhitneyu, wilcoxon

    known = np.isfinite(first) & np.isfinite(second)
    one, two = np.asarray(first, float)[known], np.asarray(second, float)[known]
    if not len(one):
        return {"patterns": 0.0}
    ranked = mannwhitneyu(one, two, alternative="two-sided", method="asymptotic")
    paired = wilcoxon(one, two).pvalue if np.any(one != two) else 1.0
    return {
        "patterns": float(len(one)),
        "difference": float(np.median(one - two)),
        "mann_whitney_p": float(ranked.pvalue) if np.isfinite(ranked.pvalue) else 1.0,
        "superiority": float(ranked.statistic) / len(one) ** 2,
        "wilcoxon_p": float(paired),
    }


def _gram(aligned: np.ndarray) -> np.ndarray:
    runs = aligned.reshape(len(aligned), -1).astype(np.complex128)
    return runs @ runs.conj().T


def check_runs(reconstruction: Reconstruction) -> None:
    """Raise InputError if stored runs cannot be compared: another shape than the object, or no usable values."""
    runs, shape = reconstruction.runs, reconstruction.object.shape
    if runs.shape[1:] != shape:
        raise InputError(f"stored runs of shape {runs.shape} do not fit the object of shape {shape}")
    check_values("stored runs", runs)


def check_values(name: str, values: np.ndarray) -> None:
    """Raise InputError if values are not finite or so large that single precision overflows on the way."""
    largest = float(np.max(np.abs(values)))
    if not largest <= LARGEST_VALUE:
        raise InputError(f"{name}: values up to {largest:g}; allowed are finite ones up to {LARGEST_VALUE:g}")
