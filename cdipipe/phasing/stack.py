"""Movies and stacks: patterns one by one, or a step that takes all frames or many patterns together.

A recipe is cut into parts at its joint steps and at those that predict. Each part begins with the objects and supports
of the part before.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from cdipipe.optics import fourier
from cdipipe.phasing.registry import Joint, Predictor, get_method


@dataclass(frozen=True)
class Start:
    """What a reconstruction may begin with instead of a random object; arrays centred, shape of the measurement."""

    object: np.ndarray | None = None
    support: np.ndarray | None = None


@dataclass(frozen=True)
class Prepared:
    """What a first step makes of the patterns that share one static structure; arrays centred."""

    static_region: np.ndarray
    """(*grid) complex64"""
    objects: np.ndarray
    """(T, *grid) complex64, one for each pattern"""
    report: dict
    """plain data on what was found, kept with the recipe"""


def split_recipe(recipe, stack: str):
    """Parts of a recipe: (kind, recipe of the part).

    ``joint`` and ``predict`` are single steps, ``each`` has the steps in a row that take one pattern at a time.
    """

    def kind_of(step):
        method = get_method(step[0]).on(stack)
        if isinstance(method, Predictor):
            return "predict"
        return "joint" if isinstance(method, Joint) else "each"

    parts = []
    for kind, steps in itertools.groupby(recipe.steps, kind_of):
        together = tuple(steps)
        groups = [together] if kind == "each" else [(step,) for step in together]
        parts += [(kind, recipe.model_copy(update={"steps": group})) for group in groups]
    return parts


def score_object(problem, object_: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of one centred object, as those of a single run."""
    import torch

    corner = fourier.to_corner(torch.from_numpy(object_).to(problem.device), problem.ndim)
    return problem.scores(corner[None]) | {"seed": np.zeros(1)}
