"""The method that chooses by itself against all others: the measurements of config/shootout.yaml, at scale laptop.

    python benchmarks/auto.py [--pieces FOLDER] [--seed-offset N] [--only PATTERN] [-o FILE]

What the others find is taken from the record of that study (study_shootout_laptop.json); the same measurements are
phased here by `auto`, and by the best other method of each for its processor time. With --pieces a run that was
stopped goes on where it was. Another offset of the seeds makes measurements for working on the choice: of them no
others are known. Results go to auto.json.
"""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path

import numpy as np
import torch
from common import ROOT, kept, parser_of, processor_seconds, read, write

import cdipipe as cdi
from cdipipe.study.config import Config, load_config
from cdipipe.study.rankings import rank_table
from cdipipe.study.tables import Table

METRICS = ("field_phase_correlation", "complex_correlation")
SHOOTOUT = ROOT / "config" / "shootout.yaml"
SEED = 1
"""Of the phasing, as in the study."""
QUICK_S = 2.0
"""Runs that are shorter are timed again, when all that they load is loaded."""


def others() -> dict[str, dict[str, float]]:
    """Correlations of all other methods, by measurement."""
    tables = read("study_shootout_laptop")["tables"]
    rows = next(rows for name, rows in tables.items() if name.startswith("by_correlation"))
    found: dict[str, dict[str, float]] = {}
    for method, columns in rows.items():
        for heading, cell in columns.items():
            if method not in ("auto", "area_scan") and cell.get("mean") is not None:
                found.setdefault(heading.replace(" ", "_"), {})[method] = cell["mean"]
    return found


def measure(study: Config, name: str, method: str, offset: int) -> dict:
    """Correlation with the truth and processor seconds of one method of the study; of `auto` what it chose."""
    entry, recipe = study.measurements[name], study.recipe_on(name, method)
    measurement, truth = cdi.simulate(entry.scene, seed=entry.seed + offset, with_truth=True, **entry.set)
    found, seconds = processor_seconds(lambda: cdi.reconstruct(measurement, recipe, seed=SEED))
    if seconds < QUICK_S:
        found, seconds = processor_seconds(lambda: cdi.reconstruct(measurement, recipe, seed=SEED))
    metrics = cdi.evaluate(found, measurement, truth).metrics
    row = {"correlation": next(metrics[name] for name in METRICS if name in metrics), "processor_s": seconds}
    told = found.choice or {}
    row |= {name: told[name] for name in ("chosen", "because", "closing") if name in told}
    print(method, row, flush=True)
    return row


def bound(study: Config, name: str) -> dict[str, float]:
    """What iterations reach from the true support, which nobody has: correlations with the truth, by method."""
    entry = study.measurements[name]
    measurement, truth = cdi.simulate(entry.scene, seed=entry.seed, with_truth=True, **entry.set)
    found, still = {}, {"restarts": study.restarts, "shrink_wrap": {"every": 0}}
    for method in ("raar", "hio", "gps"):
        result = cdi.reconstruct(measurement, {"method": method, **still}, seed=SEED, support=truth.support)
        found[method] = cdi.evaluate(result, measurement, truth).metrics["complex_correlation"]
    return found


def summary(rows: dict[str, dict], known: dict[str, dict[str, float]]) -> dict:
    """How far `auto` is behind the best of each measurement, what it costs, and its mean place among all."""
    behind = {name: row["best_correlation"] - row["auto"]["correlation"] for name, row in rows.items()}
    timed = {name: row for name, row in rows.items() if "best_other" in row}
    ratio = {name: row["auto"]["processor_s"] / row["best_other"]["processor_s"] for name, row in timed.items()}
    methods = ["auto", *sorted({method for name in rows for method in known[name]})]
    found = {name: known[name] | {"auto": row["auto"]["correlation"]} for name, row in rows.items()}
    values = np.array([[found[name].get(method, np.nan) for name in rows] for method in methods])
    nothing = np.zeros_like(values)
    ranking = rank_table(Table("complex_correlation", "", methods, list(rows), values, nothing, nothing, 0))
    places = zip(ranking.rows, ranking.mean, ranking.spread, ranking.count, strict=True)
    times = {
        "measurements": len(ratio),
        "median": float(np.median(list(ratio.values()))),
        "most": max(ratio.values()),
        "at_most_twice": sum(value <= 2 for value in ratio.values()),
        "all_together": sum(row["auto"]["processor_s"] for row in timed.values())
        / sum(row["best_other"]["processor_s"] for row in timed.values()),
        "of_each": ratio,
    } if timed else {}  # fmt: skip
    return {
        "measurements": len(rows),
        "at_most_0.01_behind": sum(value <= 0.01 for value in behind.values()),
        "behind_the_best": {"median": float(np.median(list(behind.values()))), "of_each": behind},
        "processor_s_over_that_of_the_best": times,
        "mean_place": {row: {"mean": mean, "std": std, "of": int(n)} for row, mean, std, n in places},
    }


def main() -> None:
    """All measurements: `auto` of each, then the best other method of each; what is kept from before is left out."""
    parser = parser_of(__doc__)
    parser.add_argument("--pieces", type=Path, help="folder in which every result is kept as it is done")
    parser.add_argument("--collect", action="store_true", help="measure nothing; take what the pieces hold")
    parser.add_argument("--seed-offset", type=int, default=0, help="added to the seed of every measurement")
    parser.add_argument("--only", default="*", help="measurements of this name, with stars")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    study, known, offset = load_config(str(SHOOTOUT)), others(), arguments.seed_offset
    names, load = fnmatch.filter(study.measurements, arguments.only), os.getloadavg()
    best = {name: max(known[name], key=lambda method: known[name][method]) for name in names}
    rows: dict[str, dict] = {}

    def piece(name: str) -> Path | None:
        return None if arguments.pieces is None else arguments.pieces / f"{name}.json"

    if arguments.collect:
        names = [name for name in names if piece(f"auto_{name}_{offset}").exists()]
    for name in names:
        found = kept(piece(f"auto_{name}_{offset}"), lambda n=name: measure(study, n, "auto", offset))
        rows[name] = {"auto": found}
        if not offset:
            rows[name] |= {"best": best[name], "best_correlation": known[name][best[name]]}
    for name in [] if offset else names:
        other = best[name]
        if arguments.collect and not piece(f"{other}_{name}").exists():
            continue
        found = kept(piece(f"{other}_{name}"), lambda n=name, m=other: measure(study, n, m, 0))
        rows[name]["best_other"] = found
    told: dict = {} if offset else {"summary": summary(rows, known)}
    told["from_the_true_support"] = {
        name: kept(piece(f"bound_{name}"), lambda n=name: bound(study, n))
        for name in fnmatch.filter(names, "volume_*_masked")
    }
    print(write("auto", {"load_before": load, "seed_offset": offset, "seed": SEED, **told, "measurements": rows},
                arguments.output))  # fmt: skip


if __name__ == "__main__":
    main()
