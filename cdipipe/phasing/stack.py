"""Movies and stacks: patterns one by one, or a step that takes all frames or many patterns together.

A recipe is cut into parts at its joint steps (methods with ``run_stack``) and at those that predict (methods with
``predict``). Each part begins with the objects and supports of the part before.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from cdipipe.errors import InputError
from cdipipe.optics import fourier
from cdipipe.phasing.registry import get_method
from cdipipe.phasing.restarts import Runs, light_scores


@dataclass(frozen=True)
class Start:
    """What a reconstruction may begin with instead of a random object; arrays centred, shape of the measurement."""

    object: np.ndarray | None = None
    support: np.ndarray | None = None


@dataclass(frozen=True)
class StackResult:
    """What a joint step makes of a movie of T frames; arrays centred."""

    objects: np.ndarray
    """(T, *grid) complex64, on the scale of the photons"""
    supports: np.ndarray
    """(T, *grid) bool"""
    error_trace: np.ndarray
    """(iterations,) float32: R-factor of all frames, or what the method minimises"""


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
        method = get_method(step[0])
        if method.predict is not None:
            return "predict"
        return "joint" if stack == "movie" and method.run_stack is not None else "each"

    parts = []
    for kind, steps in itertools.groupby(recipe.steps, kind_of):
        together = tuple(steps)
        groups = [together] if kind == "each" else [(step,) for step in together]
        parts += [(kind, recipe.model_copy(update={"steps": group})) for group in groups]
    return parts


WORDS = {
    "movie": "frames of a movie",
    "plane": "patterns of two dimensions",
    "volume": "one pattern of three dimensions",
    "alone": "an object alone in a plane wave, without static region or probe modes",
}


def check_needs(measurement, recipe) -> None:
    """Raise InputError if a measurement lacks what a method of the recipe needs.

    ``static_region`` is a known structure, ``static_support`` at least its place, ``movie`` frames in time.
    """
    has = {
        "static_region": measurement.static_region is not None,
        "static_support": measurement.known_static_support is not None,
        "object_support": measurement.object_support is not None,
        "probe_modes": measurement.probe_modes is not None,
        "movie": measurement.stack == "movie",
        "volume": measurement.stack == "volume",
        "plane": measurement.stack != "volume",
        "alone": measurement.static_region is None and measurement.probe_modes is None,
        "weights": True,  # the network itself says if they are not there
    }
    methods = [get_method(name) for name, _ in recipe.steps]
    if recipe.coherence.fit and not any(m.update or "coherence" in m.fits_light for m in methods):
        raise InputError(f"coherence.fit: {recipe.name} does not fit it; er, hio, raar, dm, ad_refine and cdip do")
    if recipe.background.fit and not any("background" in m.fits_light for m in methods):
        raise InputError(f"background.fit: {recipe.name} does not fit it; cdip does")
    for name, _ in recipe.steps:
        method = get_method(name)
        if not recipe.is_ideal and method.update is None and not method.models_light:
            raise InputError(f"{name} knows coherent light without background only; got coherence or background")
        if method.prepare is not None:
            has["static_region"] = has["static_support"]
        for need in method.needs:
            if not has[need]:
                what = WORDS.get(need, need.replace("_", " "))
                raise InputError(f"{name} needs a measurement with {what}; this one has none")


def run_joint(problems, start: Start, recipe, seed, watch) -> list[Runs]:
    """One joint step; every frame's result as its only run."""
    name, parameters = recipe.steps[0]
    result = get_method(name).run_stack(problems, start, parameters, recipe, seed, watch)
    trace = np.asarray(result.error_trace, np.float32)[None]
    return [
        Runs(object_[None], support, trace, score_object(problem, object_) | light_scores(problem, recipe, 1))
        for problem, object_, support in zip(problems, result.objects, result.supports, strict=True)
    ]


def score_object(problem, object_: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of one centred object, as those of a single run."""
    import torch

    corner = fourier.to_corner(torch.from_numpy(object_).to(problem.device), problem.ndim)
    return problem.scores(corner[None]) | {"seed": np.zeros(1)}
