"""What the low-dose solvers cost.

    python benchmarks/low_dose_speed.py [--count N] [-o FILE]

    512^2   50 iterations of gps (both presets) and oss against 50 of hio, same pattern, alternating in one process
    256^2   200 iterations of gps beside a known static region on one core

Times are those of whole reconstructions from one random start. On a busy machine only the ratios of neighbouring runs
and of processor seconds mean something. Results go to benchmarks/results/low_dose_speed.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import record
import torch

from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

SHORT = {"iterations": 50, "closing_er": 0, "constraint": "real_nonneg", "shrink_wrap": {"every": 0}}
RECIPES = {
    "hio": {"method": "hio", **SHORT},
    "gps": {"method": "gps", **SHORT},
    "gps_refinement": {"method": "gps", "schedule": "refinement", **SHORT},
    "gps_complex": {"method": "gps", **SHORT, "constraint": "support"},
    "oss": {"method": "oss", **SHORT},
}


def scene(name: str, **settings):
    found = get_scene(name)
    return simulate(found, validate(found.parameters, settings, name), 1)[0]


def against_hio(count: int) -> dict:
    """Median and least seconds of each recipe, and the median ratio to the HIO run beside it."""
    measurement = scene("polygons", size=512, photons=1e6, phase_range_rad=0.0)
    recipes = {name: recipe_from_mapping(mapping) for name, mapping in RECIPES.items()}
    seconds: dict[str, list[float]] = {name: [] for name in recipes}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in recipes}
    for repetition in range(count + 1):
        for name, recipe in recipes.items():
            before = time.process_time()
            spent = reconstruct(measurement, recipe, seed=repetition).seconds
            if repetition:  # the first round warms up
                seconds[name].append(spent)
                cpu_seconds[name].append(time.process_time() - before)
    ratios = {name: [a / b for a, b in zip(row, seconds["hio"], strict=True)] for name, row in seconds.items()}
    return {
        name: {
            "seconds": statistics.median(row),
            "seconds_least": min(row),
            "ratio_to_hio": statistics.median(ratios[name]),
            "ratio_of_least": min(row) / min(seconds["hio"]),
            "cpu_seconds": statistics.median(cpu_seconds[name]),
            "ratio_of_cpu_seconds": statistics.median(cpu_seconds[name]) / statistics.median(cpu_seconds["hio"]),
        }
        for name, row in seconds.items()
    }


def gps_on_one_core(count: int) -> dict:
    """200 iterations at 256^2 beside a static region."""
    measurement = scene("static_region", size=256, sample_photons_per_pixel=1.0)
    recipe = recipe_from_mapping({"method": "gps", "iterations": 200, "constraint": "real_nonneg"})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds = [reconstruct(measurement, recipe, seed=index).seconds for index in range(count + 1)][1:]
    finally:
        torch.set_num_threads(threads)
    return {"seconds": statistics.median(seconds), "seconds_least": min(seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=9, help="repetitions")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    result = {"512^2, 50 iterations": against_hio(arguments.count), "256^2, gps 200": gps_on_one_core(arguments.count)}
    for name, row in result.items():
        print(name, row)
    print(record.write("low_dose_speed", result, arguments.output))


if __name__ == "__main__":
    main()
