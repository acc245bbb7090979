"""From a measurement and a recipe to a reconstruction."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.ops import backend
from cdipipe.optics.forward import ForwardModel
from cdipipe.phasing.joint import run_joint
from cdipipe.phasing.loop import Watch
from cdipipe.phasing.needs import check_needs
from cdipipe.phasing.options import check_options, check_order, check_start
from cdipipe.phasing.plan import count_iterations
from cdipipe.phasing.preparation import prepare
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.recipe import Recipe
from cdipipe.phasing.registry import Preparation, get_method
from cdipipe.phasing.restarts import Runs, batch_size, derive_seed, run_restarts
from cdipipe.phasing.stack import Start, score_object, split_recipe
from cdipipe.phasing.support import check_support
from cdipipe.phasing.workers import run_jobs
from cdipipe.progress import progress


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
    keep_runs : keep every restart, aligned to the best, and its score; of shots the restarts, of movies nothing
    preview : called with (Problem, State, iteration) while the first pattern runs

    Returns
    -------
    Reconstruction on the measurement's grid

    Raises
    ------
    InputError   no photons, nothing measured, a start that does not fit, or a method that needs more than there is
    """
    start = start or Start()
    check_needs(measurement, recipe)
    check_order(recipe)
    check_options(recipe, stack=measurement.stack)
    given = start.object is not None, start.support is not None, preview is not None
    check_start(recipe, measurement.stack, *given)
    completes = isinstance(get_method(recipe.steps[0][0]), Preparation)
    recipe = _settle_static_region(recipe)
    free_pixels = _choose_free_pixels(measurement, free_fraction, seed)
    _check(measurement, start)
    began = time.perf_counter()
    keep_runs = keep_runs and measurement.stack != "movie"
    keep = recipe.restarts if keep_runs else recipe.average_best
    found: dict = {}
    rest = recipe
    if completes:
        measurement, start, report = prepare(measurement, recipe, seed, torch.device(device), start, free_pixels)
        rest, found = recipe.model_copy(update={"steps": recipe.steps[1:]}), {recipe.steps[0][0]: report}
    patterns = _phase_parts(measurement, rest, seed, torch.device(device), start, free_pixels, preview, keep)
    seconds = time.perf_counter() - began
    one_pattern = measurement.stack in ("single", "volume")
    result = (_one if one_pattern else _many)(patterns, recipe, keep_runs)
    return replace(
        result,
        stack=measurement.stack,
        method=recipe.name,
        recipe={**recipe.to_mapping(), "seed": seed, "free_fraction": free_fraction, **found},
        geometry=measurement.geometry,
        free_pixels=free_pixels,
        forward=_forward(measurement, recipe, result),
        seconds=seconds,
        device=_device_name(device),
        backend=backend.name(torch.device(device)),
    )


def _forward(measurement, recipe, result) -> dict:
    """The forward model as plain data; what was fitted is that of the best start, or one for each pattern."""

    def found(name, before):
        if before is None or name not in result.run_scores:
            return before
        values = np.nan_to_num(result.run_scores[name], nan=before)
        return tuple(values.tolist()) if measurement.stack in ("shots", "movie") else float(values[0])

    width = found("coherence_px", recipe.coherence.width_at_start(measurement.pattern_shape))
    background = found("background_photons", recipe.background.photons)
    return ForwardModel.of_measurement(measurement, recipe.use_static_region, width, background).to_dict()


def _settle_static_region(recipe):
    """A method that reconstructs the static region itself decides for the whole recipe."""
    own = any(not get_method(name).uses_static_region for name, _ in recipe.steps)
    return recipe.model_copy(update={"use_static_region": False}) if own else recipe


def _phase_parts(measurement, recipe, seed, device, start, free_pixels, preview, keep) -> list[Runs]:
    """Part after part of a recipe, joint steps on all frames together, see ``driver.stack``."""
    if not recipe.steps:
        return _phase_given(measurement, recipe, device, start, free_pixels)
    parts = split_recipe(recipe, measurement.stack)
    phase = {"each": _phase_patterns, "joint": _phase_jointly, "predict": _predict_patterns}
    for number, (kind, part) in enumerate(parts, 1):
        kept = keep if number == len(parts) else 1
        patterns = phase[kind](measurement, part, seed, device, start, free_pixels, preview, kept)
        if number < len(parts):
            start = Start(*(np.stack([item(runs) for runs in patterns]) for item in (_best_object, _support)))
    return patterns


def _best_object(runs: Runs) -> np.ndarray:
    return runs.objects[0]


def _support(runs: Runs) -> np.ndarray:
    return runs.support


def _predict_patterns(measurement, recipe, _seed, device, _start, free_pixels, _preview, _keep) -> list[Runs]:
    from cdipipe.phasing.predict import predict_patterns

    with progress(measurement.pattern_count, recipe.name) as bar:
        return predict_patterns(measurement, recipe, device, free_pixels, bar.update)


def _phase_given(measurement, recipe, device, start, free_pixels) -> list[Runs]:
    """The start itself as the result, where no step is left."""
    results = []
    for index in range(measurement.pattern_count):
        pattern = measurement.pattern(index)
        problem = _problem(pattern, recipe, device, free_pixels)
        object_ = _item(start.object, index, pattern)
        scores = score_object(problem, object_)
        results.append(Runs(object_[None], object_ != 0, np.empty((1, 0), np.float32), scores))
    return results


def _phase_jointly(measurement, recipe, seed, device, start, free_pixels, _preview, _keep) -> list[Runs]:
    problems = [
        _problem(measurement.pattern(index), recipe, device, free_pixels) for index in range(measurement.pattern_count)
    ]
    with progress(count_iterations(recipe), recipe.name) as bar:
        return run_joint(problems, start, recipe, seed, Watch(bar.update))


def _problem(pattern, recipe, device, free_pixels) -> Problem:
    constraint = recipe.constraint, recipe.phase_range_rad
    light = recipe.coherence.width_at_start(pattern.pattern_shape), recipe.background.photons
    return Problem(pattern, *constraint, device, free_pixels, recipe.use_static_region, *light)


def _phase_patterns(measurement, recipe, seed, device, start, free_pixels, preview, keep) -> list[Runs]:
    """All restarts of every pattern, several at a time, with one progress bar over all."""
    stop, lock = threading.Event(), threading.Lock()
    batches = -(-recipe.restarts // batch_size(recipe, measurement.pattern_shape, device))
    with progress(measurement.pattern_count * count_iterations(recipe) * batches, recipe.name) as bar:

        def advance(steps):
            with lock:
                bar.update(steps)

        def run_pattern(index):
            pattern = measurement.pattern(index)
            if measurement.pattern_count > 1 and not has_photons(pattern):
                return blank_runs(pattern.intensity.shape, recipe)
            problem = _problem(pattern, recipe, device, free_pixels)
            shown = None if preview is None or index else lambda state, done: preview(problem, state, done)
            watch = Watch(advance, shown, recipe.preview_every, stop)
            first = _item(start.object, index, pattern), _item(start.support, index, pattern)
            pattern_seed = seed if measurement.pattern_count == 1 else derive_seed(seed, index)
            return run_restarts(problem, recipe, pattern_seed, *first, watch, keep)

        return run_jobs(run_pattern, range(measurement.pattern_count), device, stop)


def has_photons(pattern: Measurement) -> bool:
    """Is there light on any measured pixel?"""
    return bool((pattern.intensity[pattern.measured] > 0).any())


def blank_runs(shape, recipe) -> Runs:
    """What stands for a shot without photons in a stack: nothing, and scores that are not numbers."""
    scores = {name: np.array([np.nan]) for name in ("r_factor", "poisson_nll", "seed")}
    trace = np.full((1, count_iterations(recipe)), np.nan, np.float32)
    return Runs(np.zeros((1, *shape), np.complex64), np.zeros(shape, bool), trace, scores)


def _check(measurement: Measurement, start: Start) -> None:
    if not measurement.measured.any():
        raise InputError("every pixel of the measurement is masked; nothing can be reconstructed")
    if not any(has_photons(measurement.pattern(index)) for index in range(measurement.pattern_count)):
        raise InputError("no photons on any measured pixel; nothing can be reconstructed")
    shape = measurement.pattern_shape
    if start.object is not None and start.object.shape[-len(shape) :] != shape:
        raise InputError(f"start object of shape {start.object.shape} does not fit a pattern of shape {shape}")
    if start.support is not None:
        first = measurement.pattern(0)
        support, static = _item(start.support, 0, first), first.known_static_support
        check_support(support, shape)
        if first.static_region is not None and (shared := int((support & static).sum())):
            raise InputError(f"the support overlaps the static region in {shared} pixels; they must be apart")


def _item(array, index, pattern):
    """The entry of a per-pattern array, or the one array for all patterns."""
    if array is None or array.ndim == pattern.intensity.ndim:
        return array
    if array.ndim == pattern.intensity.ndim + 1 and index < len(array):
        return array[index]
    raise InputError(f"a start of shape {array.shape} does not fit patterns of shape {pattern.intensity.shape}")


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
    return best.mean(0, dtype=np.complex128).astype(np.complex64), runs.support


def _one(patterns: list[Runs], recipe, keep_runs: bool) -> Reconstruction:
    (runs,) = patterns
    object_, support = _result(runs, recipe)
    return Reconstruction(
        object=object_,
        support=support,
        error_trace=runs.error_trace,
        runs=runs.objects if keep_runs else None,
        run_scores=runs.scores,
    )


def _many(results: list[Runs], recipe, keep_runs: bool) -> Reconstruction:
    objects, supports = zip(*(_result(runs, recipe) for runs in results), strict=True)
    longest = max(runs.error_trace.shape[1] for runs in results)
    traces = [np.pad(r.error_trace[0], (0, longest - r.error_trace.shape[1]), constant_values=np.nan) for r in results]
    names = max((runs.scores for runs in results), key=len)
    scores = {name: np.array([runs.scores.get(name, [np.nan])[0] for runs in results]) for name in names}
    return Reconstruction(
        object=np.stack(objects),
        support=np.stack(supports),
        error_trace=np.stack(traces),
        runs=_runs_of_shots(results) if keep_runs else None,
        run_scores=scores,
    )


def _runs_of_shots(results: list[Runs]) -> np.ndarray | None:
    """(R, N, H, W), zero for a shot without photons; None where no shot has several runs."""
    most = max(len(runs.objects) for runs in results)
    if most < 2:
        return None
    kept = np.zeros((most, len(results), *results[0].support.shape), np.complex64)
    for index, runs in enumerate(results):
        kept[: len(runs.objects), index] = runs.objects
    return kept
