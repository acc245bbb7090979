"""The place of the static region is known, its content is not: what that costs against knowing it.

    python benchmarks/static_unknown.py --samples 10 --draws 3 [--scenes static_region cell] [--priors none learned]

The search of ``static_estimate`` runs once for a pattern, every prior goes on from what it found, and every method from
that, as in a chain of steps. ``lost_db`` is the PSNR of the same method with the true static region less that with the
estimate. Nothing is aligned: beside a real structure of known place neither solution may shift, turn or scale.
``bound_db`` is what no unbiased estimator can avoid: the mean variance of the sample in least squares with and without
the static structure among the unknowns. An estimate is ``accepted`` where the misfit is what noise leaves.
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
from cdipipe.methods.static_estimate import StaticEstimateParameters
from cdipipe.methods.static_estimate.estimate import estimate_static
from cdipipe.methods.static_estimate.joint import Estimate, Joint
from cdipipe.methods.static_estimate.prior import refine_with_prior
from cdipipe.metrics.evaluate import evaluate
from cdipipe.optics import fourier
from cdipipe.phasing.least_squares import conjugate_gradients, energy
from cdipipe.phasing.problem import Problem
from cdipipe.phasing.recipe import StartSupport, recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.phasing.stack import Start
from cdipipe.simulation.exposure import expose
from cdipipe.simulation.registry import get_scene

STEPS = {
    "reference_lsq_none": {"reference_lsq": {"denoiser": "none"}},
    "reference_lsq": {"reference_lsq": {}},
    "gps": {"gps": {"iterations": 200}},
    "lodip": {"lodip": {}},
}
ALLOWED_DB = 0.3


def recipe_of(*steps):
    return recipe_from_mapping({"steps": list(steps), "constraint": "real_nonneg"})


def make_pattern(scene: str, arguments, photons: float, sample: int, draw: int):
    """Measurement with the static region known, and truth."""
    found = get_scene(scene)
    parameters = found.parameters(size=arguments.size, sample_photons_per_pixel=photons, frames=arguments.frames)
    built = found.build(parameters, np.random.default_rng([11, sample]))
    shot = expose(built, parameters, np.random.default_rng([12, sample, draw]), np.random.default_rng(0))
    stack = shot.sample.stack
    known = {name: getattr(shot.sample, name) for name in ("static_region", "static_support", "object_support")}
    return (
        Measurement(shot.intensity, shot.measured, stack, geometry=built.geometry, **known),
        Truth(shot.sample.object, shot.sample.support, stack, extra=built.extra),
    )


def psnr(measurement, truth, step, start=None) -> float:
    result = reconstruct(measurement, recipe_of(step), seed=1, start=start)
    return float(np.mean(evaluate(result, measurement, truth).metrics["psnr_db"]))


def make_problems(known):
    """Problems that know no more than the place of the static structure, and that place and the samples', FFT order."""
    unknown = replace(known, static_region=None)
    patterns = [unknown.pattern(index) for index in range(unknown.pattern_count)]
    problems = [Problem(p, "real_nonneg", (-np.pi, np.pi), use_static_region=False) for p in patterns]
    static = problems[0].static_support
    return problems, static, torch.stack([p.object_support & ~static for p in problems])


def bound(known, truth, draws: int = 4) -> float:
    """Loss in dB of least squares on noise alone, linearised at the truth: the Cramer-Rao bound, by random noise."""
    problems, static, supports = make_problems(known)
    corner = [fourier.to_corner(torch.from_numpy(a), static.ndim) for a in (known.static_region, truth.object)]
    structure, objects = (a.to(torch.complex128) for a in corner)
    there = Estimate(structure, objects.reshape(supports.shape))
    models = [Joint(problems, there, free, supports, True) for free in (static, torch.zeros_like(static))]
    generator, spent = torch.Generator().manual_seed(5), np.zeros(2)
    zero = torch.zeros(1 + len(problems), *static.shape)
    for _ in range(draws):
        noise = torch.randn(supports.shape, generator=generator)
        spent += [energy(conjugate_gradients(model, noise, zero, 60)[1:]) for model in models]
    return float(10 * np.log10(spent[0] / spent[1]))


def find(known, arguments):
    """(prior, estimate, seconds of the processor) for each prior; the search is the same for all."""
    problems, static, supports = make_problems(known)
    parameters = StaticEstimateParameters(**arguments.estimate, prior="none")
    began = time.process_time()
    found = estimate_static(problems, Start(), parameters, StartSupport(), 1, lambda: None)
    searched = time.process_time() - began
    for prior in arguments.priors:
        began, better = time.process_time(), found
        if prior != "none":
            better = refine_with_prior(problems, found, (static, supports, True), prior, parameters.prior_rounds, 1)
        yield prior, better, searched + time.process_time() - began


def judge(known, truth, arguments) -> dict:
    """What was found with each prior, how long it took, and what every method loses by it."""
    best = {name: psnr(known, truth, STEPS[name]) for name in arguments.methods}
    row: dict = {"known_db": best}
    for prior, found, cpu_s in find(known, arguments):
        arrays = [fourier.to_centre(a, found.static.ndim).numpy() for a in (found.static, found.samples)]
        static, samples = (a.astype(np.complex64) for a in arrays)
        estimated, start = replace(known, static_region=static), Start(samples.reshape(truth.object.shape))
        row[prior] = {"cpu_s": cpu_s, "misfit_ratio": found.ratio, "expected": found.expected}
        row[prior] |= {"tries": found.tries, "hops": found.hops, "accepted": bool(found.accepted)}
        row[prior]["lost_db"] = {m: best[m] - psnr(estimated, truth, STEPS[m], start) for m in arguments.methods}
    return row


def summarise(rows: list[dict], arguments) -> dict:
    """For each prior counts and extremes, of patterns and of the means of samples over their draws; and every row."""
    samples = sorted({row["sample"] for row in rows})
    table: dict = {"patterns": len(rows), "samples": len(samples)}
    bounds = [np.mean([row["bound_db"] for row in rows if row["sample"] == s]) for s in samples]
    table["bound_db"] = {"median": float(np.median(bounds)), "max": float(np.max(bounds)), "of_samples": bounds}
    for prior in arguments.priors:
        part = table[prior] = {"accepted": sum(row[prior]["accepted"] for row in rows)}
        part["cpu_s_median"] = float(np.median([row[prior]["cpu_s"] for row in rows]))
        part["cpu_s_max"] = float(np.max([row[prior]["cpu_s"] for row in rows]))
        for name in arguments.methods:
            lost = [row[prior]["lost_db"][name] for row in rows]
            means = [
                float(np.mean([d for d, row in zip(lost, rows, strict=True) if row["sample"] == s])) for s in samples
            ]
            part[name] = {
                "samples_within": int((np.array(means) <= ALLOWED_DB).sum()),
                "patterns_within": int((np.array(lost) <= ALLOWED_DB).sum()),
                "lost_db_median": float(np.median(lost)),
                "lost_db_max": float(np.max(lost)),
                "lost_db_of_samples": means,
            }
    return table | {"rows": rows}


def measure(scene: str, photons: float, arguments) -> dict:
    rows = []
    for sample in range(arguments.samples):
        least = bound(*make_pattern(scene, arguments, photons, sample, 0))
        for draw in range(arguments.draws):
            known, truth = make_pattern(scene, arguments, photons, sample, draw)
            rows.append({"sample": sample, "draw": draw, "bound_db": least, **judge(known, truth, arguments)})
            report(scene, photons, rows[-1], arguments)
    return summarise(rows, arguments)


def report(scene: str, photons: float, row: dict, arguments) -> None:
    print(f"{scene} {photons:g} sample {row['sample']}.{row['draw']}, bound {row['bound_db']:.3f}:", flush=True)
    for prior in arguments.priors:
        found = row[prior]
        fit = f"misfit {found['misfit_ratio']:.4f} of {found['expected']:.4f}"
        fit += f" at start {found['tries']}, hop {found['hops']}"
        lost = {name: round(value, 3) for name, value in found["lost_db"].items()}
        print(f"  prior {prior}: {fit}, {found['cpu_s']:.1f} s, lost {lost}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frames", type=int, default=1, help="patterns that share one static structure")
    parser.add_argument("--photons", type=float, nargs="+", default=[1.0, 1000.0])
    parser.add_argument("--scenes", nargs="+", choices=["static_region", "cell"], default=["static_region"])
    methods = ["reference_lsq_none", "reference_lsq", "gps"]
    parser.add_argument("--methods", nargs="+", choices=list(STEPS), default=methods)
    parser.add_argument("--priors", nargs="+", default=["none", "learned"])
    parser.add_argument("--tries", type=int, default=None, help="starts at most")
    parser.add_argument("-o", "--output", type=Path, default=None)
    arguments = parser.parse_args()
    arguments.estimate = {} if arguments.tries is None else {"tries": arguments.tries}
    torch.set_num_threads(1)
    names = ("samples", "draws", "size", "frames", "methods", "priors", "estimate")
    settings = {name: getattr(arguments, name) for name in names}
    table: dict = {scene: {} for scene in arguments.scenes}
    for scene in arguments.scenes:
        for photons in arguments.photons:
            table[scene][f"{photons:g}"] = measure(scene, photons, arguments)
            # a long run that is stopped keeps the doses that are done
            print(write("static_unknown", {**settings, "photons_per_detector_pixel": table}, arguments.output))


if __name__ == "__main__":
    main()
