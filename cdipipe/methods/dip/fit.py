"""The loop over the starts of one pattern, each a network of its own."""

from __future__ import annotations

import torch

from cdipipe.methods.dip.finish import refine
from cdipipe.methods.dip.misfit import Misfit
from cdipipe.methods.dip.start import NetworkStart


def fit_prior(state, problem, parameters, recipe, watch):
    """Fit one network per start until each has ended, then refine; one trace entry per iteration.

    A start that goes on from an object (of the step before, or given) is first fitted to that.
    """
    misfit = Misfit(problem, parameters.loss)
    starts = [
        NetworkStart(problem, misfit, support, seed, parameters)
        for support, seed in zip(state.support, state.seeds, strict=True)
    ]
    if state.done or state.given:
        for start, object_ in zip(starts, state.exit_wave, strict=True):
            start.warm_up(object_, parameters.warm_iterations)
    for _ in range(parameters.iterations):
        state.record(torch.tensor([float("nan") if start.done else start.step() for start in starts]))
        state.exit_wave = torch.stack([start.object() for start in starts])
        watch.tell(state)
        if all(start.done for start in starts):
            break
    state.exit_wave = torch.stack(
        [
            refine(problem, misfit, start.object(), support, start.generator, parameters.refine_steps)
            for start, support in zip(starts, state.support, strict=True)
        ]
    )
    return state
