"""Many random starts of one pattern: run in batches on all cores, scored, aligned, ranked."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from cdipipe.metrics.align import align_to, match_phase
from cdipipe.optics import fourier
from cdipipe.phasing.loop import State, Watch, run_recipe
from cdipipe.phasing.plan import count_iterations
from cdipipe.phasing.support import start_support
from cdipipe.phasing.workers import run_jobs

CPU_BATCH_BYTES = 2**19
"""Bytes of iterates per batch on a CPU: small arrays go together to save calls, large ones alone to stay in cache."""


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


def derive_seed(seed: int, index: int) -> int:
    """A seed of its own for part ``index`` of what ``seed`` decides."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0])


def restart_generator(seed: int, index: int, device="cpu") -> torch.Generator:
    """The generator of start ``index``: depends on nothing else, so batches and their order do not matter."""
    state = np.random.SeedSequence([seed, index]).generate_state(2, np.uint32)
    generator = torch.Generator("cpu")
    generator.manual_seed(int(state[0]) << 31 ^ int(state[1]))
    return generator


def random_start(problem, support, seed, index):
    """Random modulus and phase inside the support, with the measured number of photons; (*grid) complex64."""
    generator = restart_generator(seed, index)
    modulus, phase = torch.rand((2, *problem.shape), generator=generator).to(problem.device)
    if problem.constraint == "support":
        wave = torch.polar(modulus, 2 * torch.pi * phase) * support
    else:
        wave = problem.project_object(torch.complex(modulus, torch.zeros_like(modulus)), support)
    norm = wave.abs().square().sum().sqrt().clamp(min=1e-20)
    return wave * (problem.object_photons**0.5 / norm)


def warm_start(problem, initial, seed, index):
    """The given object for the first start, and with 10 % of complex noise for the others; (*grid) complex64."""
    if index == 0:
        return initial
    noise = torch.view_as_complex(torch.randn((*problem.shape, 2), generator=restart_generator(seed, index)))
    return initial + 0.1 * initial.abs() * noise.to(problem.device)


def batch_size(recipe, shape, device) -> int:
    """Starts to compute at once: as the recipe says, or what suits the caches (CPU) or half the memory (GPU)."""
    item = 8 * int(np.prod(shape))
    if recipe.batch:
        return min(recipe.batch, recipe.restarts)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(max(1, min(recipe.restarts, free // (2 * 8 * item))))
    return int(max(1, min(recipe.restarts, CPU_BATCH_BYTES // item, 8)))


def run_restarts(problem, recipe, seed=0, initial=None, support=None, watch=None, keep=1) -> Runs:
    """Run all restarts of a recipe on one pattern.

    Parameters
    ----------
    problem : Problem
    recipe : Recipe
    seed : int
        Start i depends on (seed, i) alone.
    initial, support : (*grid) complex64 and bool, centred, optional
        A start object (of the right scale or not) and support; default random inside ``recipe.start_support``.
    watch : Watch, optional
    keep : int
        Objects to return, of the best runs.

    Returns
    -------
    Runs, ranked by ``recipe.select`` and aligned to the best
    """
    ndim, device = problem.ndim, problem.device
    watch = watch or Watch()
    if support is None:
        first_support = start_support(problem, recipe.start_support)
        floats = problem.object_support is None and problem.model.freedom == "shift"
    else:
        floats = False
        first_support = fourier.to_corner(torch.from_numpy(support).to(device), ndim)
    if initial is not None:
        initial = fourier.to_corner(torch.from_numpy(initial).to(device, torch.complex64), ndim)
        if problem.model.freedom != "none":  # beside a static region the scale is known
            initial = initial * (problem.photons**0.5 / initial.abs().square().sum().sqrt().clamp(min=1e-20))
    known = problem.object_support is not None or (support is not None and initial is None)
    size = batch_size(recipe, problem.shape, device)
    batches = [range(first, min(first + size, recipe.restarts)) for first in range(0, recipe.restarts, size)]

    def run_batch(indices):
        seen = watch if 0 in indices else replace(watch, preview=None)
        return _run_batch(problem, recipe, seed, indices, initial, first_support, seen, known)

    runs = _best(run_jobs(run_batch, batches, device, watch.stop), recipe, keep)
    if floats:
        runs.objects[0], runs.support = centre_on_support(runs.objects[0], runs.support)

    def lay_over_best(index):
        if problem.model.freedom == "none":
            return runs.objects[index]
        if problem.model.freedom == "phase":
            return match_phase(runs.objects[0], runs.objects[index])
        return align_to(runs.objects[0], runs.objects[index], ndim=ndim).object

    others = range(1, len(runs.objects))
    for index, aligned in zip(others, run_jobs(lay_over_best, others, torch.device("cpu"), watch.stop), strict=True):
        runs.objects[index] = aligned
    return runs


def _run_batch(problem, recipe, seed, indices, initial, support, watch, support_known):
    if initial is None:
        waves = [random_start(problem, support, seed, index) for index in indices]
    else:
        waves = [warm_start(problem, initial, seed, index) for index in indices]
    supports = support.expand(len(waves), *problem.shape).contiguous()
    trace = torch.full((len(waves), count_iterations(recipe)), torch.nan, device=problem.device)
    seeds = tuple(derive_seed(seed, index) for index in indices)
    state = State(
        torch.stack(waves), supports, trace, seeds=seeds, given=initial is not None, support_known=support_known
    )
    if not recipe.is_ideal:  # each start has its own light, and the batch its own problem
        problem = problem.with_light_of_each(len(waves))
    estimate, state = run_recipe(state, problem, recipe, watch)
    scores = problem.scores(estimate)
    scores["seed"] = np.array(list(indices))
    scores |= light_scores(problem, recipe, len(waves))
    return (
        fourier.to_centre(estimate, problem.ndim).cpu().numpy(),
        fourier.to_centre(state.support, problem.ndim).cpu().numpy(),
        trace.cpu().numpy(),
        scores,
    )


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


def _best(parts, recipe, keep) -> Runs:
    """Rank all runs by the recipe's score and copy the objects of the best."""
    scores = {name: np.concatenate([part[3][name] for part in parts]) for name in parts[0][3]}
    order = np.argsort(scores.get(recipe.select, scores["poisson_nll"]), kind="stable")
    traces = np.concatenate([part[2] for part in parts])[order]
    reached = np.isfinite(traces).any(axis=0)  # an early stop leaves the rest of the plan empty
    objects = [object_ for part in parts for object_ in part[0]]
    supports = [support for part in parts for support in part[1]]
    return Runs(
        np.stack([objects[index] for index in order[:keep]]),
        supports[order[0]],
        traces[:, reached],
        {name: values[order] for name, values in scores.items()},
    )


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
