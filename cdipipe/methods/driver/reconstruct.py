"""From a measurement and a recipe to a reconstruction."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.methods.driver.iterate import Watch, count_iterations
from cdipipe.methods.driver.problem import Problem
from cdipipe.methods.driver.restarts import Runs, batch_size, run_restarts
from cdipipe.methods.driver.support import check_support
from cdipipe.methods.recipe import Recipe
from cdipipe.ops import backend
from cdipipe.optics.forward import ForwardModel
from cdipipe.progress import progress


@dataclass(frozen=True)
class Start:
    """What a reconstruction may begin with instead of a random object; arrays centred, shape of the measurement."""

    object: np.ndarray | None = None
    support: np.ndarray | None = None


def reconstruct(
    measurement: Measurement,
    recipe: Recipe,
    *,
    seed: int = 0,
    device: str = "cpu",
    start: Start | None = None,
    free_fraction: float = 0.0,
    keep_runs: bool = False,
    preview: Callable | None = None,
) -> Reconstruction:
    """Phase every pattern of a measurement.

    Parameters
    ----------
    measurement : Measurement
    recipe : Recipe
    seed : int
        Start i of pattern n depends on (seed, n, i) alone.
    device : ``cpu`` or ``cuda``
    start : Start, optional
        A support or an object per pattern, or one for all.
    free_fraction : share of the measured pixels to withhold, for the free R-factor
    keep_runs : keep every restart, aligned to the best, and its score (single patterns and volumes)
    preview : called with (Problem, State, iteration) while the first batch of a pattern runs

    Returns
    -------
    Reconstruction on the measurement's grid

    Raises
    ------
    InputError   no photons, nothing measured, or a start that does not fit
    """
    start = start or Start()
    free_pixels = _choose_free_pixels(measurement, free_fraction, seed)
    _check(measurement, start)
    began = time.perf_counter()
    results = []
    total = measurement.pattern_count * count_iterations(recipe) * _batches(measurement, recipe, device)
    with progress(total, recipe.name) as bar:
        for index in range(measurement.pattern_count):
            pattern = measurement.pattern(index)
            pattern_start = Start(_item(start.object, index, pattern), _item(start.support, index, pattern))
            seeds = seed if measurement.pattern_count == 1 else _pattern_seed(seed, index)
            problem = Problem(pattern, recipe.constraint, recipe.phase_range_rad, device, free_pixels)
            watch = Watch(bar.update, _bind(preview, problem), recipe.preview_every)
            runs = run_restarts(problem, recipe, seeds, pattern_start.object, pattern_start.support, watch)
            results.append(runs)
    seconds = time.perf_counter() - began
    result = (
        _one(results[0], recipe, keep_runs) if measurement.stack in ("single", "volume") else _many(results, recipe)
    )
    probes = measurement.probe_modes
    forward = ForwardModel(
        len(measurement.pattern_shape), probe_modes=None if probes is None else torch.from_numpy(probes)
    )
    return replace(
        result,
        stack=measurement.stack,
        method=recipe.name,
        recipe={**recipe.to_mapping(), "seed": seed, "free_fraction": free_fraction},
        geometry=measurement.geometry,
        free_pixels=free_pixels,
        forward=forward.to_dict(),
        seconds=seconds,
        device=_device_name(device),
        backend=backend.name(torch.device(device)),
    )


def _check(measurement: Measurement, start: Start) -> None:
    if not measurement.measured.any():
        raise InputError("every pixel of the measurement is masked; nothing can be reconstructed")
    shape = measurement.pattern_shape
    if start.object is not None and start.object.shape[-len(shape) :] != shape:
        raise InputError(f"start object of shape {start.object.shape} does not fit a pattern of shape {shape}")
    if start.support is not None:
        check_support(_item(start.support, 0, measurement.pattern(0)), shape)


def _item(array, index, pattern):
    """The entry of a per-pattern array, or the one array for all patterns."""
    if array is None or array.ndim == pattern.intensity.ndim:
        return array
    if array.ndim == pattern.intensity.ndim + 1 and index < len(array):
        return array[index]
    raise InputError(f"a start of shape {array.shape} does not fit patterns of shape {pattern.intensity.shape}")


def _bind(preview, problem):
    return None if preview is None else lambda state, done: preview(problem, state, done)


def _pattern_seed(seed: int, index: int) -> int:
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0])


def _batches(measurement, recipe, device) -> int:
    size = batch_size(recipe, measurement.pattern_shape, torch.device(device))
    return -(-recipe.restarts // size)


def _choose_free_pixels(measurement, fraction, seed):
    """A random share of the measured pixels, the same for all patterns of a stack; None without a share."""
    if not 0 <= fraction < 0.5:
        raise InputError(f"free fraction {fraction}: expected 0 to 0.5, usually about 0.03")
    if not fraction:
        return None
    generator = np.random.default_rng([seed, 0xF4EE])
    return generator.random(measurement.pattern_shape) < fraction


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"


def _result(runs: Runs, recipe) -> tuple[np.ndarray, np.ndarray]:
    best = runs.objects[: recipe.average_best]
    return best.mean(0, dtype=np.complex128).astype(np.complex64), runs.supports[0]


def _one(runs: Runs, recipe, keep_runs: bool) -> Reconstruction:
    object_, support = _result(runs, recipe)
    return Reconstruction(
        object=object_,
        support=support,
        error_trace=runs.error_trace,
        runs=runs.objects if keep_runs else None,
        run_scores=runs.scores,
    )


def _many(results: list[Runs], recipe) -> Reconstruction:
    objects, supports = zip(*(_result(runs, recipe) for runs in results), strict=True)
    longest = max(runs.error_trace.shape[1] for runs in results)
    traces = [np.pad(r.error_trace[0], (0, longest - r.error_trace.shape[1]), constant_values=np.nan) for r in results]
    scores = {name: np.array([runs.scores[name][0] for runs in results]) for name in results[0].scores}
    return Reconstruction(
        object=np.stack(objects), support=np.stack(supports), error_trace=np.stack(traces), run_scores=scores
    )
