"""Patterns of a stack that go through the iterations together, each with starts of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from cdipipe.phasing.loop import State
from cdipipe.phasing.plan import plan_steps
from cdipipe.phasing.problem import Problem, Projections
from cdipipe.phasing.scores import score_patterns
from cdipipe.phasing.task import Task


def may_go_together(task: Task, recipe) -> bool:
    """Whether patterns of a measurement can share a batch: one forward model, and methods that know of no other.

    Parameters
    ----------
    task : Task
    recipe : Recipe of steps that take one pattern at a time
    """
    static = task.measurement.static_region
    one_model = recipe.is_ideal and (static is None or static.ndim == task.ndim)
    return one_model and task.preview is None and all(step.method.mixes_patterns for step in plan_steps(recipe))


class Together(Projections):
    """Several patterns as methods see a problem: the items of a batch have counts of their own.

    Parameters
    ----------
    problems : list of Problem, of one forward model and one object constraint
    counts : items of the batch that belong to each

    Attributes
    ----------
    intensity, modulus, measured, free : (B, *grid) in FFT order, as of Problem
    modulus_sum : (B,) float64
    """

    def __init__(self, problems: Sequence[Problem], counts: Sequence[int]):
        first = problems[0]
        for name in ("ndim", "shape", "device", "constraint", "phase_range_rad", "update_object_", "model"):
            setattr(self, name, getattr(first, name))
        self.object_support = first.object_support
        pairs = list(zip(problems, counts, strict=True))

        def items(name: str) -> torch.Tensor:
            return torch.cat([getattr(problem, name).expand(count, *first.shape) for problem, count in pairs])

        self.intensity, self.modulus, self.measured = (items(name) for name in ("intensity", "modulus", "measured"))
        self.free = None if first.free is None else items("free")
        sums = [problem.modulus_sum for problem, count in pairs for _ in range(count)]
        self.modulus_sum = torch.tensor(sums, dtype=torch.float64).to(self.device)

    def scores(self, exit_wave) -> dict[str, np.ndarray]:
        """Misfits of a batch of objects, each to its own counts, as those of Problem."""
        predicted = self.model.predict_intensity(exit_wave)
        return score_patterns(predicted, self.intensity, self.measured, self.free)


def join(states: list[State]) -> State:
    """One batch of several."""
    first = states[0]
    if len(states) == 1:
        return first
    return State(
        torch.cat([state.exit_wave for state in states]),
        torch.cat([state.support for state in states]),
        torch.cat([state.error_trace for state in states]),
        support_known=first.support_known,
        seeds=tuple(seed for state in states for seed in state.seeds),
        given=first.given,
    )
