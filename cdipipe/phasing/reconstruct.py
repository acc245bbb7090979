"""From a measurement and a recipe to a reconstruction."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.io.memory import check_bytes
from cdipipe.io.pieces import Pieces
from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.metrics.keep_shots import choose
from cdipipe.ops import backend
from cdipipe.ops.repeatable import repeatable
from cdipipe.phasing.joint import phase_movie
from cdipipe.phasing.needs import check_needs
from cdipipe.phasing.options import check_extras, check_options, check_order
from cdipipe.phasing.pieces import is_independent, patterns_per_piece, phase_in_pieces
from cdipipe.phasing.plan import Part, split_recipe
from cdipipe.phasing.predict import predict_patterns
from cdipipe.phasing.preparation import prepare, take_start
from cdipipe.phasing.race import Job
from cdipipe.phasing.recipe import Recipe
from cdipipe.phasing.registry import Choice, get_method
from cdipipe.phasing.restarts import bytes_of_runs, phase_patterns
from cdipipe.phasing.result import assemble, complete
from cdipipe.phasing.runs import Runs
from cdipipe.phasing.starts import Start
from cdipipe.phasing.support import check_support
from cdipipe.phasing.task import Task, has_photons
from cdipipe.phasing.withheld import choose_free_pixels
from cdipipe.shot_rules import ALL

PHASE = {"each": phase_patterns, "joint": phase_movie, "predict": predict_patterns}
"""How the parts of a recipe run: ``(task, recipe, start, keep) -> list[Runs]``, one for each pattern."""


def reconstruct(
    measurement: Measurement,
    recipe: Recipe,
    *,
    seed: int = 0,
    device: str = "cpu",
    start: Start | None = None,
    free_fraction: float = 0.0,
    free_block_px: int = 1,
    keep_runs: bool = False,
    preview: Callable | None = None,
    pieces: Pieces | None = None,
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
    free_fraction : share of the measured pixels to withhold, for the free R-factor and the free likelihood
    free_block_px : side of the blocks in which they are withheld; 1: single pixels, 0: about a speckle
    keep_runs : keep every restart, aligned to the best, and its score; of shots the restarts, of movies nothing
    preview : called with (Problem, State, iteration) while the first pattern runs
    pieces : where patterns of a stack that are done are kept, and taken from; objects and support are then mapped from
        files that are there as long as the pieces are

    Returns
    -------
    Reconstruction on the measurement's grid

    Raises
    ------
    InputError   no photons, nothing measured, a start that does not fit, a method that needs more than there is, or
        something that would be ignored
    """
    start = start or Start()
    _check(measurement, recipe, start, free_fraction, preview)
    measurement, found = _keep_shots(measurement, recipe)
    recipe = _settle_static_region(recipe, measurement.stack)
    free_pixels = choose_free_pixels(measurement, free_fraction, seed, free_block_px)
    task = Task(measurement, seed, torch.device(device), free_pixels, preview)
    withheld = {"free_fraction": free_fraction, "free_block_px": free_block_px}
    if isinstance(chooser := get_method(recipe.steps[0][0]), Choice):
        job = Job(measurement, {}, reconstruct, seed, device, start, withheld, free_pixels, keep_runs)
        return _choose(chooser, recipe, job, found)
    parts = split_recipe(recipe, measurement.stack)
    keep_runs = keep_runs and measurement.stack != "movie"
    began = time.perf_counter()
    with repeatable(device):
        prepared = parts[0].kind == "prepare"
        if prepared:
            task, start, found[recipe.steps[0][0]] = prepare(task, parts.pop(0).recipe, start)
        keep = recipe.restarts if keep_runs else recipe.average_best
        if pieces is not None and parts and not prepared and is_independent(parts, measurement.stack):
            size = patterns_per_piece(task, parts)
            _check_memory(parts, task, min(size, measurement.pattern_count), keep)
            phase = partial(_phase, parts, keep)
            made = complete(measurement, recipe, phase_in_pieces(phase, task, start, recipe, pieces, size, keep_runs))
        else:
            _check_memory(parts, task, measurement.pattern_count, keep)
            patterns = _phase(parts, keep, task, start) if parts else take_start(task, recipe, start)
            made = assemble(task.measurement, recipe, patterns, keep_runs)
    return replace(
        made,
        recipe={**recipe.to_mapping(), "seed": seed, "free_fraction": free_fraction, **found},
        free_pixels=free_pixels,
        seconds=time.perf_counter() - began,
        device=torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu",
        backend=backend.name(torch.device(device)),
    )


def _check_memory(parts: list[Part], task: Task, count: int, keep: int) -> None:
    """Raise InputError where so many patterns at once would not fit into memory; nothing was computed yet."""
    shape = task.measurement.pattern_shape
    for part in parts:
        if part.kind == "each":
            need = bytes_of_runs(part.recipe, shape, count, keep, task.device)
            check_bytes(need, f"{part.recipe.name} on {count} x {shape}", "take fewer restarts, iterations or patterns")


def _phase(parts: list[Part], keep: int, task: Task, start: Start) -> list[Runs]:
    """The parts of a recipe one after the other, each from what the one before left."""
    patterns: list[Runs] = []
    for number, part in enumerate(parts, 1):
        last = number == len(parts)
        patterns = PHASE[part.kind](task, part.recipe, start, keep if last else 1)
        start = start if last else _go_on_from(patterns)
    return patterns


def _keep_shots(measurement: Measurement, recipe: Recipe) -> tuple[Measurement, dict[str, Any]]:
    """The measurement with no light in the shots that the recipe leaves out, and how many are kept."""
    if recipe.keep_shots == ALL:
        return measurement, {}
    kept = choose(measurement, recipe.keep_shots)
    light = np.where(kept[:, None, None], measurement.intensity, np.float32(0))
    return replace(measurement, intensity=light), {"kept_shots": int(kept.sum())}


def _choose(chooser: Choice, recipe: Recipe, job: Job, found: dict[str, Any]) -> Reconstruction:
    """What a method finds that lets others try; its record tells which, and why."""
    (name, parameters), began = recipe.steps[0], time.perf_counter()
    shared = recipe.model_dump(mode="json", exclude={"steps", "keep_shots"}, exclude_defaults=True)
    result, told = chooser.phase(replace(job, shared=shared), parameters)
    own = {"seed": job.seed, "free_fraction": job.withheld["free_fraction"], name: told, **found}
    return replace(
        result, method=recipe.name, recipe={**recipe.to_mapping(), **own}, seconds=time.perf_counter() - began
    )


def _go_on_from(patterns: list[Runs]) -> Start:
    return Start(np.stack([runs.objects[0] for runs in patterns]), np.stack([runs.support for runs in patterns]))


def _settle_static_region(recipe: Recipe, stack: str) -> Recipe:
    """A method that reconstructs the static region itself decides for the whole recipe."""
    own = any(not get_method(name).on(stack).uses_static_region for name, _ in recipe.steps)
    return recipe.model_copy(update={"use_static_region": False}) if own else recipe


def _check(measurement: Measurement, recipe: Recipe, start: Start, free_fraction: float, preview) -> None:
    """Raise InputError for what cannot be phased, and for what would be ignored."""
    check_needs(measurement, recipe)
    check_order(recipe)
    check_options(recipe, stack=measurement.stack)
    check_extras(recipe, measurement.stack, start, free_fraction, preview)
    if not measurement.measured.any():
        raise InputError("every pixel of the measurement is masked; nothing can be reconstructed")
    if not any(has_photons(measurement.pattern(index)) for index in range(measurement.pattern_count)):
        raise InputError("no photons on any measured pixel; nothing can be reconstructed")
    _check_start(measurement, start)


def _check_start(measurement: Measurement, start: Start) -> None:
    shape = measurement.pattern_shape
    if start.object is not None and start.object.shape[-len(shape) :] != shape:
        raise InputError(f"start object of shape {start.object.shape} does not fit a pattern of shape {shape}")
    for given in (start.object, start.support):
        if given is not None and given.ndim > len(shape) and given.shape[: -len(shape)] != (measurement.pattern_count,):
            raise InputError(
                f"a start of shape {given.shape} does not fit {measurement.pattern_count} patterns of {shape}"
            )
    if start.support is None:
        return
    first = measurement.pattern(0)
    support, static = start.of_pattern(0, len(shape)).support, first.known_static_support
    check_support(support, shape)
    if first.static_region is not None and (shared := int((support & static).sum())):
        raise InputError(f"the support overlaps the static region in {shared} pixels; they must be apart")
