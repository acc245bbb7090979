"""Steps that predict: patterns go through a method in batches, and each object is brought to its pattern's photons."""

from __future__ import annotations

import threading

import numpy as np
import torch

from cdipipe.measurement import Measurement
from cdipipe.optics.forward import ForwardModel
from cdipipe.phasing.registry import get_method
from cdipipe.phasing.runs import Runs
from cdipipe.phasing.scores import NAMES, score_patterns
from cdipipe.phasing.task import Task
from cdipipe.phasing.workers import run_jobs
from cdipipe.progress import progress


def predict_patterns(task: Task, recipe, _start, _keep) -> list[Runs]:
    """Runs of every pattern of a measurement, from the only step of a recipe."""
    name, parameters = recipe.steps[0]
    measurement, results = task.measurement, []
    predictor = get_method(name).predict(parameters, measurement.pattern_shape, task.device)
    size = recipe.batch or parameters.batch
    count = measurement.pattern_count
    batches = [range(first, min(first + size, count)) for first in range(0, count, size)]

    def predict(batch: range) -> list[Runs]:
        return _predict_batch([measurement.pattern(i) for i in batch], predictor, task.device, task.free_pixels)

    with progress(count, f"{name}{task.which}") as bar:
        for found in run_jobs(predict, batches, task.device, threading.Event()):
            results += found
            bar.update(len(found))
    return results


def _predict_batch(patterns: list[Measurement], predictor, device, free_pixels) -> list[Runs]:
    counts = np.stack([pattern.intensity for pattern in patterns]).astype(np.float32, copy=False)
    measured = np.stack([pattern.measured for pattern in patterns])
    used = measured if free_pixels is None else measured & ~free_pixels
    lit = np.array([bool((c[m] > 0).any()) for c, m in zip(counts, used, strict=True)])
    objects = np.zeros(counts.shape, np.complex64)
    supports = np.zeros(counts.shape, bool)
    scores = dict.fromkeys(NAMES[: 2 if free_pixels is None else 4])
    if lit.any():
        withheld = None if free_pixels is None else measured[lit] & free_pixels
        objects[lit], supports[lit], scores = _run(predictor, counts[lit], used[lit], withheld, device)
    runs, places = [], np.cumsum(lit) - 1
    for index, is_lit in enumerate(lit):
        one = {name: np.array([row[places[index]] if is_lit else np.nan]) for name, row in scores.items()}
        trace = one["r_factor"].astype(np.float32)[None]
        one["seed"] = np.array([0.0 if is_lit else np.nan])
        runs.append(Runs(objects[index : index + 1], supports[index], trace, one))
    return runs


@torch.inference_mode()
def _run(predictor, counts: np.ndarray, used: np.ndarray, withheld: np.ndarray | None, device):
    """Objects with the photons of their patterns, supports, centred; and scores."""
    arrays = (None if array is None else torch.from_numpy(array).to(device) for array in (counts, used, withheld))
    intensity, mask, free = arrays
    objects, supports, predicted = predict_on_device(predictor, intensity, mask)
    return objects.cpu().numpy(), supports.cpu().numpy(), score_patterns(predicted, intensity, mask, free)


def predict_on_device(predictor, intensity: torch.Tensor, mask: torch.Tensor):
    """Objects of a batch with the photons of their patterns.

    Parameters
    ----------
    predictor : see ``Method.predict``
    intensity, mask : (B, *grid) float32 photons and bool, centred; each with photons where the mask is True

    Returns
    -------
    (B, *grid) complex64 objects, bool supports and float32 predicted photons, centred
    """
    objects, supports = predictor(intensity, mask)
    ndim = intensity.ndim - 1
    axes = tuple(range(1, intensity.ndim))
    power = ForwardModel(ndim).predict_centred(objects)
    light = (intensity.clamp(min=0) * mask).sum(axes, keepdim=True)
    scale = (light / (power * mask).sum(axes, keepdim=True).clamp(min=1e-20)).sqrt()
    return objects * scale, supports, power * scale.square()
