"""The course of CDIP on one pattern: starts, box, fit, choice."""

from __future__ import annotations

import math

import torch

from cdipipe.methods.cdip import fit as fitting
from cdipipe.methods.cdip.box import find_box
from cdipipe.methods.cdip.model import SMOOTHING
from cdipipe.methods.cdip.starts import choose_starts, grow, main_pieces
from cdipipe.ops.device import lack_of_memory_explained
from cdipipe.optics.misfits import misfit
from cdipipe.optics.total_variation import total_variation
from cdipipe.phasing.steps import StepRun

SHRINK_SIGMA_PX, SHRINK_THRESHOLD = 1.5, 0.1
CULLINGS = (0.3, 0.5, 0.7)
"""Shares of the steps after which the worse half of a start's fields is dropped, down to the survivors."""


class FieldRun(StepRun):
    """Fit fields for every start of a batch, in one way to begin after another; what fits best is the result."""

    def iterate(self):
        kinds = ("random", "guided") if self.parameters.start == "both" else (self.parameters.start,)
        if self.state.given or self.state.done:
            kinds = ("given",)
        found = []
        with lack_of_memory_explained(self._out_of_memory):
            for kind in kinds:
                found.append((yield from self._fit_kind(kind)))
        self._take_the_best(found)

    def _out_of_memory(self) -> str:
        shape = self.problem.shape
        return f"cdip: out of memory on a pattern of {shape}; lower box_px, population, hidden or depth, or batch"

    def leave(self):
        wave, support = self.state.exit_wave, self.state.support
        return (wave if self.problem.constraint == "support" else self.problem.project_object(wave, support)), support

    def _fit_kind(self, kind):
        """Fields that begin in one way; the best of each start: objects and supports (B, *grid), scores (B,), light."""
        state, problem, own = self.state, self.problem, self.parameters
        starts = choose_starts(kind, state, problem, own, self.recipe, self.watch)
        known = None if starts.supports is None else starts.supports.any(0)
        box = find_box(problem, known, own.box_px, own.margin)
        fit = fitting.Fit(problem, box, starts.generators(), own, starts.supports, self.recipe.fitted_light)
        fit.origin = torch.tensor(starts.origin)
        warm = starts.objects is not None
        if warm:
            fit.imitate(starts.objects, own.imitation, self.watch.check)
        fit.start_optimiser(own.warm_rate if warm else 1.0)
        for r_factor in _follow(fit, box, own, warm):
            yield _lowest(r_factor, fit.origin, len(state.seeds))
        return _choose(fit, problem, own, len(state.seeds))

    def _take_the_best(self, found):
        objects, supports, scores, *light = zip(*found, strict=True)
        winner = torch.stack(scores).argmin(0)
        starts = torch.arange(len(winner), device=winner.device)

        def of_winners(parts):
            return torch.stack(parts)[winner, starts] if isinstance(parts[0], torch.Tensor) else parts[0]

        self.state.exit_wave, self.state.support = of_winners(objects), of_winners(supports)
        if self.recipe.fitted_light:
            self.problem.set_light(*(of_winners(parts) for parts in light))


def _follow(fit, box, parameters, warm):
    """All steps, with what happens between them; yields the R-factor of every field, (fields,)."""
    anchored = not warm and fit.allowed is None and parameters.anchoring > 0
    tv_start = 0.0 if warm else parameters.tv_start * fit.model.modulus
    total = parameters.iterations
    closing = total - round(parameters.closing * total)
    cullings = [round(share * total) for share in CULLINGS]
    for step in range(total):
        sides = _sides(box, parameters, step / total) if anchored else box.sides
        loss = (parameters.loss or "amplitude_mse") if step < closing and not warm else "poisson"
        tv = tv_weight(tv_start, parameters.tv, step / max(closing, 1))
        yield fit.step(sides, loss, tv, step / total)
        grown = sides == box.sides
        if step == closing:
            fit.forget_scores()
            if anchored and parameters.confine:
                fit.confine(grow(main_pieces(fit.current()), parameters.support_margin_px))
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


def tv_weight(first, last, progress) -> float:
    """From strong to weak along a geometric series, then constant."""
    if not last or first <= last or progress >= 1:
        return last
    return first * (last / first) ** progress


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


def _choose(fit, problem, parameters, count):
    """The best field of every start: the lowest sum of misfit and TV, or misfit of withheld pixels if there are any."""
    objects = fit.result()
    boxed = objects[(slice(None), *fit.model.index)]
    with torch.no_grad():
        predicted = fit.model.intensity(boxed)
        if problem.free is not None:
            score = misfit(predicted, problem.intensity, problem.free, "poisson")
        else:
            score = misfit(predicted, problem.intensity, problem.measured, "poisson")
            score = score + parameters.tv * total_variation(boxed, SMOOTHING * fit.model.modulus)
    score = torch.nan_to_num(score, nan=math.inf)
    chosen = []
    for index in range(count):
        mine = torch.nonzero(fit.origin == index).flatten().to(score.device)
        chosen.append(int(mine[score[mine].argmin()]))
    inside = None if fit.inside is None else fit.inside[chosen]
    return objects[chosen], _support(problem, fit.box, inside, count), score[chosen], *fit.model.light(chosen)


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
