"""The place of the static region is known, its content is not: what that costs against knowing it.

    python benchmarks/static_unknown.py --samples 10 [--scenes static_region cell] [--methods reference_lsq gps lodip]

``static_estimate`` runs once for a pattern; every method then starts from what it found, as in a chain of steps.
``lost_db`` is the PSNR of the same method with the true static region less that with the estimate. A figure is
``accepted`` where the misfit is what noise leaves.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from record import write

from cdipipe.measurement import Measurement, Truth
from cdipipe.methods.driver.reconstruct import reconstruct
from cdipipe.methods.driver.stack import Start
from cdipipe.methods.recipe import recipe_from_mapping
from cdipipe.metrics.evaluate import evaluate
from cdipipe.simulate.exposure import expose
from cdipipe.simulate.registry import get_scene

STEPS = {
    "reference_lsq_none": {"reference_lsq": {"denoiser": "none"}},
    "reference_lsq": {"reference_lsq": {}},
    "gps": {"gps": {"iterations": 200}},
    "lodip": {"lodip": {}},
}


def recipe_of(*steps):
    return recipe_from_mapping({"steps": list(steps), "constraint": "real_nonneg"})


def make_pattern(scene: str, size: int, photons: float, sample: int):
    """Measurement with the static region known, and truth."""
    found = get_scene(scene)
    parameters = found.parameters(size=size, sample_photons_per_pixel=photons)
    built = found.build(parameters, np.random.default_rng([11, sample]))
    shot = expose(built, parameters, np.random.default_rng([12, sample, 0]), np.random.default_rng(0))
    known = {name: getattr(shot.sample, name) for name in ("static_region", "static_support", "object_support")}
    return (
        Measurement(shot.intensity, shot.measured, geometry=built.geometry, **known),
        Truth(shot.sample.object, shot.sample.support, extra=built.extra),
    )


def psnr(measurement, truth, step, start=None) -> float:
    result = reconstruct(measurement, recipe_of(step), seed=1, start=start)
    return float(evaluate(result, measurement, truth).metrics["psnr_db"])


def judge(known, truth, estimate: dict, methods) -> dict:
    """What was found, how long it took, and what every method loses by it."""
    unknown = replace(known, static_region=None)
    began, clock = time.process_time(), time.perf_counter()
    found = reconstruct(unknown, recipe_of({"static_estimate": estimate}), seed=1)
    row = {"cpu_s": time.process_time() - began, "wall_s": time.perf_counter() - clock}
    row |= found.recipe["static_estimate"][0]
    estimated = replace(known, static_region=found.forward["static_region"])
    for name in methods:
        best = psnr(known, truth, STEPS[name])
        row[name] = {"known_db": best, "lost_db": best - psnr(estimated, truth, STEPS[name], Start(found.object))}
    return row


def summarise(rows: list[dict], methods) -> dict:
    """Counts and extremes, and every row."""
    lost = {name: np.array([row[name]["lost_db"] for row in rows]) for name in methods}
    return {
        "accepted": sum(row["accepted"] for row in rows),
        "samples": len(rows),
        "cpu_s_median": float(np.median([row["cpu_s"] for row in rows])),
        "cpu_s_max": float(np.max([row["cpu_s"] for row in rows])),
        "within_0.3_db": {name: int((values <= 0.3).sum()) for name, values in lost.items()},
        "lost_db_median": {name: float(np.median(values)) for name, values in lost.items()},
        "lost_db_max": {name: float(values.max()) for name, values in lost.items()},
        "rows": rows,
    }


def measure(scene: str, photons: float, arguments) -> dict:
    rows = []
    for sample in range(arguments.samples):
        known, truth = make_pattern(scene, arguments.size, photons, sample)
        rows.append({"sample": sample, **judge(known, truth, arguments.estimate, arguments.methods)})
        last = rows[-1]
        lost = {name: round(last[name]["lost_db"], 3) for name in arguments.methods}
        fit = f"misfit {last['misfit_ratio']:.4f} of {last['expected']:.4f}"
        fit += f" at start {last['tries']}, hop {last['hops']}"
        print(f"{scene} {photons:g} sample {sample}: {fit}, {last['cpu_s']:.1f} s, lost {lost}", flush=True)
    return summarise(rows, arguments.methods)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--photons", type=float, nargs="+", default=[1.0, 1000.0])
    parser.add_argument("--scenes", nargs="+", choices=["static_region", "cell"], default=["static_region"])
    parser.add_argument("--methods", nargs="+", choices=list(STEPS), default=["reference_lsq_none", "gps"])
    parser.add_argument("--tries", type=int, default=None, help="starts at most")
    parser.add_argument("-o", "--output", type=Path, default=None)
    arguments = parser.parse_args()
    arguments.estimate = {} if arguments.tries is None else {"tries": arguments.tries}
    torch.set_num_threads(1)
    settings = {name: getattr(arguments, name) for name in ("samples", "size", "methods", "estimate")}
    table: dict = {scene: {} for scene in arguments.scenes}
    for scene in arguments.scenes:
        for photons in arguments.photons:
            table[scene][f"{photons:g}"] = measure(scene, photons, arguments)
            # a long run that is stopped keeps the doses that are done
            print(write("static_unknown", {**settings, "photons_per_detector_pixel": table}, arguments.output))


if __name__ == "__main__":
    main()
