"""The guided population against plain restarts, on patterns that none of them was tuned on.

    python benchmarks/guided.py polygons   128^2, weak and strong phase, 1e4 to 1e6 photons; correlation with truth
    python benchmarks/guided.py beamstop   the same with a masked centre
    python benchmarks/guided.py gold       frames and volume of the measured gold crystal (needs CDIPIPE_DATA_DIR)

All choose among their runs without the truth. Seconds are processor time of one thread. Results go to
benchmarks/results/guided_NAME.json.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import record

from cdipipe.measurement import Measurement
from cdipipe.metrics.align import align_to
from cdipipe.metrics.statistics import repeatability
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

METHODS = {
    "guided": {"method": "guided"},
    "hio_best_of_8": {"method": "hio", "restarts": 8},
    "raar_best_of_8": {"method": "raar", "restarts": 8},
    "hio_same_time": {"method": "hio", "restarts": 48},
}
CELLS = [(span, photons) for span in (1.0, 5.5) for photons in (1e4, 1e5, 1e6)]
FIRST_OBJECT = 5000
SEEDS = 3


def polygon(seed, **settings):
    """Measurement and truth of one polygon; the seed decides object and noise."""
    scene = get_scene("polygons")
    return simulate(scene, validate(scene.parameters, settings, "polygons"), seed)


def _rows(methods, count, **settings) -> list[dict]:
    """One row per pattern and seed; every pattern is another object."""
    rows, objects = [], iter(range(FIRST_OBJECT, 10**9))
    for span, photons in CELLS:
        for _ in range(count):
            object_seed = next(objects)
            measurement, truth = polygon(object_seed, size=128, photons=photons, phase_range_rad=span, **settings)
            for seed in range(SEEDS):
                row = {"phase_range_rad": span, "photons": photons, "object": object_seed, "seed": seed}
                for name, mapping in methods.items():
                    began = time.process_time()
                    result = reconstruct(measurement, recipe_from_mapping(mapping), seed=seed)
                    row[f"{name}_seconds"] = time.process_time() - began
                    row[name] = align_to(truth.object, result.object).correlation
                rows.append(row)
        last = rows[-count * SEEDS :]
        print(span, photons, {name: round(np.mean([row[name] for row in last]), 4) for name in methods}, flush=True)
    return rows


def _summary(rows, methods) -> dict:
    def of(part, name):
        values = np.array([row[name] for row in part])
        return {
            "mean": float(values.mean()),
            "least": float(values.min()),
            "share_above_0.95": float((values > 0.95).mean()),
            "seconds": float(np.mean([row[f"{name}_seconds"] for row in part])),
        }

    cells = {
        f"{span:g} rad, {photons:g} photons": {
            name: of([r for r in rows if (r["phase_range_rad"], r["photons"]) == (span, photons)], name)
            for name in methods
        }
        for span, photons in CELLS
    }
    return {"all": {name: of(rows, name) for name in methods}, **cells}


def polygons(count: int) -> dict:
    """``count`` patterns per cell, 3 seeds each."""
    rows = _rows(METHODS, count)
    return {"summary": _summary(rows, METHODS), "patterns": count * len(CELLS), "seeds": SEEDS, "rows": rows}


def beamstop(count: int) -> dict:
    """The same with a masked disc of 4 pixels radius: no crop is possible."""
    methods = {name: METHODS[name] for name in ("guided", "hio_best_of_8", "raar_best_of_8")}
    rows = _rows(methods, count, beamstop_px=4.0)
    return {"summary": _summary(rows, methods), "patterns": count * len(CELLS), "seeds": SEEDS, "rows": rows}


def crystal() -> np.ndarray:
    """Counts of the measured crystal, (96, 128, 128); single counts are background."""
    folder = Path(os.environ["CDIPIPE_DATA_DIR"]) / "aps34idc_bcdi_S54"
    with np.load(folder / "S54_crop_96x128x128_int32.npz") as file:
        counts = file[file.files[0]].astype(np.float32)
    counts[counts < 2] = 0
    return counts


def gold(count: int) -> dict:
    """Central frame and volume: R-factor, Poisson likelihood and agreement of independent repetitions."""
    counts = crystal()
    frame = counts[np.argmax(counts.sum((1, 2)))]
    result = {}
    for label, measurement, repetitions in (
        ("frame", Measurement(frame, np.ones(frame.shape, bool)), count),
        ("volume", Measurement(counts, np.ones(counts.shape, bool), "volume"), 2),
    ):
        settings = {"populations": 1, "starts": 6, "iterations": 250, "generations": 2} if label == "volume" else {}
        for name, mapping in {
            "guided": {"method": "guided", "restarts": repetitions, **settings},
            "hio": {"method": "hio", "restarts": 8 * repetitions if label == "frame" else 8},
            "raar": {"method": "raar", "restarts": 8 * repetitions if label == "frame" else 8},
        }.items():
            began = time.process_time()
            ours = reconstruct(measurement, recipe_from_mapping(mapping), seed=0, keep_runs=True)
            best = ours.runs[:repetitions]
            result[f"{label}_{name}"] = {
                "r_factor_best": float(ours.run_scores["r_factor"][0]),
                "r_factor_median": float(np.median(ours.run_scores["r_factor"][:repetitions])),
                "poisson_nll_best": float(ours.run_scores["poisson_nll"].min()),
                "repeatability_of_all": repeatability(ours.runs),
                "repeatability_of_best": repeatability(best),
                "runs": len(ours.runs),
                "seconds": time.process_time() - began,
                **({"settings": settings} if name == "guided" else {}),
            }
            print(label, name, result[f"{label}_{name}"], flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    benchmarks = {"polygons": (polygons, 4), "beamstop": (beamstop, 2), "gold": (gold, 8)}
    parser.add_argument("what", choices=benchmarks)
    parser.add_argument("--count", type=int, help="patterns per cell, or repetitions")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    function, count = benchmarks[arguments.what]
    result = function(arguments.count or count)
    print(record.write(f"guided_{arguments.what}", result, arguments.output))


if __name__ == "__main__":
    main()
