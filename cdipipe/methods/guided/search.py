"""One guided search: populations on the working grid, the best of each refined on the measured one."""

from __future__ import annotations

import threading

import torch

from cdipipe.methods.ad_refine import AdRefineParameters
from cdipipe.methods.guided.crop import cropped_problem, regrid
from cdipipe.methods.guided.population import Population, score
from cdipipe.phasing.descend import descend
from cdipipe.phasing.restarts import derive_seed, random_start
from cdipipe.phasing.workers import run_jobs


def search(state, item, full, parameters, recipe, watch, traces):
    """The object and support of one repetition; appends its (planned,) R-factors to ``traces``."""
    support, full = state.support[item], full.of_item(item)
    working = cropped_problem(full, extents(support), parameters.crop_margin) if parameters.crop else None
    working = working or full
    seed = state.seeds[item] if state.seeds else item
    told = _Tell(state, watch)

    def grow(index):
        trace = []
        population = Population(full, working, parameters, recipe.shrink_wrap, lambda r: (trace.append(r), told()))
        small = regrid(support, working.shape)
        own_seed = derive_seed(seed, index)
        waves = [random_start(working, small, own_seed, start) for start in range(parameters.starts)]
        if index == 0:
            waves[0] = regrid(state.exit_wave[item], working.shape)
        return population, population.evolve(torch.stack(waves), small), trace

    grown = run_jobs(grow, range(parameters.populations), full.device, watch.stop)
    trace = [value for _, _, part in grown for value in part]
    leaders = [population.enlarge(members.best(1)) for population, members, _ in grown]
    waves, supports = (torch.cat(arrays) for arrays in zip(*leaders, strict=True))
    if parameters.refine_iterations:
        waves, supports = _refine(full, waves, supports, parameters, lambda r: (trace.append(r.min()), told()))
    traces.append(torch.stack(trace).to(state.error_trace.dtype))
    best = int(score(full, waves).argmin())
    return waves[best], supports[best]


def _refine(full, waves, supports, own, tell):
    settings = AdRefineParameters(
        iterations=own.refine_iterations, learning_rate=own.refine_rate, loss="poisson", tv_weight=own.tv_weight
    )
    return descend(full, waves, supports, settings, tell)


def extents(support):
    """Extent of a support in FFT order along each axis, about index 0."""
    ndim, found = support.ndim, []
    for axis, size in enumerate(support.shape):
        inside = torch.nonzero(support.any(dim=tuple(a for a in range(ndim) if a != axis))).flatten()
        lags = torch.where(inside < (size + 1) // 2, inside, inside - size)
        found.append(2 * int(lags.abs().max()) + 1)
    return found


class _Tell:
    """Counts iterations of several populations at once."""

    def __init__(self, state, watch):
        self.state, self.watch, self.lock = state, watch, threading.Lock()

    def __call__(self):
        with self.lock:
            self.watch.tell(self.state)
