"""Resolution without a truth against that of the true FRC (FSC): simulated objects by scene, photons and method.

    cdipipe bench resolution

Beside ``cdipipe resolution`` stand what it is made of, and what is usual: halves of the counts, each phased by itself
with a support of its own, read at 0.143; and the true resolution of one more phasing, as that is partly luck. How the
estimate is made was chosen on objects of other seeds.
``--pieces FOLDER`` keeps the row of each object, so that an interrupted run goes on.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import kept, parser_of, processor_seconds, write

PHASE = {"phase_range_rad": 1.5}
SCENES = {
    "polygons, real": {"size": 64, "phase_range_rad": 0.0},
    "polygons, complex": {"size": 64, **PHASE},
    "pseudo_objects, real": {"size": 64},
    "pseudo_objects, complex": {"size": 64, **PHASE},
    "cell": {"size": 64},
    "polygons, volume": {"size": 32, "dimensions": 3, **PHASE},
    "bragg, volume": {"positions": 32, "voxels": 15, **PHASE},
}
METHODS = {
    "er": {"method": "er", "iterations": 300},
    "raar": {"method": "raar", "iterations": 300},
    "hio, 4 starts": {"method": "hio", "iterations": 300, "restarts": 4},
    "gps, 4 starts": {"method": "gps", "iterations": 300, "restarts": 4},
}
PHOTONS = {2: (1e4, 1e5, 1e6, 1e7, 1e8), 3: (1e4, 1e6, 1e8)}
SEEDS = {2: (21,), 3: (21,)}
PARTS = ("twins", "starts", "noise")
HALVES = 0.143
NEAR = 0.15
"""Relative distance to the truth's that counts as right."""


def one(scene: str, method: str, photons: float, seed: int) -> dict:
    """Curves and resolutions of one object, the latter in pixels."""
    import cdipipe as cdi
    from cdipipe.metrics.evaluate import evaluate
    from cdipipe.uncertainty.resolution import resolve

    measurement, truth = cdi.simulate(scene.split(",")[0], seed=seed, with_truth=True, photons=photons, **SCENES[scene])
    result, phased = processor_seconds(lambda: cdi.reconstruct(measurement, METHODS[method], seed=seed))
    found, spent = processor_seconds(lambda: resolve(result, measurement))
    judged = evaluate(result, measurement, truth).metrics
    row = {"true": judged["frc_resolution_px"]}
    row["verdict"] = judged["verdict"]
    row["again"] = true_again(measurement, truth, method, seed)
    row |= {name: found.curves[f"resolution_{name}"].tolist() for name in PARTS}
    return row | {"halves": _halves(measurement, METHODS[method], seed), "cost": spent / phased}


def true_again(measurement, truth, method: str, seed: int) -> float:
    """The true resolution of one more phasing, from other starts: how far the true one is a matter of luck."""
    import cdipipe as cdi

    again = cdi.reconstruct(measurement, METHODS[method], seed=seed + 5000)
    return cdi.evaluate(again, measurement, truth).metrics["frc_resolution_px"]


def resolved(row: dict) -> dict:
    """Resolutions of one object by what it is read from, in pixels."""
    from cdipipe.metrics.catalogue import FRC_THRESHOLD
    from cdipipe.metrics.fourier import resolution_px
    from cdipipe.uncertainty.resolution import combine

    curves = {name: np.asarray(row[name]) for name in PARTS}
    curves["resolution"] = combine(**curves)
    frequency = np.arange(len(curves["noise"])) / (2 * (len(curves["noise"]) - 1))
    read = {name: resolution_px(frequency, curve, FRC_THRESHOLD) for name, curve in curves.items()}
    return read | {name: row[name] for name in ("true", "again", "verdict", "halves", "cost")}


def _halves(measurement, recipe: dict, seed: int) -> float:
    """Where two halves of the counts, phased apart, fall below 0.143."""
    import cdipipe as cdi
    from cdipipe.metrics import fourier
    from cdipipe.metrics.align import lay_over
    from cdipipe.optics.forward import ForwardModel
    from cdipipe.optics.noise import thin

    first = thin(measurement.intensity, 0.5, np.random.default_rng(seed))
    halves = [first, np.maximum(measurement.intensity, 0) - first]
    one, two = (
        cdi.reconstruct(replace(measurement, intensity=half.astype(np.float32)), recipe, seed=seed + 1000 * number)
        for number, half in enumerate(halves, 1)
    )
    laid = lay_over(one.object, two.object, ForwardModel.of_measurement(measurement).freedom)
    curve = fourier.fourier_ring_correlation(one.object, laid)
    return fourier.resolution_px(fourier.ring_frequencies(laid.shape), curve, HALVES)


def keys() -> list[tuple]:
    """(scene, method, photons, seed) of every object."""
    found = []
    for ndim in SEEDS:
        scenes = [scene for scene in SCENES if (3 if "volume" in scene else 2) == ndim]
        orders = itertools.product(SEEDS[ndim], scenes, PHOTONS[ndim], METHODS)
        found += [(scene, method, photons, seed) for seed, scene, photons, method in orders]
    return found


def collect(pieces: Path | None) -> dict[tuple, dict]:
    """The row of every object, those that a folder holds from there."""
    rows = {}
    for key in keys():
        file = pieces and pieces / ("-".join(map(str, key)).replace(" ", "") + ".json")
        rows[key] = kept(file, lambda k=key: one(*k))
        print(len(rows), *key, flush=True)
    return {key: resolved(row) for key, row in rows.items()}


def summary(group: list[dict]) -> dict:
    """Median resolution, and of each estimate the median ratio to it and how often it is near."""
    found = {"objects": len(group), "true_px": round(float(np.median([row["true"] for row in group])), 2)}
    for name in ("resolution", "again", "halves", *PARTS):
        ratios = np.array([row[name] / row["true"] for row in group])
        spread = [round(float(q), 2) for q in np.quantile(ratios, (0.1, 0.5, 0.9))]
        found[name] = {"ratio_10_50_90": spread, "within_15_percent": round(float(np.mean(abs(ratios - 1) <= NEAR)), 3)}
    return found | {"cost": round(float(np.median([row["cost"] for row in group])), 2)}


def by(rows: dict, place: int) -> dict:
    """Summaries of the objects by one part of their key."""
    groups = defaultdict(list)
    for key, row in rows.items():
        groups[f"{key[place]:.0e}" if isinstance(key[place], float) else key[place]].append(row)
    return {name: summary(group) for name, group in groups.items()}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--pieces", type=Path, help="folder where the row of each object is kept")
    arguments = parser.parse_args()
    rows = collect(arguments.pieces)
    planes = {key: row for key, row in rows.items() if "volume" not in key[0]}
    parts = {name: by(rows, place) for place, name in enumerate(("scene", "method", "photons"))}
    groups = {"planes": list(planes.values()), "volumes": [row for key, row in rows.items() if key not in planes]}
    for verdict in ("plausible", "doubtful", "bad"):
        groups[f"called {verdict}"] = [row for row in rows.values() if row["verdict"] == verdict]
    record = {name: summary(group) for name, group in groups.items() if group} | parts
    print(write("resolution", record, arguments.output))


if __name__ == "__main__":
    main()
