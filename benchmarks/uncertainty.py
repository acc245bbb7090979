"""Whether error bars hold the truth: simulated objects by scene, method and photons; writes the model that is shipped.

    cdipipe bench uncertainty

The regression is fitted on objects of the first seeds, its factors on those of the next, and the record judges those of
the last, which neither has seen. ``--keep-model`` leaves the shipped model as it is.
"""

from __future__ import annotations

import functools
import itertools
import json
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from common import parser_of, write

SCENES = {
    "polygons": {"size": 64},
    "pseudo_objects": {"size": 64, "phase_range_rad": 1.5},
    "cell": {"size": 64, "amplitude_ratio": 3.0},
    "static_region": {"size": 64, "phase_range_rad": 1.5, "amplitude_ratio": 3.0},
    "polygons 3d": {"size": 32, "dimensions": 3},
    "bragg": {"positions": 32, "voxels": 15, "phase_range_rad": 1.5},
}
METHODS = {
    "er": {"method": "er", "iterations": 300},
    "hio": {"method": "hio", "iterations": 300},
    "raar": {"method": "raar", "iterations": 300},
    "dm": {"method": "dm", "iterations": 300},
    "gps": {"method": "gps", "iterations": 300},
    "hio, 4 starts": {"method": "hio", "iterations": 300, "restarts": 4},
}
PHOTONS = {2: (1e4, 1e5, 1e6, 1e7, 1e8), 3: (1e4, 1e6, 1e8)}
SEEDS = {2: {"fit": (1, 2, 3, 4), "factors": (11, 12, 13, 14), "test": (21, 22, 23)},
         3: {"fit": (1,), "factors": (2,), "test": (11, 12)}}  # fmt: skip
VOLUMES = ("polygons 3d", "bragg")
FEW = 400
"""Pixels of an object that the regression takes."""


@functools.lru_cache(2)
def simulated(scene: str, photons: float, seed: int):
    import cdipipe as cdi

    return cdi.simulate(scene.split()[0], seed=seed, with_truth=True, photons=photons, **SCENES[scene])


def one(scene: str, method: str, photons: float, seed: int):
    """Signs and errors of the pixels of one object, and the cost of its error bars in times of the phasing."""
    import cdipipe as cdi
    from cdipipe.uncertainty.estimate import Choices, errors_of, gather

    measurement, truth = simulated(scene, photons, seed)
    began = time.process_time()
    result = cdi.reconstruct(measurement, METHODS[method], seed=seed)
    phased = time.process_time()
    replicator, _, _, signs, typical = gather(result, measurement, Choices())
    cost = (time.process_time() - phased) / (phased - began)
    errors = errors_of(result.object, result.support, replicator.model.freedom, truth.object)
    errors = {kind: values if kind == "phase" else values / typical for kind, values in errors.items()}
    return signs, errors, cost


def collect(ndim: int, part: str) -> dict[tuple, tuple]:
    """Every object of one part of the seeds, (scene, method, photons, seed) -> signs, errors, cost."""
    scenes = [scene for scene in SCENES if (3 if scene in VOLUMES else 2) == ndim]
    orders = itertools.product(scenes, PHOTONS[ndim], SEEDS[ndim][part], METHODS)
    keys = [(scene, method, photons, seed) for scene, photons, seed, method in orders]
    with ProcessPoolExecutor(2) as pool:
        return dict(zip(keys, pool.map(one, *zip(*keys, strict=True), chunksize=len(METHODS)), strict=True))


def pooled(found: dict):
    """A few pixels of every object, drawn at random, together."""
    random = np.random.default_rng(0)
    signs, errors = [], defaultdict(list)
    for own, own_errors, _ in found.values():
        chosen = random.permutation(len(own))[:FEW]
        signs.append(own[chosen])
        for kind, values in own_errors.items():
            errors[kind].append(values[chosen])
    return np.concatenate(signs), {kind: np.concatenate(values) for kind, values in errors.items()}


def judged(model: dict, found: dict) -> dict:
    """Coverage and rank correlation of each object."""
    from cdipipe.uncertainty.error_model import KINDS, predict
    from cdipipe.uncertainty.estimate import rank_correlation

    rows = {}
    for key, (signs, errors, cost) in found.items():
        widths = {kind: predict(model, signs, kind) for kind in KINDS}
        row = {f"coverage_90_{kind}": float(np.mean(errors[kind] <= widths[kind])) for kind in KINDS}
        row["error_rank_correlation"] = rank_correlation(widths["complex"], errors["complex"])
        rows[key] = {**row, "cost": cost, "error": float(errors["complex"].mean())}
    return rows


def means(rows: dict, place: int) -> dict:
    """Means over the objects by one part of their key, and the share of objects with a coverage of 85 to 95 %."""
    groups = defaultdict(list)
    for key, row in rows.items():
        groups[f"{key[place]:.0e}" if isinstance(key[place], float) else key[place]].append(row)
    return {name: summary(group) for name, group in groups.items()}


def summary(group: list[dict]) -> dict:
    found = {name: round(float(np.mean([row[name] for row in group])), 3) for name in group[0]}
    shares = [row["coverage_90_complex"] for row in group]
    spread = [round(float(q), 3) for q in np.quantile(shares, (0.1, 0.5, 0.9))]
    return {"objects": len(group), **found, "coverage_of_objects_10_50_90": spread}


def plain(model: dict) -> dict:
    """The model as plain data of five digits."""

    def short(values):
        return [float(f"{value:.5g}") for value in np.ravel(values)]

    kinds = {kind: {"coefficients": short(own["coefficients"]), "factors": short(own["factors"])}
             for kind, own in model["kinds"].items()}  # fmt: skip
    return {**{name: short(model[name]) for name in ("lowest", "highest", "mean", "std", "edges")}, "kinds": kinds}


def main() -> None:
    from cdipipe.uncertainty.error_model import FILE, LEVEL, SIGNS, calibrate, fit

    parser = parser_of(__doc__)
    parser.add_argument("--keep-model", action="store_true", help="judge the shipped model, do not replace it")
    arguments = parser.parse_args()
    record, models = {}, json.loads(FILE.read_text())["models"] if arguments.keep_model else {}
    for ndim in SEEDS:
        if not arguments.keep_model:
            model = fit(*pooled(collect(ndim, "fit")))
            others = collect(ndim, "factors").values()
            calibrate(model, [signs for signs, _, _ in others], [errors for _, errors, _ in others])
            models[str(ndim)] = plain(model)
        rows = judged(models[str(ndim)], collect(ndim, "test"))
        parts = {name: means(rows, place) for place, name in enumerate(("scene", "method", "photons"))}
        parts["scene and photons"] = means({(f"{key[0]}, {key[2]:.0e}", *key): row for key, row in rows.items()}, 0)
        record[f"{ndim} axes"] = {"all": summary(list(rows.values())), **parts}
    if not arguments.keep_model:
        made = {"by": "benchmarks/uncertainty.py", "scenes": SCENES, "methods": METHODS, "photons": PHOTONS}
        made |= {"seeds": {str(ndim): parts for ndim, parts in SEEDS.items()}, "level": LEVEL, "signs": SIGNS}
        FILE.write_text(json.dumps({"made": made, "models": models}) + "\n", encoding="utf-8")
    print(write("uncertainty", record, arguments.output))


if __name__ == "__main__":
    main()
