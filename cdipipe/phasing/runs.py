"""The restarts of one pattern once they have run: scored, ranked, centred, aligned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from cdipipe.optics import fourier


@dataclass
class Runs:
    """The restarts of one pattern, best first; arrays centred."""

    objects: np.ndarray
    """(K, *grid) complex64, the best K of R, aligned to the first"""
    support: np.ndarray
    """(*grid) bool, of the best"""
    error_trace: np.ndarray
    """(R, iterations) float32"""
    scores: dict[str, np.ndarray]
    """name -> (R,), among them ``seed``: the index of the start"""


@dataclass(frozen=True)
class Batch:
    """Some restarts of a pattern, in their order; arrays centred, scores as of Runs."""

    objects: np.ndarray
    supports: np.ndarray
    error_trace: np.ndarray
    scores: dict[str, np.ndarray]


def rank(batches: list[Batch], select: str, keep: int) -> Runs:
    """All runs of a pattern, ranked by a score; copies the objects of the best."""
    scores = {name: np.concatenate([batch.scores[name] for batch in batches]) for name in batches[0].scores}
    order = np.argsort(scores[select], kind="stable")
    traces = np.concatenate([batch.error_trace for batch in batches])[order]
    reached = np.isfinite(traces).any(axis=0)  # an early stop leaves the rest of the plan empty
    objects = [object_ for batch in batches for object_ in batch.objects]
    supports = [support for batch in batches for support in batch.supports]
    return Runs(
        np.stack([objects[index] for index in order[:keep]]),
        supports[order[0]],
        traces[:, reached],
        {name: values[order] for name, values in scores.items()},
    )


def blank_runs(shape, iterations: int) -> Runs:
    """What stands for a shot without photons in a stack: nothing, and scores that are not numbers."""
    scores = {name: np.array([np.nan]) for name in ("r_factor", "poisson_nll", "seed")}
    trace = np.full((1, iterations), np.nan, np.float32)
    return Runs(np.zeros((1, *shape), np.complex64), np.zeros(shape, bool), trace, scores)


def score_object(problem, object_: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of one centred object, as those of a single run."""
    corner = fourier.to_corner(torch.from_numpy(object_).to(problem.device), problem.ndim)
    return problem.scores(corner[None]) | {"seed": np.zeros(1)}


def light_scores(problem, recipe, count: int) -> dict[str, np.ndarray]:
    """Coherence width and background of a batch of ``count`` starts, where there is something to tell."""
    found = {}
    if problem.coherence_px is not None:
        found["coherence_px"] = problem.coherence_px
    if recipe.background.fit:
        found["background_photons"] = problem.background
    return {
        name: torch.as_tensor(value, dtype=torch.float64).flatten().expand(count).cpu().numpy()
        for name, value in found.items()
    }


def centre_on_support(object_, support):
    """Roll object and support so that the support's box is centred on ``N // 2``."""
    if not support.any():
        return object_, support
    shifts = []
    for axis, size in enumerate(support.shape):
        # the support may straddle the periodic edge: its centre is the circular mean
        profile = support.sum(axis=tuple(a for a in range(support.ndim) if a != axis))
        angle = np.angle(np.sum(profile * np.exp(2j * np.pi * np.arange(size) / size)))
        shifts.append(size // 2 - round(angle / (2 * np.pi) * size))
    axes = tuple(range(support.ndim))
    return np.roll(object_, shifts, axes), np.roll(support, shifts, axes)
