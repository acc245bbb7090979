"""Masked patterns at the light of the DPR paper: parts of config/studies/unrolled.yaml, each in one process.

    python benchmarks/masked_patterns.py trainings
        the network of the package, two more trainings, and DPR: 200 patterns under each mask
    python benchmarks/masked_patterns.py published [--count 8]
        300 iterations, best of 10, of the published HIO as it is, without its faults, and of ours; irregular masks,
        with the right coherence kernel and with the published one
    python benchmarks/masked_patterns.py times [--count 3]
        processor seconds per pattern, 8 patterns at once; methods take turns, as often as the count says

The published code (https://github.com/sungyun98/PhaseRetrieval, before the repairs that its tests/regression tells of)
splits the blurring kernel of shrink-wrap over the corners of its window, and never resets the least error when the
support changes, so that the object of an early, loose support may come out. Networks are taken from the study's folder,
where `make run` or `cdipipe train` put them. Everything uses one thread.
"""

from __future__ import annotations

import math
import statistics
import time

import numpy as np
import torch
from common import ROOT, Part, run_one
from torch.nn import functional

import cdipipe as cdi
from cdipipe.measurement import Reconstruction
from cdipipe.study.config import load_config

STUDY = load_config(ROOT / "config/studies/unrolled.yaml")
SEED, SOLVED_DB, TOGETHER = 1, 28.0, 8
SLOW = "dpr_gps", "hio", "gps"
TIMED = "unrolled", "unrolled_fast", "unrolled_once", "gps_once", *SLOW
ITERATIONS, STARTS, HALF_SIDE, EVERY, THRESHOLD = 300, 10, 15, 15, 0.2
SIGMA_START, SIGMA_END, DECAY, BETA, PUSH = 1.5, 0.5, 0.01, 0.9, 0.1
"""The paper's numbers on a grid of a quarter, as in the study; the last tenth pushes the boundary."""


def published_hio(counts: torch.Tensor, measured: torch.Tensor, split: bool, resets: bool) -> torch.Tensor:
    """Object (H, W) of the least error from random phases.

    Parameters
    ----------
    counts, measured : (H, W) float and bool, centred
    split : whether the kernel of shrink-wrap is split over its corners, as published
    resets : whether an error counts for the support only that it was reached in
    """
    size = counts.shape[-1]
    modulus = torch.fft.ifftshift(torch.where(measured, counts, 0).clamp(min=0)).sqrt()
    known = torch.fft.ifftshift(measured)
    support = torch.zeros(STARTS, size, size, dtype=torch.bool)
    middle = slice(size // 2 - HALF_SIDE, size // 2 + HALF_SIDE + 1)
    support[:, middle, middle] = True
    generator = torch.Generator().manual_seed(1)
    phase = 2 * math.pi * torch.rand(STARTS, size, size, generator=generator)
    u = torch.fft.ifft2(torch.polar(modulus.expand_as(phase), phase))
    best, least, sigma = u.clone(), torch.full((STARTS,), math.inf), SIGMA_START
    push = round((1 - PUSH) * ITERATIONS)
    for n in range(ITERATIONS):
        if n == push:
            u = best.clone()
        wave = torch.fft.fft2(u)
        found = torch.fft.ifft2(torch.where(known, modulus * torch.sgn(wave), wave))
        inside = support & (found.real >= 0)
        outside = u - BETA * found if n < push else (1 - (n - push) / (ITERATIONS - push)) * found
        u = torch.where(inside, found, outside)
        object_ = torch.where(support, u.real.clamp(min=0), 0)
        error = ((torch.fft.fft2(object_).abs() - modulus).abs() * known).sum((1, 2)) / modulus.sum()
        better = error <= least
        least, best = torch.where(better, error, least), torch.where(better[:, None, None], u, best)
        if (n + 1) % EVERY == 0 and n + 1 < ITERATIONS:
            support = wrapped(torch.where(support, best.real.clamp(min=0), 0), sigma, split)
            sigma = sigma * (1 - DECAY) if sigma > SIGMA_END else sigma
            if resets:
                least = torch.full_like(least, math.inf)
    return torch.where(support, best.real.clamp(min=0), 0)[least.argmin()]


def wrapped(objects: torch.Tensor, sigma: float, split: bool) -> torch.Tensor:
    """New supports (B, H, W) of real objects; the window of the kernel is as large as its first blur asks."""
    half = math.ceil(2 * SIGMA_START)
    lags = torch.arange(-half, half + 1.0)
    kernel = torch.exp(-(lags[:, None].square() + lags.square()) / (2 * sigma**2))
    kernel = torch.fft.ifftshift(kernel) if split else kernel
    blurred = functional.conv2d(objects[:, None], (kernel / kernel.sum())[None, None], padding=half)[:, 0]
    return blurred > THRESHOLD * blurred.amax((1, 2), keepdim=True)


def trainings(count: int) -> dict:
    networks = (
        "unrolled",
        "unrolled_8",
        "unrolled_9",
        "unrolled_once",
        "unrolled_fast",
        "dpr_adamw",
        "dpr_asam",
        "dpr_gps",
    )
    return {mask: judged(mask, networks, count) for mask in ("irregular", "central")}


def published(count: int) -> dict:
    record = {"patterns": count}
    for kernel in ("gaussian_schell", "dpr_published"):
        measurement, truth = simulated("irregular", count, coherence=kernel)
        found = {
            "published": own(measurement, split=True, resets=False),
            "published, repaired": own(measurement, split=False, resets=True),
            "hio": cdi.reconstruct(measurement, STUDY.methods["hio"], seed=SEED, device="cpu"),
        }
        record[kernel] = {name: row(result, measurement, truth) for name, result in found.items()}
        print(kernel, record[kernel], flush=True)
    return record


def judged(name: str, methods: tuple[str, ...], count: int) -> dict:
    """A row for each method of the study on one of its measurements."""
    (measurement, truth), rows = simulated(name, count), {}
    for method in methods:
        began = time.process_time()
        result = cdi.reconstruct(measurement, recipe_of(method), seed=SEED, device="cpu")
        seconds = (time.process_time() - began) / count
        rows[method] = row(result, measurement, truth) | {"processor_s_per_pattern": seconds}
        print(name, method, rows[method], flush=True)
    return {"patterns": count, "missing_share": float(1 - measurement.measured.mean()), **rows}


def simulated(name: str, count: int, **detector):
    """A measurement of the study, of so many patterns, and its truth."""
    entry = STUDY.measurements[name]
    asked = entry.set | {"count": count, "detector": entry.set["detector"] | detector}
    return cdi.simulate(entry.scene, seed=entry.seed, with_truth=True, **asked)


def recipe_of(method: str) -> dict:
    """A method of the study, with the files of its networks."""
    recipe = dict(STUDY.methods[method])

    def filed(settings: dict) -> dict:
        name = settings.get("checkpoint")
        return settings | ({"checkpoint": str(ROOT / STUDY.output / name / "best.pt")} if name else {})

    if "steps" in recipe:
        recipe["steps"] = [{name: filed(step[name]) for name in step} for step in recipe["steps"]]
    return filed(recipe)


def row(result: Reconstruction, measurement, truth) -> dict:
    """Medians, and how PSNR is spread."""
    found = cdi.evaluate(result, measurement, truth)
    decibels = found.curves["pattern_psnr_box_db"]
    return {
        "psnr_box_db": float(np.median(decibels)),
        "psnr_box_db_mean": float(np.mean(decibels)),
        "ssim_box": float(np.median(found.curves["pattern_ssim_box"])),
        "r_factor": float(np.median(found.curves["pattern_r_factor"])),
        "below_28_db": float(np.mean(decibels < SOLVED_DB)),
    }


def own(measurement, split: bool, resets: bool) -> Reconstruction:
    """The published HIO on every pattern."""
    pairs = zip(torch.from_numpy(measurement.intensity), torch.from_numpy(measurement.measured), strict=True)
    objects = np.stack([published_hio(*pair, split, resets).numpy() for pair in pairs])
    objects *= measurement.pattern_shape[0]  # transforms there do not scale
    return Reconstruction(objects.astype(np.complex64), objects > 0, stack=measurement.stack)


def times(count: int) -> dict:
    """Seconds of every method in every turn, and medians of the ratios to those of others in the same turn."""
    measurement, _ = simulated("irregular", TOGETHER)
    recipes = {name: recipe_of(name) for name in TIMED}
    for recipe in recipes.values():  # loads what is needed
        cdi.reconstruct(simulated("irregular", 1)[0], recipe | {"restarts": 1}, device="cpu")
    seconds: dict[str, list[float]] = {name: [] for name in recipes}
    for turn in range(count):
        for name, recipe in recipes.items():
            began = time.process_time()
            cdi.reconstruct(measurement, recipe, seed=turn, device="cpu")
            seconds[name].append((time.process_time() - began) / TOGETHER)
            print(turn, name, seconds[name][-1], flush=True)
    ratios = {
        f"{name} / {slow}": statistics.median(a / b for a, b in zip(seconds[name], seconds[slow], strict=True))
        for name in recipes
        for slow in SLOW
        if name not in SLOW
    }
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {"patterns": TOGETHER, "turns": count, "seconds": seconds, "medians": medians, "ratios": ratios}


if __name__ == "__main__":
    torch.set_num_threads(1)
    parts = {
        "trainings": Part(trainings, "unrolled_trainings", 200),
        "published": Part(published, "dpr_published", 8),
        "times": Part(times, "unrolled_times", 3),
    }
    run_one(__doc__, parts)
