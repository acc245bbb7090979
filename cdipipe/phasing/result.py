"""From the runs of every pattern to a Reconstruction."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.ops import projection as ops
from cdipipe.optics.forward import ForwardModel
from cdipipe.phasing.runs import Runs


def assemble(measurement: Measurement, recipe, patterns: list[Runs], keep_runs: bool) -> Reconstruction:
    """The mean of the best runs of every pattern, with scores, error traces and the forward model that was used."""
    one = measurement.stack in ("single", "volume")
    return complete(measurement, recipe, (_one if one else stack_of)(patterns, recipe, keep_runs))


def complete(measurement: Measurement, recipe, parts: dict[str, Any]) -> Reconstruction:
    """A Reconstruction of its objects, runs and scores, with the forward model that was used."""
    forward = _forward_model(measurement, recipe, parts["run_scores"])
    return Reconstruction(
        **parts, stack=measurement.stack, method=recipe.name, geometry=measurement.geometry, forward=forward
    )


def _one(patterns: list[Runs], recipe, keep_runs: bool) -> dict:
    (runs,) = patterns
    return {
        "object": _mean_of_best(runs, recipe),
        "support": runs.support,
        "error_trace": runs.error_trace,
        "runs": runs.objects if keep_runs else None,
        "run_scores": runs.scores,
    }


def stack_of(patterns: list[Runs], recipe, keep_runs: bool, most: int | None = None) -> dict[str, Any]:
    """Objects, runs and scores of many patterns.

    Parameters
    ----------
    keep_runs : whether all runs of a pattern are told
    most : runs of each pattern to make room for; as many as the most that one of them has, unless given
    """
    objects = np.stack([_mean_of_best(runs, recipe) for runs in patterns])
    told = [{"error_trace": runs.error_trace[:1], "run_scores": _first(runs.scores)} for runs in patterns]
    return {
        "object": objects,
        "support": np.stack([runs.support for runs in patterns]),
        "runs": _runs_of_shots(patterns, most) if keep_runs else None,
        **join(told),
    }


def join(told: list[dict[str, Any]]) -> dict[str, Any]:
    """Error traces and scores of some patterns after those of others; NaN where there is nothing."""
    longest = max(one["error_trace"].shape[1] for one in told)
    gaps = [longest - one["error_trace"].shape[1] for one in told]
    traces = [
        np.pad(one["error_trace"], ((0, 0), (0, gap)), constant_values=np.nan)
        for one, gap in zip(told, gaps, strict=True)
    ]
    names = max((one["run_scores"] for one in told), key=len)
    blank = [np.full(len(one["error_trace"]), np.nan) for one in told]
    scores = {
        name: np.concatenate([one["run_scores"].get(name, none) for one, none in zip(told, blank, strict=True)])
        for name in names
    }
    return {"error_trace": np.concatenate(traces), "run_scores": scores}


def _first(scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(values[:1]) for name, values in scores.items()}


def _mean_of_best(runs: Runs, recipe) -> np.ndarray:
    """The mean of the aligned best runs; aligning leaves the constraint, so the mean is brought back to it."""
    best = runs.objects[: recipe.average_best]
    mean = best.mean(0, dtype=np.complex128).astype(np.complex64)
    if len(best) < 2 or recipe.constraint == "support":
        return mean
    everywhere = torch.ones(mean.shape, dtype=torch.bool)
    return ops.project_object(torch.from_numpy(mean), everywhere, recipe.constraint, recipe.phase_range_rad).numpy()


def _runs_of_shots(patterns: list[Runs], most: int | None) -> np.ndarray | None:
    """(R, N, H, W), zero for a shot without photons; None where no shot has several runs."""
    count = most or max(len(runs.objects) for runs in patterns)
    if count < 2 and most is None:
        return None
    kept = np.zeros((count, len(patterns), *patterns[0].support.shape), np.complex64)
    for index, runs in enumerate(patterns):
        kept[: len(runs.objects), index] = runs.objects
    return kept


def _forward_model(measurement: Measurement, recipe, scores: dict) -> dict:
    """The forward model as plain data; what was fitted is that of the best start, or one for each pattern."""

    def found(name, before):
        if before is None or name not in scores:
            return before
        values = np.nan_to_num(scores[name], nan=before)
        return tuple(values.tolist()) if measurement.stack in ("shots", "movie") else float(values[0])

    width = found("coherence_px", recipe.coherence.width_at_start(measurement.pattern_shape))
    background = found("background_photons", recipe.background.photons)
    return ForwardModel.of_measurement(measurement, recipe.use_static_region, width, background).to_dict()
