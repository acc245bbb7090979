"""What single methods cost beside HIO, and what a step of CDIP costs.

    python benchmarks/method_speed.py low_dose
        50 iterations of gps (both presets) and oss against 50 of hio at 512^2, in turns; 200 of gps at 256^2 beside a
        known static region on one core
    python benchmarks/method_speed.py cdip
        600 steps of random fields, 1 and 8 at once, without culling and with it

Times are those of whole reconstructions from one random start. On a busy machine only ratios of neighbouring runs and
of processor seconds mean something. Results go to low_dose_speed.json and cdip_speed.json.
"""

from __future__ import annotations

import statistics

import torch
from common import Part, processor_seconds, run_one

import cdipipe as cdi

SHORT = {"iterations": 50, "closing_er": 0, "constraint": "real_nonneg", "shrink_wrap": {"every": 0}}
RECIPES = {
    "hio": {"method": "hio", **SHORT},
    "gps": {"method": "gps", **SHORT},
    "gps_refinement": {"method": "gps", "schedule": "refinement", **SHORT},
    "gps_complex": {"method": "gps", **SHORT, "constraint": "support"},
    "oss": {"method": "oss", **SHORT},
}
FIELDS = {
    "1 seed": {"population": 1},
    "8 seeds": {"population": 8, "survivors": 8},
    "8 seeds, culled": {"population": 8},
}


def low_dose(count: int) -> dict:
    return {"512^2, 50 iterations": against_hio(count), "256^2, gps 200": gps_on_one_core(count)}


def against_hio(count: int) -> dict:
    """Median and least seconds of each recipe, and the median ratio to the HIO run beside it."""
    pattern = cdi.simulate("polygons", seed=1, size=512, photons=1e6, phase_range_rad=0.0)
    wall: dict[str, list[float]] = {name: [] for name in RECIPES}
    spent: dict[str, list[float]] = {name: [] for name in RECIPES}
    for repetition in range(count + 1):
        for name, recipe in RECIPES.items():
            result, seconds = processor_seconds(lambda r=recipe, s=repetition: cdi.reconstruct(pattern, r, seed=s))
            if repetition:  # the first round warms up
                wall[name].append(result.seconds)
                spent[name].append(seconds)
    medians = {name: statistics.median(row) for name, row in spent.items()}
    return {
        name: {
            "seconds": statistics.median(row),
            "seconds_least": min(row),
            "ratio_to_hio": statistics.median(a / b for a, b in zip(row, wall["hio"], strict=True)),
            "ratio_of_least": min(row) / min(wall["hio"]),
            "cpu_seconds": medians[name],
            "ratio_of_cpu_seconds": medians[name] / medians["hio"],
        }
        for name, row in wall.items()
    }


def gps_on_one_core(count: int) -> dict:
    pattern = cdi.simulate("static_region", seed=1, size=256, sample_photons_per_pixel=1.0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        recipe = {"method": "gps", "iterations": 200, "constraint": "real_nonneg"}
        seconds = [cdi.reconstruct(pattern, recipe, seed=index).seconds for index in range(count + 1)][1:]
    finally:
        torch.set_num_threads(threads)
    return {"seconds": statistics.median(seconds), "seconds_least": min(seconds)}


def cdip(count: int) -> dict:
    """Least processor seconds of each, taking turns."""
    pattern = cdi.simulate("polygons", seed=5000, size=128, photons=1e5, phase_range_rad=1.0)
    spent: dict[str, list[float]] = {name: [] for name in FIELDS}
    for seed in range(count):
        for name, changed in FIELDS.items():
            recipe = {"method": "cdip", "start": "random", "iterations": 600, **changed}
            spent[name].append(processor_seconds(lambda r=recipe, s=seed: cdi.reconstruct(pattern, r, seed=s))[1])
    least = {name: min(row) for name, row in spent.items()}
    return {"steps": 600, "seconds": least, "ratio_8_to_1": least["8 seeds"] / least["1 seed"]}


if __name__ == "__main__":
    run_one(__doc__, {"low_dose": Part(low_dose, "low_dose_speed", 9), "cdip": Part(cdip, "cdip_speed", 3)})
