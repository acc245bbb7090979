"""`auto` on whole volumes of compact objects, as it is and without its first try of the unrolled network.

    python benchmarks/auto_volumes.py CORPUS [--crystals 7 12 20] [--gold S54.cxi] [--pieces FOLDER]

CORPUS holds the unseen crystals of the network `crystal_support_net` (config/studies/weights.yaml). Scores are those of
``cdipipe evaluate --corpus``; seconds are those of the processor, one thread. Results go to auto_volumes.json.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from common import kept, processor_seconds, write

import cdipipe as cdi
from cdipipe.io.corpus.read import open_corpus
from cdipipe.measurement import Measurement
from cdipipe.methods.auto import choose
from cdipipe.metrics.many import judge_object

POLYHEDRON = {"size": 64, "dimensions": 3, "object_size": 16, "photons": 1e7}
SEED = 1
"""Of the phasing."""
WAYS = ("auto", "auto_without_unrolled")


def measure(measurement: Measurement, truth, way: str) -> dict:
    """Scores and seconds, and what the race tells."""
    route_for = choose.route_for
    if way != "auto":
        choose.route_for = lambda look: replace(route_for(look), first={})
    try:
        found, seconds = processor_seconds(lambda: cdi.reconstruct(measurement, "auto", seed=SEED))
    finally:
        choose.route_for = route_for
    row = {"s": round(seconds, 2), "support": int(found.support.sum())}
    if truth is None:
        row["r"] = round(float(cdi.evaluate(found, measurement).metrics["r_factor"]), 4)
    else:
        scores, _ = judge_object(found.object, truth, measurement.intensity, measurement.measured)
        row |= {"correlation": round(float(scores["complex_correlation"]), 4), "r": round(float(scores["r_factor"]), 4)}
    told = found.choice
    race = [{name: lap[name] for name in ("name", "free_nll", "over_noise", "agreement")} for lap in told["race"]]
    row |= {"chosen": told["chosen"], "closing": told.get("closing"), "race": race}
    print(way, row, flush=True)
    return row


def crystals(folder: str, numbers: list[int]):
    """Name, measurement and object of some of a corpus."""
    corpus = open_corpus(folder)
    for chunk in corpus.chunks:
        arrays = None
        for place, number in enumerate(corpus.chunk_indices(*chunk)):
            if number in numbers:
                arrays = arrays or corpus.read_chunk(*chunk, ("intensity", "object", "measured"))
                pattern, truth, seen = (arrays[name][place] for name in ("intensity", "object", "measured"))
                yield f"unseen crystal {number}", Measurement(pattern, seen, "volume"), truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--crystals", type=int, nargs="*", default=[7, 12, 20])
    parser.add_argument("--polyhedra", type=int, nargs="*", default=[403], help="seeds")
    parser.add_argument("--gold", type=Path, help="measured crystal, .cxi")
    parser.add_argument("--pieces", type=Path, help="folder in which every result is kept as it is done")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    volumes = list(crystals(given.corpus, given.crystals))
    for seed in given.polyhedra:
        measurement, truth = cdi.simulate("polygons", seed=seed, with_truth=True, **POLYHEDRON)
        volumes.append((f"polyhedron of 16 voxels, seed {seed}", measurement, truth.object))
    if given.gold:
        volumes.append(("S54", cdi.load(given.gold), None))
    rows: dict[str, dict] = {}
    for name, measurement, truth in volumes:
        for way in WAYS:
            piece = given.pieces and given.pieces / f"{way}_{name.replace(' ', '_')}.json"
            rows.setdefault(name, {})[way] = kept(piece, lambda m=measurement, t=truth, w=way: measure(m, t, w))
    print(write("auto_volumes", {"seed": SEED, "rows": rows}, given.output))


if __name__ == "__main__":
    main()
