"""Many random starts of every pattern: run in batches on all cores, scored, ranked, aligned."""

from __future__ import annotations

import itertools
import math
import threading
from dataclasses import dataclass, replace

import numpy as np
import torch

from cdipipe.metrics.align import lay_over
from cdipipe.ops.device import lack_of_memory_explained
from cdipipe.optics import fourier
from cdipipe.phasing.loop import State, Watch, run_recipe
from cdipipe.phasing.overlay import lay_over_many
from cdipipe.phasing.plan import count_iterations
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.recipe import Recipe
from cdipipe.phasing.runs import Batch, Runs, blank_runs, centre_on_support, light_scores, rank
from cdipipe.phasing.starts import Start, derive_seed, random_starts, warm_starts
from cdipipe.phasing.support import start_support
from cdipipe.phasing.task import Task, has_photons
from cdipipe.phasing.together import Together, join, may_go_together
from cdipipe.phasing.workers import run_jobs
from cdipipe.progress import progress

CPU_BATCH_BYTES = 2**19
"""Bytes of iterates per batch on a CPU: small arrays go together to save calls, large ones alone to stay in cache."""

GPU_BATCH_BYTES = 2**31
"""Bytes of all arrays per batch on a GPU: 128 starts of 512^2, 2 of 256^3; every card has them."""

ITERATES = 8
"""Arrays that a batch holds at once, in units of its iterates."""


def items_at_once(recipe, shape, device) -> int:
    """Items of a batch, starts of one pattern or of several: as the recipe says, or what suits the caches (CPU) or
    keeps a GPU busy.

    It depends on nothing but its arguments: with the memory that happens to be free results would change.
    """
    item = 8 * math.prod(shape)
    if recipe.batch:
        return recipe.batch
    if device.type == "cuda":
        return max(1, GPU_BATCH_BYTES // (ITERATES * item))
    return max(1, min(CPU_BATCH_BYTES // item, 8))


def batch_size(recipe, shape, device) -> int:
    """Starts of a pattern to compute at once."""
    return min(recipe.restarts, items_at_once(recipe, shape, device))


def patterns_at_once(task: Task, recipe, count: int) -> int:
    """Patterns of ``count`` whose starts are computed together; on a CPU every core has some."""
    if not may_go_together(task, recipe):
        return 1
    fitting = items_at_once(recipe, task.measurement.pattern_shape, task.device) // recipe.restarts
    cores = torch.get_num_threads() if task.device.type == "cpu" else 1
    return max(1, min(fitting, math.ceil(count / cores)))


def bytes_of_runs(recipe, shape, count: int, keep: int, device) -> int:
    """Memory that patterns of a shape need together, about: results, error traces, and iterates of one batch.

    Parameters
    ----------
    count : patterns whose results are held together
    keep : runs of each that are kept
    """
    pixels, together = math.prod(shape), min(count * recipe.restarts, items_at_once(recipe, shape, device))
    kept = count * pixels * (9 * keep + 1)
    traces = 4 * recipe.restarts * count_iterations(recipe) * count
    return kept + traces + (together * ITERATES + recipe.restarts) * 8 * pixels


@dataclass(frozen=True)
class _Beginning:
    """What all restarts of a pattern begin with; arrays in FFT order."""

    problem: Problem
    index: int
    """number of the pattern"""
    seed: int
    """start i depends on (seed, i) alone"""
    support: torch.Tensor
    initial: torch.Tensor | None
    """(*grid) complex64, a given object"""
    support_known: bool
    floats: bool
    """nothing tells where in the array the object is"""


def phase_patterns(task: Task, recipe, start: Start, keep: int) -> list[Runs]:
    """All restarts of every pattern, several batches at a time, with one progress bar over all.

    Parameters
    ----------
    start : an object (of the right scale or not) and a support; default random inside ``recipe.start_support``
    keep : objects to return of each pattern, of the best runs

    Returns
    -------
    list of Runs, one for each pattern, ranked by ``recipe.select`` and aligned to the best
    """
    planned, size = count_iterations(recipe), batch_size(recipe, task.measurement.pattern_shape, task.device)
    batches = [range(first, min(first + size, recipe.restarts)) for first in range(0, recipe.restarts, size)]
    alone, stop = task.alone, threading.Event()
    lit = [index for index in task.indices() if alone or has_photons(task.measurement.pattern(index))]
    found = [blank_runs(task.measurement.pattern_shape, planned) for _ in task.indices()]
    with progress(len(found) * planned * len(batches), f"{recipe.name}{task.which}") as bar:
        watch = Watch(_one_by_one(bar.update), preview_every=recipe.preview_every, stop=stop)
        begins = {index: _Once(task, recipe, start, index, len(batches) + 1) for index in lit}
        parts = [(begins[index], batch) for index in lit for batch in batches]
        together = patterns_at_once(task, recipe, len(lit))
        jobs = [_Job(task, recipe, parts[i : i + together], watch) for i in range(0, len(parts), together)]
        shape = task.measurement.pattern_shape
        running = run_jobs(_Job.run, jobs, task.device, stop, math.prod(shape))
        done = itertools.chain.from_iterable(running)
        freedoms = []
        for index in lit:
            runs, begin = rank(list(itertools.islice(done, len(batches))), recipe.select, keep), begins[index]()
            if begin.floats:
                runs.objects[0], runs.support = centre_on_support(runs.objects[0], runs.support)
            found[index] = runs
            freedoms.append(begin.problem.model.freedom)
        running.close()
    _align([found[index] for index in lit], freedoms, task.device, stop)
    return found


def _align(patterns: list[Runs], freedoms: list[str], device: torch.device, stop: threading.Event) -> None:
    """Lay the runs that are kept over the best one of their pattern, in place: a GPU does it in batches."""
    pairs = zip(patterns, freedoms, strict=True)
    if device.type == "cuda":
        for runs, freedom in pairs:
            if len(runs.objects) > 1:
                best, others = (torch.from_numpy(part).to(device) for part in (runs.objects[0], runs.objects[1:]))
                runs.objects[1:] = lay_over_many(best, others, freedom).cpu().numpy()
        return
    jobs = [(runs, freedom, index) for runs, freedom in pairs for index in range(1, len(runs.objects))]

    def lay(job):
        runs, freedom, index = job
        runs.objects[index] = lay_over(runs.objects[0], runs.objects[index], freedom)

    for _ in run_jobs(lay, jobs, torch.device("cpu"), stop):
        pass


class _Once:
    """The beginning of a pattern: made by whichever thread first asks for it, forgotten after so many uses."""

    def __init__(self, task: Task, recipe, start: Start, index: int, uses: int):
        self._what, self._uses = (task, recipe, start, index), uses
        self._made, self._lock = None, threading.Lock()

    def __call__(self) -> _Beginning:
        with self._lock:
            made = self._made or _begin(*self._what)
            self._uses -= 1
            self._made = made if self._uses else None
            return made


def _one_by_one(update):
    """A function that threads may call at once."""
    lock = threading.Lock()

    def locked(steps):
        with lock:
            update(steps)

    return locked


def _begin(task: Task, recipe, start: Start, index: int) -> _Beginning:
    problem, given = task.problem(index, recipe), start.of_pattern(index, task.ndim)
    initial, known = None, problem.object_support is not None
    if given.support is None:
        support = start_support(problem, recipe.start_support)
        floats = not known and problem.model.freedom == "shift"
    else:
        support, floats = fourier.to_corner(torch.from_numpy(given.support).to(task.device), task.ndim), False
    if given.object is not None:
        initial = fourier.to_corner(torch.from_numpy(given.object).to(task.device, torch.complex64), task.ndim)
        if problem.model.freedom != "none":  # beside a static region the scale is known
            initial = initial * (problem.photons**0.5 / initial.abs().square().sum().sqrt().clamp(min=1e-20))
    known = known or (given.support is not None and initial is None)
    return _Beginning(problem, index, task.seed_of(index), support, initial, known, floats)


@dataclass(frozen=True)
class _Job:
    """Some restarts of a pattern, or of several patterns."""

    task: Task
    recipe: Recipe
    parts: list[tuple[_Once, range]]
    """what each pattern begins with, and which of its restarts"""
    watch: Watch

    def run(self) -> list[Batch]:
        """All steps of the recipe on these restarts; one batch for each pattern."""
        begun, recipe, watch = [(begin(), indices) for begin, indices in self.parts], self.recipe, self.watch
        counts, (begin, indices) = [len(indices) for _, indices in begun], begun[0]
        state = join([_first_state(each, recipe, some) for each, some in begun])
        problem = begin.problem if len(begun) == 1 else Together([each.problem for each, _ in begun], counts)
        if begin.index == 0 and 0 in indices:
            watch = replace(watch, preview=self.task.show(begin.problem))
        if len(begun) > 1 and (advance := watch.advance):
            watch = replace(watch, advance=lambda steps: advance(steps * len(begun)))
        if not recipe.is_ideal:  # each start has its own light, and the batch its own problem
            problem = problem.with_light_of_each(len(indices))
        with lack_of_memory_explained(self._out_of_memory):
            estimate, state = run_recipe(state, problem, recipe, watch)
        scores = problem.scores(estimate) | {"seed": np.array([index for _, some in begun for index in some])}
        scores |= light_scores(problem, recipe, sum(counts))
        arrays = (
            fourier.to_centre(estimate, problem.ndim).cpu().numpy(),
            fourier.to_centre(state.support, problem.ndim).cpu().numpy(),
            state.error_trace.cpu().numpy(),
        )
        ends = list(itertools.accumulate(counts, initial=0))
        return [
            Batch(*(array[first:last] for array in arrays), {name: rows[first:last] for name, rows in scores.items()})
            for first, last in itertools.pairwise(ends)
        ]

    def _out_of_memory(self) -> str:
        count, shape = sum(len(indices) for _, indices in self.parts), self.task.measurement.pattern_shape
        lower = f"; set batch: {count // 2} or fewer" if count > 1 else ""
        return f"{self.recipe.name}: memory ran out with {count} starts of {shape} at once{lower}"


def _first_state(begin: _Beginning, recipe, indices: range) -> State:
    problem, seed = begin.problem, begin.seed
    which = [(seed, index) for index in indices]
    if begin.initial is None:
        waves = random_starts(problem, begin.support, which)
    else:
        waves = warm_starts(problem, begin.initial, which)
    return State(
        waves,
        begin.support.expand(len(waves), *problem.shape).contiguous(),
        torch.full((len(waves), count_iterations(recipe)), torch.nan, device=problem.device),
        support_known=begin.support_known,
        seeds=tuple(derive_seed(seed, index) for index in indices),
        given=begin.initial is not None,
    )
