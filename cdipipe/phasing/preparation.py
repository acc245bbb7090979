"""A first step that completes the measurement before the others run: an estimate of the static region."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np

from cdipipe.phasing.loop import Watch
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.registry import get_method
from cdipipe.phasing.restarts import derive_seed
from cdipipe.phasing.stack import Start
from cdipipe.phasing.workers import run_jobs
from cdipipe.progress import progress


def prepare(measurement, recipe, seed, device, start, free_pixels):
    """Run the first step.

    Returns
    -------
    the measurement with a static region, what the next step may start from, and what was found, a list of mappings
    """
    name, parameters = recipe.steps[0]
    method = get_method(name)
    groups = [range(measurement.pattern_count)]
    if measurement.stack == "shots":
        groups = [[index] for index in groups[0]]
    stop = threading.Event()
    with progress(parameters.planned * len(groups), name) as bar:
        watch = Watch(bar.update, stop=stop)

        def run_group(number):
            own = [measurement.pattern(index) for index in groups[number]]
            arguments = (recipe.constraint, recipe.phase_range_rad, device, free_pixels, False)
            problems = [Problem(pattern, *arguments) for pattern in own]
            first = Start(*(_of_group(a, groups[number], measurement) for a in (start.object, start.support)))
            return method.prepare(problems, first, parameters, recipe, derive_seed(seed, number), watch)

        found = run_jobs(run_group, range(len(groups)), device, stop)
    statics, objects = np.stack([f.static_region for f in found]), np.concatenate([f.objects for f in found])
    alone = measurement.stack in ("single", "volume")
    complete = replace(
        measurement,
        static_region=statics if measurement.stack == "shots" else statics[0],
        static_support=measurement.known_static_support,
    )
    return complete, Start(objects[0] if alone else objects, start.support), [f.report for f in found]


def _of_group(array, indices, measurement):
    """The entries of a per-pattern array that belong to a group; one for all stays as it is."""
    if array is None or array.ndim == len(measurement.pattern_shape):
        return array
    return array[list(indices)]
