"""The steps of a recipe as they will run, and its parts; imports no torch."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal

from cdipipe.phasing.registry import Joint, Method, Parameters, Predictor, Preparation, get_method


@dataclass(frozen=True)
class PlannedStep:
    """One step of a recipe as it will run.

    Parameters
    ----------
    moves_support : whether the loop may change the support meanwhile (shrink-wrap)
    fits_coherence : whether the loop fits the coherence width meanwhile
    averaged : how many of its last estimates are averaged; 0 in all steps but the last
    """

    method: Method
    parameters: Parameters
    moves_support: bool
    fits_coherence: bool
    averaged: int = 0


def plan_steps(recipe) -> list[PlannedStep]:
    """The recipe's steps with the closing error-reduction block split off the last one.

    The support stands still in last steps that are estimates already, since one that still moves would undo what the
    closing block polishes.
    """
    steps = [(get_method(name), parameters) for name, parameters in _with_closing_block(recipe)]
    last_moving = max((i for i, (m, _) in enumerate(steps) if not m.converged_estimate), default=len(steps) - 1)
    return [
        PlannedStep(
            method,
            parameters,
            method.leaves("shrink_wrap") and index <= last_moving,
            recipe.coherence.fit and method.leaves("coherence.fit"),
            recipe.average_last if index == len(steps) - 1 else 0,
        )
        for index, (method, parameters) in enumerate(steps)
    ]


def _with_closing_block(recipe) -> list[tuple[str, Any]]:
    *steps, (name, last) = recipe.steps
    closing = round(recipe.closing_er * getattr(last, "iterations", 0))
    if not closing:
        return list(recipe.steps)
    left = last.iterations - closing
    if left:
        steps.append((name, last.model_copy(update={"iterations": left})))
    return [*steps, ("er", get_method("er").parameters(iterations=closing))]


def count_iterations(recipe) -> int:
    """Iterations that a recipe plans, for progress bars."""
    return sum(step.parameters.planned for step in plan_steps(recipe))


@dataclass(frozen=True)
class Part:
    """Steps of a recipe that go together.

    Parameters
    ----------
    kind : ``prepare``, ``joint`` and ``predict`` are single steps; ``each`` has those in a row that take one pattern
        at a time
    recipe : Recipe of these steps; what is for the last step of all is left to the last part
    """

    kind: Literal["prepare", "each", "joint", "predict"]
    recipe: Any


def split_recipe(recipe, stack: str) -> list[Part]:
    """The parts of a recipe, each of which begins with the objects and supports of the one before."""
    groups = []
    for kind, steps in itertools.groupby(recipe.steps, lambda step: _kind_of(get_method(step[0]).on(stack))):
        together = tuple(steps)
        groups += [(kind, together)] if kind == "each" else [(kind, (step,)) for step in together]
    not_last = {"average_last": 0, "average_best": 1, "closing_er": 0.0}
    parts = [Part(kind, recipe.model_copy(update={"steps": steps, **not_last})) for kind, steps in groups[:-1]]
    kind, steps = groups[-1]
    return [*parts, Part(kind, recipe.model_copy(update={"steps": steps}))]


def _kind_of(method: Method) -> Literal["prepare", "each", "joint", "predict"]:
    if isinstance(method, Preparation):
        return "prepare"
    if isinstance(method, Predictor):
        return "predict"
    return "joint" if isinstance(method, Joint) else "each"
