"""Projection solvers against cohere: the same data, the same sequence of iterations, one process.

    python benchmarks/solvers.py speed     620 iterations at 512^2 and 64^3, seconds and correlation with truth
    python benchmarks/solvers.py restarts  cost per restart, 1 against 32 at once, and peak memory
    python benchmarks/solvers.py quality   20 strong-phase polygons, 256^2, 1e7 photons, 8 restarts
    python benchmarks/solvers.py gold      the measured gold crystal, 10 restarts (needs CDIPIPE_DATA_DIR)

Results go to benchmarks/results/solvers_NAME.json. cohere comes with the extra ``bench``.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np
from common import SEQUENCE, Part, run_one

import cdipipe as cdi
from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.metrics.align import align_to

SHRINK = {"every": 20, "sigma_px": 1.0, "threshold": 0.2}
TUNED = {"every": 5, "sigma_px": 1.0, "threshold": 0.1}  # nearest to our defaults that cohere offers


def polygon(seed, **settings):
    """Measurement and truth of one polygon."""
    return cdi.simulate("polygons", seed=seed, with_truth=True, **settings)


def same_recipe(shrink, **settings) -> dict:
    """Our recipe with cohere's sequence, start support and shrink-wrap."""
    return {
        "sequence": SEQUENCE,
        "start_support": {"kind": "full"},
        "shrink_wrap": {
            "every": shrink["every"],
            "sigma_start_px": shrink["sigma_px"],
            "sigma_end_px": shrink["sigma_px"],
            "threshold": shrink["threshold"],
        },
        **settings,
    }


def run_cohere(measurement: Measurement, shrink, seed=0):
    from peers import run_cohere

    return run_cohere(
        measurement.intensity,
        SEQUENCE,
        shrink_every=shrink["every"],
        sigma_px=shrink["sigma_px"],
        threshold=shrink["threshold"],
        seed=seed,
    )


def speed(repetitions: int) -> dict:
    """Seconds of both, alternating; correlation with truth, mean over the repetitions (one seed each)."""
    result = {}
    for name, settings in {
        "512^2": {"size": 512, "photons": 1e7, "phase_range_rad": 1.0},
        "64^3": {"size": 64, "photons": 1e7, "phase_range_rad": 1.0, "dimensions": 3},
    }.items():
        measurement, truth = polygon(7, **settings)
        rows = []
        for seed in range(repetitions):
            image, _, _, cohere_seconds = run_cohere(measurement, SHRINK, seed)
            ours = cdi.reconstruct(measurement, same_recipe(SHRINK), seed=seed)
            rows.append(
                {
                    "cohere_seconds": cohere_seconds,
                    "seconds": ours.seconds,
                    "cohere_correlation": align_to(truth.object, image).correlation,
                    "correlation": align_to(truth.object, ours.object).correlation,
                }
            )
            print(name, rows[-1], flush=True)
        best = {key: min(row[key] for row in rows) for key in ("cohere_seconds", "seconds")}
        mean = {key: float(np.mean([r[key] for r in rows])) for key in ("cohere_correlation", "correlation")}
        result[name] = {**best, **mean, "ratio": best["seconds"] / best["cohere_seconds"], "rows": rows}
    return result


def restarts(repetitions: int) -> dict:
    """Seconds per restart of 1 and of 32 restarts, 200 HIO iterations at 512^2, and the peak memory of the 32."""
    measurement, _ = polygon(7, size=512, photons=1e7, phase_range_rad=1.0)
    mapping = {"method": "hio", "iterations": 200, "closing_er": 0}
    cdi.reconstruct(measurement, mapping)
    alone, together = [], []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(repetitions):
        alone += [cdi.reconstruct(measurement, mapping, seed=seed + i).seconds for i in range(3)]
        together.append(cdi.reconstruct(measurement, mapping, seed=seed, restarts=32).seconds / 32)
        print(f"alone {np.median(alone):.3f} s, of 32 {together[-1]:.3f} s", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    batch = 32 * 512 * 512 * 8
    return {
        "alone_seconds": float(np.median(alone)),
        "of_32_seconds": float(np.median(together)),
        "ratio": float(np.median(together) / np.median(alone)),
        "peak_memory_in_complex_arrays_of_the_batch": (peak - before) * 1024 / batch,
    }


def quality(count: int) -> dict:
    """Correlation with truth, our default and cohere's sequence, best of 8 by each one's own score."""
    rows = []
    for seed in range(count):
        measurement, truth = polygon(seed, size=256, photons=1e7, phase_range_rad=2 * np.pi)
        row = {"seed": seed}
        for name, mapping in {
            "default": {"method": "hio", "restarts": 8},
            "same_recipe": same_recipe(SHRINK, restarts=8),
        }.items():
            ours = cdi.reconstruct(measurement, mapping, seed=seed)
            row[name] = align_to(truth.object, ours.object).correlation
            row[f"{name}_seconds"] = ours.seconds
        for name, shrink in {"cohere": SHRINK, "cohere_tuned": TUNED}.items():
            runs = [run_cohere(measurement, shrink, seed=100 * seed + i) for i in range(8)]
            best = min(runs, key=lambda run: run[2])
            row[name] = align_to(truth.object, best[0]).correlation
            row[f"{name}_seconds"] = sum(run[3] for run in runs)
        print({k: round(v, 3) for k, v in row.items()}, flush=True)
        rows.append(row)
    summary = {}
    for name in ("default", "same_recipe", "cohere", "cohere_tuned"):
        values = np.array([row[name] for row in rows])
        summary[name] = {
            "mean": float(values.mean()),
            "share_above_0.95": float((values > 0.95).mean()),
            "seconds": float(np.mean([row[f"{name}_seconds"] for row in rows])),
        }
        print(name, summary[name])
    return {"summary": summary, "rows": rows}


def gold(count: int) -> dict:
    """R-factor and repeatability (mean pairwise correlation) of 10 starts on the measured crystal, same recipe."""
    from cdipipe.metrics.statistics import repeatability

    folder = Path(os.environ["CDIPIPE_DATA_DIR"]) / "aps34idc_bcdi_S54"
    with np.load(folder / "S54_crop_96x128x128_int32.npz") as file:
        counts = file[file.files[0]].astype(np.float32)
    counts[counts < 2] = 0
    measurement = Measurement(counts, np.ones(counts.shape, bool), "volume")
    shrink = {"every": 20, "sigma_px": 1.0, "threshold": 0.1}
    result = {}
    for name, mapping in {"default": {"method": "raar"}, "same_recipe": same_recipe(shrink)}.items():
        ours = cdi.reconstruct(measurement, mapping, restarts=count, keep_runs=True)
        result[name] = gold_summary(ours.run_scores["r_factor"], repeatability(ours.runs), ours.seconds)
        print(name, result[name], flush=True)
    runs, errors, seconds = [], [], 0.0
    for seed in range(count):
        image, _, _, spent = run_cohere(measurement, shrink, seed)
        errors.append(r_factor(measurement, image))
        runs.append(image if not runs else align_to(runs[0], image).object)
        seconds += spent
        print("cohere", seed, errors[-1], spent, flush=True)
    return {**result, "cohere": gold_summary(errors, repeatability(np.stack(runs)), seconds)}


def gold_summary(r_factors, repeatability, seconds) -> dict:
    """Best and median R-factor, mean pairwise correlation, and seconds of all starts."""
    best, median = float(np.min(r_factors)), float(np.median(r_factors))
    return {"r_factor_best": best, "r_factor_median": median, "repeatability": repeatability, "seconds": seconds}


def r_factor(measurement, image) -> float:
    found = Reconstruction(image, np.ones(image.shape, bool), "volume")
    return cdi.evaluate(found, measurement).metrics["r_factor"]


if __name__ == "__main__":
    parts = {"speed": (speed, 3), "restarts": (restarts, 3), "quality": (quality, 20), "gold": (gold, 10)}
    run_one(__doc__, {name: Part(part, f"solvers_{name}", count) for name, (part, count) in parts.items()})
