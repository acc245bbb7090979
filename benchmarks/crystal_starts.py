"""What a trained network is worth as a start of iterations, on the crystals of a corpus.

    python benchmarks/crystal_starts.py CORPUS [--checkpoint BEST.pt] [--count 40] [--ways hio_er_best_of_5]

Each way sees the same crystals, evenly spread over the corpus; ``hio_er`` is the best of five random starts by R.
Scores are those of ``cdipipe evaluate --corpus``: shift, twin, global phase and the ramp of the peak are undone.
Seconds are those of the processor, one thread. The result becomes the part ``starts`` of benchmarks/results/INTO.json;
ways that were measured before on as many crystals stay.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from common import RESULTS, SEQUENCE, machine

import cdipipe as cdi
from cdipipe.io.corpus.read import open_corpus
from cdipipe.measurement import Measurement
from cdipipe.metrics.many import judge_object

ROUND = [{"er": {"iterations": 20}}, {"hio": {"iterations": 180}}]
END = {"er": {"iterations": 20}}


def ways(checkpoint: str | None) -> dict[str, dict]:
    """Recipes by name."""
    start = {"cdi_nn_3d": {"checkpoint": checkpoint} if checkpoint else {}}
    many = {"cdi_nn_3d": {**start["cdi_nn_3d"], "views": 8}}
    turns = {"unrolled": {"checkpoint": checkpoint} if checkpoint else {}}
    return {
        "network": {"steps": [start]},
        "network_8_views": {"steps": [many]},
        "network_er_60": {"steps": [start, {"er": {"iterations": 60}}]},
        "network_8_views_er_60": {"steps": [many, {"er": {"iterations": 60}}]},
        "network_hio_er_220": {"steps": [many, *ROUND, END]},
        "network_hio_er_620": {"steps": [many, *ROUND * 3, END]},
        "unrolled": {"steps": [turns]},
        "unrolled_er_60": {"steps": [turns, {"er": {"iterations": 60}}]},
        "hio_er_best_of_5": {"sequence": SEQUENCE, "restarts": 5},
    }


def measure(corpus, recipes: dict[str, dict], count: int) -> dict:
    """Scores and seconds of every way on ``count`` crystals."""
    wanted = set(np.linspace(0, corpus.plan.count - 1, count).round().astype(int).tolist())
    found: dict[str, list[dict]] = {name: [] for name in recipes}
    for chunk in corpus.chunks:
        arrays = corpus.read_chunk(*chunk, ("intensity", "object", "measured"))
        for place, number in enumerate(corpus.chunk_indices(*chunk)):
            if number not in wanted:
                continue
            pattern, truth, seen = (arrays[name][place] for name in ("intensity", "object", "measured"))
            measurement = Measurement(pattern, seen, "volume")
            for name, recipe in recipes.items():
                began = time.process_time()
                made = cdi.reconstruct(measurement, recipe, seed=1)
                seconds = time.process_time() - began
                scores, _ = judge_object(made.object, truth, pattern, seen)
                found[name].append({**scores, "seconds": seconds})
            print(len(found[name]), {n: round(rows[-1]["complex_correlation"], 3) for n, rows in found.items()})
    return {name: summary(rows) for name, rows in found.items()}


def summary(rows: list[dict]) -> dict:
    """Mean and standard deviation of every score; the correlations one by one."""
    keys = ("complex_correlation", "flat_correlation", "phase_error_rad", "r_factor", "seconds")
    columns = {key: np.array([row[key] for row in rows]) for key in keys}
    spread = {key: {"mean": rounded(c.mean()), "std": rounded(c.std())} for key, c in columns.items()}
    return {**spread, "correlations": [rounded(value) for value in columns["complex_correlation"]]}


def rounded(value: float) -> float:
    return float(f"{value:.4g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--checkpoint", help="not given: the weights of the package")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument(
        "--ways", nargs="+", help="not given: all; a checkpoint is of one network, so name those that use it"
    )
    parser.add_argument("--into", default="cdi_nn_3d_strong")
    given = parser.parse_args()
    recipes = ways(given.checkpoint)
    chosen = {name: recipes[name] for name in given.ways or recipes}
    found = measure(open_corpus(given.corpus), chosen, given.count)
    path = RESULTS / f"{given.into}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    before = record.get("starts", {})
    if before.get("count") == given.count:
        found = before["ways"] | found
    record["starts"] = {"machine": machine(), "count": given.count, "ways": found}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
