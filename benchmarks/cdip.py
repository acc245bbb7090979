"""CDIP on simulated shots and on a measured frame, beside HIO with equal time and the guided population.

    python benchmarks/cdip.py static    weak and strong phases x photons, 128^2, no support; every method selects
                                        without the truth
    python benchmarks/cdip.py hio       the HIO of `static` once more, with as many starts as its own rows say fit into
                                        the time of CDIP; for runs during which other work came and went
    python benchmarks/cdip.py ablation  CDIP with one thing changed, on patterns that `static` does not use
    python benchmarks/cdip.py speed     seconds of a step, 1 and 8 seeds at once
    python benchmarks/cdip.py gold      10 seeds on the measured crystal's central frame (needs CDIPIPE_DATA_DIR)

HIO gets as many starts as fit into CDIP's time, measured in the same process, and never fewer than 8. Seconds are those
of the processor, which on one idle core are those of the clock: run it with OMP_NUM_THREADS=1. Results go to
benchmarks/results/cdip_NAME.json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import record

from cdipipe.measurement import Measurement
from cdipipe.metrics.align import align_to
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

SPANS_RAD, PHOTONS = (1.0, 5.5), (1e4, 1e5, 1e6)
HIO = {"method": "hio", "er_every": 10}
FIRST_STATIC, FIRST_ABLATION = 5000, 7000
ABLATIONS = {
    "default": {},
    "random fields only": {"start": "random"},
    "guided start only": {"start": "guided"},
    "hio start only": {"start": "hio"},
    "random, no strong TV at first": {"start": "random", "tv_start": 0.0},
    "random, no TV": {"start": "random", "tv_start": 0.0, "tv": 0.0},
    "random, depth 4": {"start": "random", "depth": 4},
    "random, no anchoring": {"start": "random", "anchoring": 0.0},
    "random, LeakyReLU": {"start": "random", "head": "leaky_relu"},
    "random, MAE": {"start": "random", "loss": "amplitude_mae"},
    "random, Poisson from the start": {"start": "random", "loss": "poisson"},
    "random, not confined": {"start": "random", "confine": False},
    "random, one field": {"start": "random", "population": 1},
}


def shot(seed: int, span_rad: float, photons: float):
    """Measurement and truth of one polygon."""
    scene = get_scene("polygons")
    return simulate(scene, scene.parameters(size=128, photons=photons, phase_range_rad=span_rad), seed)


def run(mapping: dict, measurement, truth, seed: int) -> tuple[float, float]:
    """Correlation with the truth, and seconds of the processor."""
    began = time.process_time()
    result = reconstruct(measurement, recipe_from_mapping(mapping), seed=seed)
    seconds = time.process_time() - began
    return align_to(truth.object, result.object).correlation, seconds


def compare(measurement, truth, seed: int, seconds_of_a_start: float) -> dict:
    """One pattern, one seed, all methods."""
    row = {}
    row["cdip"], row["cdip_seconds"] = run({"method": "cdip"}, measurement, truth, seed)
    row["guided"], row["guided_seconds"] = run({"method": "guided"}, measurement, truth, seed)
    row["hio_starts"] = max(8, round(row["cdip_seconds"] / seconds_of_a_start))
    row["hio"], row["hio_seconds"] = run({**HIO, "restarts": row["hio_starts"]}, measurement, truth, seed)
    return row


def summarise(rows: list[dict], names) -> dict:
    """Mean, share above 0.95 and lowest correlation of each method, and its mean seconds."""
    summary = {}
    for name in names:
        values = np.array([row[name] for row in rows])
        summary[name] = {
            "mean": float(values.mean()),
            "share_above_0.95": float((values > 0.95).mean()),
            "lowest": float(values.min()),
            "seconds": float(np.mean([row[f"{name}_seconds"] for row in rows])),
        }
    return summary


def static(count: int, seeds: int, spans=SPANS_RAD, totals=PHOTONS) -> dict:
    """All cells: ``count`` patterns x ``seeds`` each."""
    names, rows, cells = ("cdip", "guided", "hio"), [], {}
    for span in spans:
        for photons in totals:
            own = []
            start = run({**HIO, "restarts": 16}, *shot(FIRST_STATIC, span, photons), 0)[1] / 16
            for pattern in range(FIRST_STATIC, FIRST_STATIC + count):
                measurement, truth = shot(pattern, span, photons)
                for seed in range(seeds):
                    row = compare(measurement, truth, seed, start)
                    own.append({"span_rad": span, "photons": photons, "pattern": pattern, "seed": seed, **row})
                    print({k: round(v, 3) for k, v in own[-1].items()}, flush=True)
            cells[f"{span:g} rad, {photons:.0e} photons"] = summarise(own, names)
            print(span, photons, cells[f"{span:g} rad, {photons:.0e} photons"], flush=True)
            rows += own
    return {"cells": cells, "all": summarise(rows, names), "rows": rows}


def hio_again(_count: int, seeds: int) -> dict:
    """``static`` as recorded, HIO repeated where CDIP had more time; seconds of a start are those of the row."""
    recorded = json.loads((record.RESULTS / "cdip_static.json").read_text())
    cells, rows = {}, recorded["rows"]
    for row in rows:
        starts = max(8, math.ceil(row["hio_starts"] * row["cdip_seconds"] / row["hio_seconds"]))
        if row["seed"] >= seeds or starts <= row["hio_starts"]:
            continue
        measurement, truth = shot(row["pattern"], row["span_rad"], row["photons"])
        row["hio"], row["hio_seconds"] = run({**HIO, "restarts": starts}, measurement, truth, row["seed"])
        row["hio_starts"] = starts
        print({k: round(v, 3) for k, v in row.items()}, flush=True)
    names = ("cdip", "guided", "hio")
    for row in rows:
        cells.setdefault(f"{row['span_rad']:g} rad, {row['photons']:.0e} photons", []).append(row)
    return {"cells": {name: summarise(own, names) for name, own in cells.items()}, "all": summarise(rows, names),
            "rows": rows}  # fmt: skip


def ablation(count: int, seeds: int) -> dict:
    """One thing changed at a time, mean over the cells weak and strong x 1e4 and 1e6 photons."""
    table = {}
    for name, changed in ABLATIONS.items():
        entry = {}
        for span in SPANS_RAD:
            for photons in (1e4, 1e6):
                found = [
                    run({"method": "cdip", **changed}, *shot(FIRST_ABLATION + pattern, span, photons), seed)
                    for pattern in range(count)
                    for seed in range(seeds)
                ]
                entry[f"{span:g} rad, {photons:.0e}"] = float(np.mean([correlation for correlation, _ in found]))
                entry["seconds"] = float(np.mean([seconds for _, seconds in found]))
        table[name] = entry
        print(name, {key: round(value, 3) for key, value in entry.items()}, flush=True)
    return table


def speed(repetitions: int, _seeds: int) -> dict:
    """Seconds of all steps of random fields, 1 and 8 at once, without culling and with it; alternating."""
    measurement, truth = shot(FIRST_STATIC, 1.0, 1e5)
    base = {"method": "cdip", "start": "random", "iterations": 600}
    cases = {
        "1 seed": {"population": 1},
        "8 seeds": {"population": 8, "survivors": 8},
        "8 seeds, culled": {"population": 8},
    }
    seconds = {name: [] for name in cases}
    for seed in range(repetitions):
        for name, changed in cases.items():
            seconds[name].append(run({**base, **changed}, measurement, truth, seed)[1])
    least = {name: float(np.min(values)) for name, values in seconds.items()}
    print(least)
    return {"steps": 600, "seconds": least, "ratio_8_to_1": least["8 seeds"] / least["1 seed"]}


def gold(seeds: int, _unused: int) -> dict:
    """Agreement of seeds, energy outside the thresholded object and R-factor on a measured frame."""
    folder = Path(os.environ["CDIPIPE_DATA_DIR"]) / "aps34idc_bcdi_S54"
    with np.load(folder / "S54_crop_96x128x128_int32.npz") as file:
        counts = file[file.files[0]].astype(np.float32)[48]
    counts[counts < 2] = 0
    measurement = Measurement(counts, np.ones(counts.shape, bool), "single")
    result = {}
    for name, mapping in {
        "cdip": {"method": "cdip"},
        "cdip, coherence and background fitted": {
            "method": "cdip",
            "coherence": {"fit": True},
            "background": {"fit": True},
        },
        "guided": {"method": "guided"},
        "hio": {**HIO, "restarts": 16},
    }.items():
        runs = [reconstruct(measurement, recipe_from_mapping(mapping), seed=seed) for seed in range(seeds)]
        result[name] = agreement([run.object for run in runs])
        result[name]["r_factor"] = float(np.mean([run.run_scores["r_factor"][0] for run in runs]))
        result[name]["seconds"] = float(np.mean([run.seconds for run in runs]))
        print(name, result[name], flush=True)
    return result


def agreement(objects: list[np.ndarray]) -> dict:
    """Pairwise correlation after alignment, and energy outside the object, cut at a tenth of its modulus."""
    pairs = [align_to(a, b).correlation for i, a in enumerate(objects) for b in objects[i + 1 :]]
    outside = [energy_outside(object_) for object_ in objects]
    return {"pairwise_correlation": float(np.mean(pairs)), "energy_outside": float(np.mean(outside))}


def energy_outside(object_: np.ndarray) -> float:
    """Share of |u|^2 where the modulus, blurred by 1 px, is below a tenth of its maximum."""
    from scipy.ndimage import gaussian_filter

    modulus = gaussian_filter(np.abs(object_), 1.0)
    power = np.abs(object_) ** 2
    return float(power[modulus < 0.1 * modulus.max()].sum() / power.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    benchmarks = {
        "static": (static, 24),
        "hio": (hio_again, 0),
        "ablation": (ablation, 8),
        "speed": (speed, 3),
        "gold": (gold, 10),
    }
    parser.add_argument("what", choices=benchmarks)
    parser.add_argument("--count", type=int, help="patterns, repetitions or seeds")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each pattern")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    function, count = benchmarks[arguments.what]
    result = function(arguments.count or count, arguments.seeds)
    name = "static" if arguments.what == "hio" else arguments.what
    print(record.write(f"cdip_{name}", result, arguments.output))


if __name__ == "__main__":
    main()
