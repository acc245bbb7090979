"""The iteration loop of a batch of restarts. It owns what recipes ask of every method.

Shrink-wrap, the fit of the coherence width, the mean of the last estimates, the early stop, error trace, progress,
preview and interruption are here and nowhere else; a method brings iterations, see ``cdipipe.phasing.steps``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from cdipipe import interrupt
from cdipipe.phasing.ends import Ends
from cdipipe.phasing.plan import PlannedStep, plan_steps
from cdipipe.phasing.registry import Update
from cdipipe.phasing.steps import StepRun, UpdateRun
from cdipipe.phasing.support import shrink_wrap
from cdipipe.phasing.workers import Stopped

SHRINK_EVERY = 5
"""Iterations between support updates unless the recipe says otherwise or the support is known beforehand."""


@dataclass
class State:
    """A batch of restarts on the way; arrays in FFT order."""

    exit_wave: torch.Tensor
    """(B, *grid) complex64 iterates"""
    support: torch.Tensor
    """(B, *grid) bool"""
    error_trace: torch.Tensor
    """(B, iterations) float32 R-factor of the iterates; NaN where not reached. Allocated once: small blocks that
    outlive an iteration would pin the memory between the large ones"""
    support_known: bool = False
    """the support was known before the start, not estimated"""
    done: int = 0
    """iterations so far, with those that a step planned and left out"""
    shrink_count: int = 0
    seeds: tuple[int, ...] = ()
    """one for each start, for methods that draw more than their starts"""
    given: bool = False
    """whether the first iterates come from a given object, not from random numbers"""

    def record(self, r_factor: torch.Tensor) -> None:
        """Note the (B,) R-factor of one more iteration."""
        self.error_trace[:, self.done] = r_factor
        self.done += 1

    def shrink_is_due(self, problem, recipe) -> bool:
        """Is the support to be updated after this iteration?"""
        every = _shrink_every(problem, recipe)
        return bool(every and self.done % every == 0)

    def shrink(self, projected: torch.Tensor, problem, recipe) -> torch.Tensor:
        """Update the support from P_M u; returns which items' supports changed, (B,) bool."""
        share, before = self.done / self.error_trace.shape[1], self.support
        self.support = shrink_wrap(projected, before, recipe.shrink_wrap, self.shrink_count, share, problem.ndim)
        self.shrink_count += 1
        return (self.support != before).flatten(1).any(1)

    def skip_to(self, done: int, every: int) -> None:
        """Leave out iterations, as if they had been done: what follows must not depend on when a step settled."""
        if every:
            self.shrink_count += done // every - self.done // every
        self.done = done


def _shrink_every(problem, recipe) -> int:
    every = recipe.shrink_wrap.every
    return SHRINK_EVERY * (problem.object_support is None) if every is None else every


@dataclass
class Watch:
    """Who wants to know about each iteration, and who may end them all."""

    advance: Callable[[int], None] | None = None
    preview: Callable[[State, int], None] | None = None
    preview_every: int = 50
    stop: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise Stopped or KeyboardInterrupt if the work is to end."""
        if self.stop.is_set():
            raise Stopped
        interrupt.check()

    def tick(self) -> None:
        """One iteration is done of which there is nothing to show."""
        self.check()
        if self.advance:
            self.advance(1)

    def show(self, state, last: bool = False) -> None:
        """Draw the preview if it is due: every so many iterations, and after the last one."""
        if self.preview and (state.done % self.preview_every == 0) != last:
            self.preview(state, state.done)


def run_recipe(state: State, problem, recipe, watch: Watch) -> tuple[torch.Tensor, State]:
    """Run every step on a batch.

    Returns
    -------
    (B, *grid) complex64 estimates (P_S P_M u, or what the last method defines), and the final state
    """
    for step in plan_steps(recipe):
        run, mean = _run_step(step, state, problem, recipe, watch)
    watch.show(state, last=True)
    if mean is not None:
        return problem.project_object(mean, state.support), state
    return run.finish(state.exit_wave, state.support), state


def _run_step(step: PlannedStep, state: State, problem, recipe, watch: Watch):
    """Run one step; returns its run, and the mean of its last estimates where that is asked for."""
    run = _begin(step, state, problem, recipe, watch)
    ends = Ends(len(state.exit_wave), step.parameters.planned, step.averaged, recipe.stop_below)
    planned = state.done + step.parameters.planned
    iterations = run.iterate()
    for iteration, r_factor in enumerate(iterations):
        state.record(ends.without_ended(r_factor))
        if step.moves_support and not run.support_rests(iteration) and state.shrink_is_due(problem, recipe):
            run.forget(state.shrink(run.projected(), problem, recipe))
        if step.fits_coherence and _fit_is_due(state.done, recipe.coherence):
            problem.fit_coherence(run.estimate())
            run.forget()
        ends.average(iteration, run.estimate)
        _tell(run, state, watch)
        ends.settle(iteration, state, run.hold)
        if ends.all_settled(iteration):
            break
    iterations.close()
    state.exit_wave, state.support = run.result()
    state.skip_to(planned, _shrink_every(problem, recipe) if step.moves_support else 0)
    return run, ends.mean()


def _begin(step: PlannedStep, *arguments) -> StepRun:
    state, problem, recipe, watch = arguments
    if isinstance(step.method, Update):
        return UpdateRun(step.method, state, problem, step.parameters, recipe, watch)
    return step.method.begin(state, problem, step.parameters, recipe, watch)


def _fit_is_due(done: int, coherence) -> bool:
    return done >= coherence.start and done % coherence.every == 0


def _tell(run: StepRun, state: State, watch: Watch) -> None:
    """One iteration is done, unless the run told of it ahead."""
    if run.ticks_ahead:
        run.ticks_ahead -= 1
    else:
        watch.tick()
    watch.show(state)
