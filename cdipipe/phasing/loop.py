"""The iteration loop of a batch of restarts: steps, shrink-wrap, error trace, early stop, progress."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from cdipipe import interrupt
from cdipipe.phasing.plan import plan_steps
from cdipipe.phasing.registry import Update
from cdipipe.phasing.support import shrink_wrap
from cdipipe.phasing.workers import Stopped

EARLY_STOP_WINDOW = 20
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
    """iterations so far"""
    shrink_count: int = 0
    tail_sum: torch.Tensor | None = None
    tail_count: int = 0
    seeds: tuple[int, ...] = ()
    """one for each start, for methods that draw more than their starts"""
    given: bool = False
    """whether the first iterates come from a given object, not from random numbers"""
    shrinks: bool = True
    """whether the support may move in the current step"""
    tail: int = 0
    """how many of the current step's last estimates are averaged"""

    def record(self, r_factor: torch.Tensor) -> None:
        """Note the (B,) R-factor of one more iteration."""
        self.error_trace[:, self.done] = r_factor
        self.done += 1

    def add_to_tail(self, estimate: torch.Tensor) -> None:
        """One more (B, *grid) of the last estimates that are averaged."""
        self.tail_sum = estimate.clone() if self.tail_sum is None else self.tail_sum.add_(estimate)
        self.tail_count += 1

    def shrink_is_due(self, problem, recipe) -> bool:
        """Is the support to be updated after this iteration?"""
        every = recipe.shrink_wrap.every
        if every is None and problem.object_support is None:
            every = SHRINK_EVERY
        return bool(self.shrinks and every and self.done % every == 0)

    def shrink(self, projected: torch.Tensor, problem, recipe) -> torch.Tensor:
        """Update the support from P_M u; returns which items' supports changed, (B,) bool."""
        share, before = self.done / self.error_trace.shape[1], self.support
        self.support = shrink_wrap(projected, before, recipe.shrink_wrap, self.shrink_count, share, problem.ndim)
        self.shrink_count += 1
        return (self.support != before).flatten(1).any(1)


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

    def tell(self, state: State) -> None:
        """One iteration is done."""
        self.tick()
        if self.preview and state.done % self.preview_every == 0:
            self.preview(state, state.done)


def run_recipe(state: State, problem, recipe, watch: Watch) -> tuple[torch.Tensor, State]:
    """Run every step on a batch.

    Returns
    -------
    (B, *grid) complex64 estimates (P_S P_M u, or what the last method defines), and the final state
    """
    plan = plan_steps(recipe)
    for step in plan:
        state.shrinks, state.tail = step.moves_support, step.averaged
        if isinstance(step.method, Update):
            _iterate(state, problem, step.method, step.parameters, recipe, watch)
        else:
            state = step.method.run(state, problem, step.parameters, recipe, watch)
    last = plan[-1]
    if state.tail_count:
        return problem.project_object(state.tail_sum / state.tail_count, state.support), state
    if last.method.estimate:
        return last.method.estimate(state.exit_wave, problem, state.support, last.parameters), state
    if not isinstance(last.method, Update):
        return state.exit_wave, state
    projected, _ = problem.project_modulus(state.exit_wave)
    return problem.project_object(projected, state.support), state


def _iterate(state, problem, method, parameters, recipe, watch):
    for iteration in range(parameters.iterations):
        state.exit_wave, projected, r_factor = method.update(
            state.exit_wave, problem, state.support, parameters, iteration
        )
        state.record(r_factor)
        if state.shrink_is_due(problem, recipe):
            state.shrink(projected, problem, recipe)
        if recipe.coherence.fit and state.done >= recipe.coherence.start and state.done % recipe.coherence.every == 0:
            problem.fit_coherence(problem.project_object(projected, state.support))
        if iteration >= parameters.iterations - state.tail:
            state.add_to_tail(problem.project_object(projected, state.support))
        watch.tell(state)
        if has_settled(state, iteration + 1, recipe.stop_below):
            break


def has_settled(state, done, stop_below) -> bool:
    """True when the batch's mean R-factor changed by less than ``stop_below`` (relative) over the window."""
    if not stop_below or done <= EARLY_STOP_WINDOW or done % EARLY_STOP_WINDOW:
        return False
    before, now = state.error_trace[:, [state.done - 1 - EARLY_STOP_WINDOW, state.done - 1]].mean(0).tolist()
    return abs(before - now) < stop_below * before
