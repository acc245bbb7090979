"""A movie beside one static structure: all frames together against frame by frame.

    python benchmarks/in_situ.py --frames 50 [--scene cell] [--photons 1] [--some 3]

``in_situ`` takes all frames with the content of the static structure unknown, and known. The other methods know it, and
a frame gains nothing from the others: they phase the first ``--some``. PSNR is the mean over the frames that a method
phased, ``first_db`` over those that all of them did.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from record import write

from cdipipe.measurement import Truth
from cdipipe.metrics.evaluate import evaluate
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

ALL = {
    "in_situ": {"method": "in_situ"},
    "in_situ_known": {"method": "in_situ", "static": "known"},
}
FEW = {
    "hio_static": {"method": "hio_static"},
    "reference_lsq": {"method": "reference_lsq"},
    "lodip": {"method": "lodip"},
}
KNOWN = ("in_situ_known", "hio_static", "reference_lsq", "lodip")


def first_frames(measurement, truth, count: int):
    """The first frames of a movie, and their truth."""
    some = replace(measurement, intensity=measurement.intensity[:count])
    return some, replace(truth, object=truth.object[:count], support=truth.support[:count])


def judge(name: str, recipe: dict, measurement, truth: Truth, static, some: int) -> dict:
    known = replace(measurement, static_region=static if name in KNOWN else None)
    began, clock = time.process_time(), time.perf_counter()
    result = reconstruct(known, recipe_from_mapping({**recipe, "constraint": "real_nonneg"}), seed=1)
    row = {"cpu_s": time.process_time() - began, "wall_s": time.perf_counter() - clock, "frames": len(truth.object)}
    values = [
        evaluate(frame_of(result, i), known.pattern(i), frame_of(truth, i)).metrics for i in range(len(truth.object))
    ]
    psnr = [float(value["psnr_db"]) for value in values]
    row |= {"psnr_db": float(np.mean(psnr)), "first_db": float(np.mean(psnr[:some])), "psnr_db_of_frames": psnr}
    return row | {"r_factor": float(np.mean([value["r_factor"] for value in values]))}


def frame_of(movie, index: int):
    """One frame of a reconstruction or of a truth as a single pattern."""
    return replace(movie, object=movie.object[index], support=movie.support[index], stack="single")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", choices=["cell", "static_region"], default="cell")
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--some", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--photons", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=None)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    scene = get_scene(arguments.scene)
    settings = {"size": arguments.size, "frames": arguments.frames, "sample_photons_per_pixel": arguments.photons}
    measurement, truth = simulate(scene, scene.parameters(**settings, static_known=False), seed=arguments.seed)
    static = truth.extra["static_region"]
    law = 10 * np.log10(2 * truth.extra["incident_photons_per_sample_pixel"])
    table = {}
    for name, recipe in {**ALL, **FEW}.items():
        frames = arguments.some if name in FEW else arguments.frames
        table[name] = judge(name, recipe, *first_frames(measurement, truth, frames), static, arguments.some)
        print(name, {k: round(v, 3) for k, v in table[name].items() if not isinstance(v, list)}, flush=True)
        result = {"scene": arguments.scene, **settings, "seed": arguments.seed, "law_db": float(law)}
        write("in_situ", {**result, "methods": table}, arguments.output)


if __name__ == "__main__":
    main()
