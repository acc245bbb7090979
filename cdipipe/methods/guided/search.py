"""One guided search: populations on the working grid, the best of each refined on the measured one."""

from __future__ import annotations

import torch

from cdipipe.methods.ad_refine import AdRefineParameters
from cdipipe.methods.guided.crop import cropped_problem
from cdipipe.methods.guided.population import Population, score
from cdipipe.optics.regrid import regrid
from cdipipe.phasing.descend import descend
from cdipipe.phasing.starts import derive_seed, random_starts
from cdipipe.phasing.workers import run_jobs


class Search:
    """One guided search.

    Parameters
    ----------
    run : GuidedRun
    item : which start of its batch
    tell : called after every iteration of a population, from several threads
    """

    def __init__(self, run, item, tell):
        self.parameters, self.wrap, self.stop, self.tell = run.parameters, run.recipe.shrink_wrap, run.watch.stop, tell
        state = run.state
        self.exit_wave, self.support = state.exit_wave[item], state.support[item]
        self.seed = state.seeds[item] if state.seeds else item
        self.full = run.problem.of_item(item)
        self.working = self._working()
        self._trace: list[torch.Tensor] = []

    def _working(self):
        """The problem on which populations iterate."""
        if not self.parameters.crop:
            return self.full
        return cropped_problem(self.full, extents(self.support), self.parameters.crop_margin) or self.full

    def run(self):
        """Object and support of the search, (*grid) each, and all R-factors (planned,), population after population."""
        grown = list(run_jobs(self._grow, range(self.parameters.populations), self.full.device, self.stop))
        self._trace = [value for _, _, part in grown for value in part]
        leaders = [population.enlarge(members.best(1)) for population, members, _ in grown]
        waves, supports = (torch.cat(arrays) for arrays in zip(*leaders, strict=True))
        if self.parameters.refine_iterations:
            waves, supports = self._refine(waves, supports)
        best = int(score(self.full, waves).argmin())
        return waves[best], supports[best], torch.stack(self._trace).to(torch.float32)

    def _grow(self, index):
        trace: list[torch.Tensor] = []
        population = Population(self.full, self.working, self.parameters, self.wrap, self._teller(trace))
        small = regrid(self.support, self.working.shape)
        own_seed = derive_seed(self.seed, index)
        which = [(own_seed, start) for start in range(self.parameters.starts)]
        waves = random_starts(self.working, small, which)
        if index == 0:
            waves[0] = regrid(self.exit_wave, self.working.shape)
        return population, population.evolve(waves, small), trace

    def _refine(self, waves, supports):
        own = self.parameters
        settings = AdRefineParameters(
            iterations=own.refine_iterations, learning_rate=own.refine_rate, loss="poisson", tv_weight=own.tv_weight
        )
        return descend(self.full, waves, supports, settings, self._teller(self._trace))

    def _teller(self, trace):
        """Notes the lowest of the R-factors (B,) of every iteration, and tells of it."""

        def tell(r_factor):
            trace.append(r_factor.min())
            self.tell()

        return tell


def extents(support):
    """Extent of a support in FFT order along each axis, about index 0."""
    ndim, found = support.ndim, []
    for axis, size in enumerate(support.shape):
        inside = torch.nonzero(support.any(dim=tuple(a for a in range(ndim) if a != axis))).flatten()
        lags = torch.where(inside < (size + 1) // 2, inside, inside - size)
        found.append(2 * int(lags.abs().max()) + 1)
    return found
