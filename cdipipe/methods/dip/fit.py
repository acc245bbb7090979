"""The iterations over the starts of one pattern, each a network of its own."""

from __future__ import annotations

import torch

from cdipipe.methods.dip.finish import refine
from cdipipe.methods.dip.misfit import Misfit
from cdipipe.methods.dip.start import NetworkStart
from cdipipe.phasing.steps import StepRun


class NetworkRun(StepRun):
    """Fit one network per start until each has ended, then refine.

    A start that goes on from an object (of the step before, or given) is first fitted to that.
    """

    def __init__(self, *arguments):
        super().__init__(*arguments)
        problem, own = self.problem, self.parameters
        self._misfit = Misfit(problem, own.loss)
        self._starts = [
            NetworkStart(problem, self._misfit, support, seed, own)
            for support, seed in zip(self.state.support, self.state.seeds, strict=True)
        ]

    def iterate(self):
        state, starts = self.state, self._starts
        if state.done or state.given:
            for start, object_ in zip(starts, state.exit_wave, strict=True):
                start.warm_up(object_, self.parameters.warm_iterations, self.watch.check)
        for _ in range(self.parameters.iterations):
            r_factor = torch.tensor([float("nan") if start.done else start.step() for start in starts])
            state.exit_wave = torch.stack([start.object() for start in starts])
            yield r_factor
            if all(start.done for start in starts):
                return

    def hold(self, items):
        for start, settled in zip(self._starts, items.tolist(), strict=True):
            start.done = start.done or settled

    def leave(self):
        own, supports = self.parameters, self.state.support
        refined = [
            refine(self.problem, self._misfit, start.object(), support, start.generator, own.refine_steps)
            for start, support in zip(self._starts, supports, strict=True)
        ]
        return torch.stack(refined), supports
