"""The course of CDIP on one pattern: starts, box, fit, choice."""

from __future__ import annotations

import math

import torch

from cdipipe.methods.cdip_parts import fit as fitting
from cdipipe.methods.cdip_parts.box import box_around, centred_box, find_box
from cdipipe.methods.cdip_parts.misfit import misfit
from cdipipe.methods.cdip_parts.starts import choose_starts

SHRINK_SIGMA_PX, SHRINK_THRESHOLD = 1.5, 0.1
CULLINGS = (0.3, 0.5, 0.7)
"""Shares of the steps after which the worse half of a start's fields is dropped, down to the survivors."""


def run_course(state, problem, parameters, recipe, watch):
    """See ``cdipipe.methods.cdip.run``."""
    starts = choose_starts(state, problem, parameters, recipe, watch)
    known = None if starts.supports is None else starts.supports.any(0)
    box = find_box(problem, known, parameters.box_px, parameters.margin)
    fit = fitting.Fit(problem, box, starts.generators(), parameters, starts.supports)
    fit.origin = torch.tensor(starts.origin)
    if starts.objects is not None:
        fit.imitate(starts.objects, parameters.imitation)
    fit.start_optimiser(parameters.warm_rate if starts.objects is not None else 1.0)
    anchored = starts.objects is None and starts.supports is None and parameters.anchoring > 0
    _follow(fit, box, parameters, state, watch, anchored)
    objects, chosen = _choose(fit, problem, len(state.seeds))
    state.exit_wave = objects
    supports = fit.inside[chosen] if fit.inside is not None else None
    state.support = _support(problem, box, supports, len(objects))
    return state


def _follow(fit, box, parameters, state, watch, anchored) -> None:
    """All steps, with what happens between them."""
    total = parameters.iterations
    closing = total - round(parameters.closing * total)
    cullings = [round(share * total) for share in CULLINGS]
    for step in range(total):
        sides = _sides(box, parameters, step / total) if anchored else box.sides
        loss = parameters.loss if step < closing else "poisson"
        r_factor = fit.step(sides, loss, _tv_weight(fit, parameters, step / max(closing, 1)), step / total)
        state.record(_lowest(r_factor, fit.origin, len(state.seeds)))
        watch.tell(state)
        grown = sides == box.sides
        if step == closing:
            fit.forget_scores()
        if (step + 1) % fitting.CHECK_EVERY == 0 and grown:
            fit.check(step, loss)
            if not fit.alive.any():
                fitting.logger.warning(
                    "cdip: the fit diverged at step %d of %d; the state of step %d is kept, try a lower plane_rate",
                    step + 1, total, int(fit.best.step.max()) + 1,
                )  # fmt: skip
                return
        if parameters.shrink_every and grown and (step + 1) % parameters.shrink_every == 0:
            fit.shrink(SHRINK_SIGMA_PX, SHRINK_THRESHOLD)
        if step + 1 in cullings:
            _cull(fit, parameters.survivors)


def _tv_weight(fit, parameters, progress) -> float:
    """From strong to weak along a geometric series, then constant.

    What is strong at the start does not depend on the photons: it smooths over the local minima of any pattern.
    """
    first = parameters.tv_start * fit.model.modulus
    if not parameters.tv or first <= parameters.tv or progress >= 1:
        return parameters.tv
    return first * (parameters.tv / first) ** progress


def _sides(box, parameters, progress) -> tuple[int, ...]:
    """Progressive anchoring: even sides that grow linearly from the anchor to the box."""
    share = min(1.0, progress / parameters.anchoring)
    return tuple(
        min(side, 2 * round((parameters.anchor_px + (side - parameters.anchor_px) * share) / 2)) if share < 1 else side
        for side in box.sides
    )


def _cull(fit, survivors: int) -> None:
    """Drop the worse half of each start's fields, but not below the survivors."""
    score = torch.nan_to_num(fit._last[2], nan=math.inf).cpu()
    chosen = []
    for index in fit.origin.unique().tolist():
        mine = torch.nonzero(fit.origin == index).flatten()
        number = max(survivors, len(mine) // 2)
        chosen += mine[score[mine].argsort(stable=True)[:number]].sort().values.tolist()
    if len(chosen) < len(fit.origin):
        fit.keep(torch.tensor(chosen, device=fit.alive.device))


def _choose(fit, problem, count):
    """The best field of every start: lowest Poisson misfit, on withheld pixels if there are any."""
    objects = fit.result()
    predicted = fit.model.intensity(objects[(slice(None), *fit.model.index)]).detach()
    pixels = problem.measured if problem.free is None else problem.free
    score = torch.nan_to_num(misfit(predicted, problem, "poisson", pixels), nan=math.inf).cpu()
    chosen = []
    for index in range(count):
        mine = torch.nonzero(fit.origin == index).flatten()
        chosen.append(int(mine[score[mine].argmin()]))
    return objects[chosen], chosen


def _lowest(r_factor, origin, count):
    """The lowest R-factor of each start's fields."""
    lowest = torch.full((count,), math.inf, device=r_factor.device)
    return lowest.scatter_reduce(0, origin.to(r_factor.device), r_factor, "amin")


def _support(problem, box, inside, count):
    """The cells that the object may use, on the grid."""
    support = torch.zeros((count, *problem.shape), dtype=torch.bool, device=problem.device)
    index = tuple(i.to(problem.device) for i in box.index(problem.shape))
    support[(slice(None), *index)] = True if inside is None else inside
    return support
