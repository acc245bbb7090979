"""Small reconstructions, and error bars, of one measurement that share a job: starting takes longer than each takes."""

from __future__ import annotations

import functools
import json

from cdipipe.settings import validate
from cdipipe.study.tree import Config
from cdipipe.uncertainty.choices import Choices

SMALL_WORK = 2e8
"""Pixels times iterations times starts that take about a second of one core."""
JOB_WORK = 4e8
"""At most so much in one job, so that others find work for their cores."""
MANY = 40
"""Reconstructions of a study from which on others find work anyway: jobs may be longer then, to begin less often."""
LONG = 60
"""Factor on both works there: some minutes in one job."""
COSTS = {"guided": 4.5, "cdip": 45.0}
"""What an iteration of these takes of a pattern, in iterations by transforms alone; see study_rates.json."""


def shared_jobs(study: Config) -> list[tuple[str, list[str]]]:
    """(measurement, methods) of every job of several reconstructions; methods in the order of the study.

    Reconstructions of simulated measurements, whose size is known beforehand, by iterations whose cost is known. They
    must agree in all options of the command, and their settings must be those of the study.

    Parameters
    ----------
    study : Config
    """
    works = {pair: _work(study, *pair) for pair in study.pairs()}
    options = {pair: tuple(study.options("reconstruct", *pair)) for pair in works}
    return _together(works, options, LONG if len(works) >= MANY else 1)


def shared_error_bars(study: Config) -> list[tuple[str, list[str]]]:
    """(measurement, methods) of every job that makes error bars of several results; methods in the order of the study.

    Parameters
    ----------
    study : Config
    """
    iterations, works = Choices().total_iterations, {}
    for measurement, method in study.with_error_bars():
        entry = study.measurements[measurement]
        pixels = None if entry.scene is None else _pixels(entry.scene, json.dumps(entry.set))
        works[measurement, method] = None if pixels is None else float(pixels * iterations)
    return _together(works, dict.fromkeys(works, ()), LONG if len(works) >= MANY else 1)


def _together(works: dict[tuple[str, str], float | None], options: dict[tuple[str, str], tuple[str, ...]], factor: int):
    """Jobs of several pairs of one measurement whose work is small and whose options agree."""
    small, most = factor * SMALL_WORK, factor * JOB_WORK
    jobs: list[tuple[str, list[str]]] = []
    last: dict[tuple[str, ...], tuple[list[str], float]] = {}
    for (measurement, method), work in works.items():
        if work is None or work > small:
            continue
        alike = (measurement, *options[measurement, method])
        methods, before = last.get(alike, ([], most))
        if before + work > most:
            methods, before = [], 0.0
            jobs.append((measurement, methods))
        methods.append(method)
        last[alike] = methods, before + work
    return [job for job in jobs if len(job[1]) > 1]


def _work(study: Config, measurement: str, method: str) -> float | None:
    """Pixels times iterations times starts; None where that is unknown or says little."""
    entry = study.measurements[measurement]
    if entry.scene is None or entry.is_movie or method in study.tunings:
        return None
    pixels = _pixels(entry.scene, json.dumps(entry.set))
    work = _iterations(json.dumps(study.recipe_on(measurement, method)), entry.set.get("dimensions", 2))
    return None if pixels is None or work is None else float(pixels * work)


@functools.cache
def _pixels(scene: str, settings: str) -> int | None:
    """Of all patterns of a scene with these settings, as JSON."""
    from cdipipe.simulation.registry import get_scene

    found = validate(get_scene(scene).parameters, json.loads(settings), scene)
    size = getattr(found, "size", None)
    return getattr(found, "count", 1) * size ** getattr(found, "dimensions", 2) if isinstance(size, int) else None


@functools.cache
def _iterations(recipe: str, ndim: int) -> float | None:
    """Iterations of all starts of a recipe, given as JSON, in iterations by transforms; None where that is unknown."""
    from cdipipe.phasing.plan import plan_steps
    from cdipipe.phasing.recipe import recipe_from_mapping

    found = recipe_from_mapping(json.loads(recipe))
    total = 0.0
    for step in plan_steps(found):
        cost = _cost(step.method, step.parameters, ndim)
        if cost is None:
            return None
        total += step.parameters.planned * cost
    return found.restarts * total


def _cost(method, parameters, ndim: int) -> float | None:
    """Of one iteration of a step."""
    from cdipipe.phasing.registry import Update

    if isinstance(method, Update):
        return 1.0
    return COSTS.get(method.name) if ndim == 2 and getattr(parameters, "depth", 1) == 1 else None
