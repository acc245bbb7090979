"""Tuned settings against the defaults on simulated patterns of four kinds; the truth is only compared with afterwards.

    cdipipe bench tuning
    python benchmarks/tuning.py [--work FOLDER] [-o FILE]

Every pattern is tuned by `cdipipe.tuning.tune.tune` with the same budget, and phased with its default and with its
tuned recipe, from the seed that was tuned for; and with the default recipe and as many starts as the whole search took.
What is done is kept in the work folder, so that a run that was stopped goes on.
"""

from __future__ import annotations

import itertools
import json
import statistics
import time
from pathlib import Path

import torch
from common import ROOT, kept, parser_of, write

import cdipipe as cdi

KINDS = {
    "real, 3e4 photons": {"photons": 3e4, "phase_range_rad": 0.0},
    "strong phase, 1e6 photons": {"photons": 1e6, "phase_range_rad": 6.0},
    "beam stop, 1e6 photons": {"photons": 1e6, "phase_range_rad": 2.0, "beamstop_px": 2},
    "low dose, 5e3 photons": {"photons": 5e3, "phase_range_rad": 2.0},
}
"""Polygons on 64 x 64 pixels."""
SEEDS = range(1, 7)
RECIPES = {
    "400 iterations": {"method": "hio", "restarts": 4},
    "150 iterations": {"method": "hio", "iterations": 150, "restarts": 4},
}
"""As it comes, and cut short."""
BUDGET, SEED = 90, 1
WORST_LOSS = 0.005


def one(recipe: dict, kind: str, number: int, journal: Path) -> dict:
    """A pattern tuned; phased both ways, and with all the starts of a search, of which the likeliest is kept."""
    from cdipipe.tuning.choices import TuneChoices
    from cdipipe.tuning.tune import tune

    measurement, truth = cdi.simulate("polygons", size=64, seed=number, with_truth=True, **KINDS[kind])
    began = time.process_time()
    found = tune(measurement, recipe, TuneChoices(budget=BUDGET), journal, seed=SEED)
    row = {"processor_s": time.process_time() - began, "settings": found.settings}
    same_work = {**recipe, "restarts": recipe["restarts"] * BUDGET}
    for name, used in (("default", recipe), ("tuned", found.recipe), ("same_work", same_work)):
        result = cdi.reconstruct(measurement, used, seed=SEED)
        row[name] = cdi.evaluate(result, measurement, truth).metrics["complex_correlation"]
    row["meetings"] = [
        {name: getattr(met, name) for name in ("gain", "error", "result_gain", "result_error", "unexplained_ratio")}
        for met in found.meetings
    ]
    return row


def summary(rows: list[dict]) -> dict:
    """Medians, and the changes by tuning."""
    changes = [row["tuned"] - row["default"] for row in rows]
    return {
        "patterns": len(rows),
        "tuned": sum(bool(row["settings"]) for row in rows),
        "median_default": statistics.median(row["default"] for row in rows),
        "median_tuned": statistics.median(row["tuned"] for row in rows),
        "median_same_work": statistics.median(row["same_work"] for row in rows),
        "mean_change": statistics.mean(changes),
        "largest_gain": max(changes),
        "largest_loss": max(0.0, -min(changes)),
        "lost_more_than_0.005": sum(change < -WORST_LOSS for change in changes),
        "processor_s": statistics.median(row["processor_s"] for row in rows),
    }


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "results" / "bench_tuning", help="folder of what is done")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: measure(recipe, arguments.work / name.split()[0]) for name, recipe in RECIPES.items()}
    for name, part in found.items():
        print(name, json.dumps(part["all"], indent=1))
    record = {"recipes": RECIPES, "budget": BUDGET, "seed": SEED, **found}
    print(write("tuning", record, arguments.output))


def measure(recipe: dict, work: Path) -> dict:
    """All patterns of all kinds by one recipe; what is done lies in the work folder."""
    work.mkdir(parents=True, exist_ok=True)
    rows: dict[str, dict] = {kind: {} for kind in KINDS}
    for number, (place, kind) in itertools.product(SEEDS, enumerate(KINDS)):
        done = work / f"{place}_{number}.json"
        row = rows[kind][str(number)] = kept(
            done, lambda k=kind, n=number, journal=done.with_suffix(".trials"): one(recipe, k, n, journal)
        )
        print(f"{kind} {number}: {row['default']:.4f} -> {row['tuned']:.4f}, {row['processor_s']:.0f} s", flush=True)
    every = [row for found in rows.values() for row in found.values()]
    kinds = {kind: summary(list(found.values())) for kind, found in rows.items()}
    return {"all": summary(every), "kinds": kinds, "rows": rows}


if __name__ == "__main__":
    main()
