"""From the runs of every pattern to a Reconstruction."""

from __future__ import annotations

import numpy as np
import torch

from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.ops import projection as ops
from cdipipe.optics.forward import ForwardModel
from cdipipe.phasing.runs import Runs


def assemble(measurement: Measurement, recipe, patterns: list[Runs], keep_runs: bool) -> Reconstruction:
    """The mean of the best runs of every pattern, with scores, error traces and the forward model that was used."""
    one = measurement.stack in ("single", "volume")
    parts = (_one if one else _many)(patterns, recipe, keep_runs)
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


def _many(patterns: list[Runs], recipe, keep_runs: bool) -> dict:
    longest = max(runs.error_trace.shape[1] for runs in patterns)
    traces = [np.pad(r.error_trace[0], (0, longest - r.error_trace.shape[1]), constant_values=np.nan) for r in patterns]
    names = max((runs.scores for runs in patterns), key=len)
    return {
        "object": np.stack([_mean_of_best(runs, recipe) for runs in patterns]),
        "support": np.stack([runs.support for runs in patterns]),
        "error_trace": np.stack(traces),
        "runs": _runs_of_shots(patterns) if keep_runs else None,
        "run_scores": {name: np.array([r.scores.get(name, [np.nan])[0] for r in patterns]) for name in names},
    }


def _mean_of_best(runs: Runs, recipe) -> np.ndarray:
    """The mean of the aligned best runs; aligning leaves the constraint, so the mean is brought back to it."""
    best = runs.objects[: recipe.average_best]
    mean = best.mean(0, dtype=np.complex128).astype(np.complex64)
    if len(best) < 2 or recipe.constraint == "support":
        return mean
    everywhere = torch.ones(mean.shape, dtype=torch.bool)
    return ops.project_object(torch.from_numpy(mean), everywhere, recipe.constraint, recipe.phase_range_rad).numpy()


def _runs_of_shots(patterns: list[Runs]) -> np.ndarray | None:
    """(R, N, H, W), zero for a shot without photons; None where no shot has several runs."""
    most = max(len(runs.objects) for runs in patterns)
    if most < 2:
        return None
    kept = np.zeros((most, len(patterns), *patterns[0].support.shape), np.complex64)
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
