"""Low dose beside a known static region: PSNR of every method over samples and noise draws.

    python benchmarks/low_dose.py --samples 10 --draws 3 [--methods gps reference_lsq_mean ...] [--output FILE]

    python benchmarks/low_dose.py --study support --samples 3 --draws 1    the known support 1, 3 and 4 times too large
    python benchmarks/low_dose.py --study alone --samples 3 --draws 1      the sample alone: no static region beside it

Samples are photographs of scikit-image, on which nothing was trained; photons are those of the sample alone per
detector pixel. ``law_db`` is 10 log10 (2 P), P photons on a sample pixel: least squares without any knowledge.
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
from cdipipe.metrics.evaluate import evaluate
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.simulation.exposure import expose
from cdipipe.simulation.registry import get_scene

REAL = {"constraint": "real_nonneg"}
LEAST_SQUARES = {
    f"reference_lsq_{kind}": {"method": "reference_lsq", "denoiser": kind, **REAL}
    for kind in ("none", "tv", "nlm", "block_matching", "learned", "mean")
}
RECIPES = {
    "gps": {"method": "gps", "iterations": 200, **REAL},
    "hio_static": {"method": "hio_static", **REAL},
    "hio_static_open": {"method": "hio_static", "iterations": 300, "er_iterations": 0, **REAL},
    **LEAST_SQUARES,
    "lodip": {"method": "lodip", **REAL},
    "lodip_gps": {"steps": [{"lodip": {}}, {"gps": {"schedule": "refinement"}}], **REAL},
}


SUPPORT_AREAS = (1.0, 3.0, 4.0)
STUDIES = {
    "methods": (1.0, True, tuple(RECIPES)),
    "support": (SUPPORT_AREAS, True, ("gps", "reference_lsq_learned", "lodip")),
    "alone": (1.0, False, ("hio", "dip")),
}
"""Area of the known support over the sample's own, whether a static region stands beside it, and methods."""
ALONE = {
    "hio": {"method": "hio", "iterations": 400, "restarts": 20, "average_best": 5, **REAL},
    "dip": {"method": "dip", **REAL},
}


def make_patterns(photons: float, size: int, sample: int, draws: int, area: float = 1.0, beside: bool = True):
    """Measurement and truth of one sample, once for each noise draw."""
    scene = get_scene("static_region")
    parameters = scene.parameters(size=size, sample_photons_per_pixel=photons, support_area=area)
    built = scene.build(parameters, np.random.default_rng([11, sample]))
    if not beside:
        built = replace(built, static_region=None, static_support=None)
    for draw in range(draws):
        shot = expose(built, parameters, np.random.default_rng([12, sample, draw]), np.random.default_rng(0))
        known = {name: getattr(shot.sample, name) for name in ("static_region", "static_support", "object_support")}
        yield (
            Measurement(shot.intensity, shot.measured, geometry=built.geometry, **known),
            Truth(shot.sample.object, shot.sample.support, extra=built.extra),
        )


def judge(measurement, truth, recipe) -> dict:
    """PSNR, processor time and wall time of one reconstruction."""
    began = time.process_time()
    result = reconstruct(measurement, recipe, seed=1)
    spent = time.process_time() - began
    found = evaluate(result, measurement, truth).metrics
    return {"psnr_db": found["psnr_db"], "ssim": found["ssim"], "cpu_s": spent, "wall_s": result.seconds}


def measure(photons: float, arguments, area: float = 1.0) -> dict:
    """Every method on every sample and draw, interleaved, so that load falls on all alike."""
    recipes = {name: recipe_from_mapping((RECIPES | ALONE)[name]) for name in arguments.methods}
    rows: dict = {name: [] for name in recipes}
    law = []
    beside = STUDIES[arguments.study][1]
    for sample in range(arguments.samples):
        patterns = make_patterns(photons, arguments.size, sample, arguments.draws, area, beside)
        for draw, (measurement, truth) in enumerate(patterns):
            law.append(10 * np.log10(2 * truth.extra["incident_photons_per_sample_pixel"]))
            for name, recipe in recipes.items():
                rows[name].append({"sample": sample, "draw": draw, **judge(measurement, truth, recipe)})
        means = {name: round(float(np.mean([r["psnr_db"] for r in found])), 2) for name, found in rows.items()}
        print(f"{photons:g} photons, {sample + 1} samples, law {np.mean(law):.2f}: {means}", flush=True)
    return {"law_db": float(np.mean(law)), "methods": {name: summarise(found) for name, found in rows.items()}}


def summarise(rows: list[dict]) -> dict:
    """Means, the spread over samples, and every row."""
    by_sample = [
        np.mean([r["psnr_db"] for r in rows if r["sample"] == sample]) for sample in sorted({r["sample"] for r in rows})
    ]
    return {
        "psnr_db": float(np.mean(by_sample)),
        "psnr_db_std_of_samples": float(np.std(by_sample)),
        "psnr_db_of_samples": [float(value) for value in by_sample],
        "cpu_s_median": float(np.median([r["cpu_s"] for r in rows])),
        "rows": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--photons", type=float, nargs="+", default=[1.0, 1000.0])
    parser.add_argument("--study", choices=list(STUDIES), default="methods")
    parser.add_argument("--methods", nargs="+", choices=list(RECIPES | ALONE), default=None)
    parser.add_argument("-o", "--output", type=Path, default=None)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    areas, _, methods = STUDIES[arguments.study]
    arguments.methods = arguments.methods or methods
    settings = {"samples": arguments.samples, "draws": arguments.draws, "size": arguments.size}
    settings["recipes"] = {name: (RECIPES | ALONE)[name] for name in arguments.methods}
    if isinstance(areas, tuple):
        table = {f"{p:g}": {f"{a:g}": measure(p, arguments, a) for a in areas} for p in arguments.photons}
    else:
        table = {f"{photons:g}": measure(photons, arguments, areas) for photons in arguments.photons}
    name = "low_dose" if arguments.study == "methods" else f"low_dose_{arguments.study}"
    print(write(name, {**settings, "photons_per_detector_pixel": table}, arguments.output))


if __name__ == "__main__":
    main()
