"""A first step that completes the measurement before the others run: an estimate of the static region."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import numpy as np
import torch

from cdipipe.phasing.loop import Watch
from cdipipe.phasing.registry import get_method
from cdipipe.phasing.runs import Runs, score_object
from cdipipe.phasing.starts import Start, derive_seed
from cdipipe.phasing.task import Task
from cdipipe.phasing.workers import run_jobs
from cdipipe.progress import progress


@dataclass(frozen=True)
class Prepared:
    """What a first step makes of the patterns that share one static structure; arrays centred."""

    static_region: np.ndarray
    """(*grid) complex64"""
    objects: np.ndarray
    """(T, *grid) complex64, one for each pattern"""
    report: dict
    """plain data on what was found, kept with the recipe"""


def prepare(task: Task, recipe, start: Start) -> tuple[Task, Start, list[dict]]:
    """Run the first step.

    Returns
    -------
    the task with a measurement that has a static region, what the next step may start from, and what was found
    """
    (name, parameters), measurement = recipe.steps[0], task.measurement
    indices = list(task.indices())
    groups = [[index] for index in indices] if measurement.stack == "shots" else [indices]
    stop = threading.Event()
    with progress(parameters.planned * len(groups), name) as bar:
        watch = Watch(bar.update, stop=stop)

        def run_group(number):
            problems = [task.problem(index, recipe, use_static_region=False) for index in groups[number]]
            first, seed = start.of_patterns(groups[number], task.ndim), derive_seed(task.seed, number)
            return get_method(name).prepare(problems, first, parameters, recipe, seed, watch)

        found = list(run_jobs(run_group, range(len(groups)), task.device, stop))
    statics, objects = np.stack([f.static_region for f in found]), np.concatenate([f.objects for f in found])
    complete = replace(
        measurement,
        static_region=statics if measurement.stack == "shots" else statics[0],
        static_support=measurement.known_static_support,
    )
    alone = measurement.stack in ("single", "volume")
    next_start = Start(objects[0] if alone else objects, start.support)
    return replace(task, measurement=complete), next_start, [f.report for f in found]


def take_start(task: Task, recipe, start: Start) -> list[Runs]:
    """The start itself, brought to the constraint, as the result, where no step is left."""
    results = []
    for index in task.indices():
        found, problem = start.of_pattern(index, task.ndim).object, task.problem(index, recipe)
        wave, support = torch.from_numpy(found).to(task.device), torch.from_numpy(found != 0).to(task.device)
        object_ = problem.project_object(wave[None], support)[0].cpu().numpy()
        scores = score_object(problem, object_)
        results.append(Runs(object_[None], found != 0, np.empty((1, 0), np.float32), scores))
    return results
