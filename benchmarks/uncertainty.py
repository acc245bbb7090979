"""Whether error bars hold the truth: simulated objects by scene, method and photons; writes the model that is shipped.

    cdipipe bench uncertainty

The regression is fitted on objects of the first seeds, its factors on those of the next, and the record judges those of
the last, which neither has seen. Each seed gives one object of each scene; methods take turns at the photons.
``--keep-model`` leaves the shipped model as it is. ``--pieces FOLDER`` keeps what is found of each object, so that an
interrupted run goes on, and a second one needs no phasing.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from common import parser_of, processor_seconds, write
from scipy import ndimage

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
SEEDS = {2: {"fit": range(100, 112), "factors": range(112, 120), "test": range(120, 128)},
         3: {"fit": range(100, 105), "factors": range(105, 109), "test": range(109, 112)}}  # fmt: skip
VOLUMES = ("polygons 3d", "bragg")
FEW = 400
"""Pixels of an object that the regression takes."""
STRUCTURED = 0.4
"""Of the structure of an error: below that it is little more than white noise, which no map can know."""


@functools.lru_cache(8)
def simulated(scene: str, photons: float, seed: int):
    import cdipipe as cdi

    return cdi.simulate(scene.split()[0], seed=seed, with_truth=True, photons=photons, **SCENES[scene])


def one(scene: str, method: str, photons: float, seed: int) -> dict:
    """Signs and errors of the pixels of one object, and the cost of its error bars in times of the phasing."""
    import cdipipe as cdi
    from cdipipe.uncertainty.choices import Choices
    from cdipipe.uncertainty.estimate import gather
    from cdipipe.uncertainty.judge import errors_of

    measurement, truth = simulated(scene, photons, seed)
    result, phased = processor_seconds(lambda: cdi.reconstruct(measurement, METHODS[method], seed=seed))
    (replicator, _, _, signs, typical), spent = processor_seconds(lambda: gather(result, measurement, Choices()))
    errors = errors_of(result.object, result.support, replicator.model.freedom, truth.object)
    errors = {kind: values if kind == "phase" else values / typical for kind, values in errors.items()}
    reach = structure(errors["complex"], result.support)
    return {"signs": signs, **errors, "cost": spent / phased, "structure": reach}


def structure(error: np.ndarray, support: np.ndarray) -> float:
    """Rank correlation of the error of each pixel and the mean one of its neighbours: what a map could know at all."""
    from cdipipe.uncertainty.judge import rank_correlation

    full = np.zeros(support.shape)
    full[support] = error
    around = np.ones((3,) * support.ndim)
    around[(1,) * support.ndim] = 0
    sums = (ndimage.convolve(one, around, mode="constant") for one in (full, support.astype(float)))
    total, count = (one[support] for one in sums)
    return rank_correlation(total / np.maximum(count, 1), error)


def collect(ndim: int, part: str, pieces: Path | None) -> dict[tuple, dict]:
    """Every object of one part of the seeds, (scene, method, photons, seed) -> what :func:`one` finds."""
    scenes = [scene for scene in SCENES if (3 if scene in VOLUMES else 2) == ndim]
    found, levels = {}, PHOTONS[ndim]
    for seed in SEEDS[ndim][part]:
        for (row, scene), (column, method) in itertools.product(enumerate(scenes), enumerate(METHODS)):
            key = (scene, method, levels[(seed + row + column) % len(levels)], seed)
            file = pieces and pieces / ("-".join(map(str, key)).replace(" ", "_") + ".npz")
            if not (file and file.exists()):
                found[key] = one(*key)
                if file:
                    np.savez(file, **found[key])
            else:
                with np.load(file) as stored:
                    found[key] = dict(stored)
        print(ndim, "axes,", part, "seed", seed, flush=True)
    return found


def pooled(found: dict):
    """A few pixels of every object, drawn at random, together."""
    from cdipipe.uncertainty.error_model import KINDS

    random = np.random.default_rng(0)
    signs, errors = [], defaultdict(list)
    for own in found.values():
        chosen = random.permutation(len(own["signs"]))[:FEW]
        signs.append(own["signs"][chosen])
        for kind in KINDS:
            errors[kind].append(own[kind][chosen])
    return np.concatenate(signs), {kind: np.concatenate(values) for kind, values in errors.items()}


def judged(model: dict, found: dict) -> dict:
    """Coverage and rank correlation of each object."""
    from cdipipe.uncertainty.error_model import KINDS, predict
    from cdipipe.uncertainty.judge import rank_correlation

    rows = {}
    for key, own in found.items():
        widths = {kind: predict(model, own["signs"], kind) for kind in KINDS}
        row = {f"coverage_90_{kind}": float(np.mean(own[kind] <= widths[kind])) for kind in KINDS}
        row["error_rank_correlation"] = rank_correlation(widths["complex"], own["complex"])
        row["width_over_error"] = float(np.median(widths["complex"]) / (np.median(own["complex"]) + 1e-6))
        rows[key] = {
            **row,
            "structure": float(own["structure"]),
            "cost": float(own["cost"]),
            "error": own["complex"].mean(),
        }
    return rows


def rank_of_all(model: dict, found: dict) -> float:
    """Rank correlation over pixels of all objects together: whether the map tells good objects from bad ones, too."""
    from cdipipe.uncertainty.error_model import predict
    from cdipipe.uncertainty.judge import rank_correlation

    signs, errors = pooled(found)
    return round(rank_correlation(predict(model, signs, "complex"), errors["complex"]), 3)


def means(rows: dict, place: int) -> dict:
    """Means over the objects by one part of their key, and the share of objects with a coverage of 85 to 95 %."""
    groups = defaultdict(list)
    for key, row in rows.items():
        groups[f"{key[place]:.0e}" if isinstance(key[place], float) else key[place]].append(row)
    return {name: summary(group) for name, group in groups.items()}


def summary(group: list[dict]) -> dict:
    found = {name: round(float(np.mean([row[name] for row in group])), 3) for name in group[0]}
    found["width_over_error"] = round(float(np.median([row["width_over_error"] for row in group])), 2)
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
    from cdipipe.uncertainty.error_model import FILE, KINDS, LEVEL, SIGNS, calibrate, fit

    parser = parser_of(__doc__)
    parser.add_argument("--keep-model", action="store_true", help="judge the shipped model, do not replace it")
    parser.add_argument("--pieces", type=Path, help="folder where what is found of each object is kept")
    arguments = parser.parse_args()
    if arguments.pieces:
        arguments.pieces.mkdir(parents=True, exist_ok=True)
    record, models = {}, json.loads(FILE.read_text())["models"] if arguments.keep_model else {}
    for ndim in SEEDS:
        if not arguments.keep_model:
            model = fit(*pooled(collect(ndim, "fit", arguments.pieces)))
            others = collect(ndim, "factors", arguments.pieces).values()
            calibrate(model, [own["signs"] for own in others], [{kind: own[kind] for kind in KINDS} for own in others])
            models[str(ndim)] = plain(model)
        tested = collect(ndim, "test", arguments.pieces)
        rows = judged(models[str(ndim)], tested)
        structured = [row for row in rows.values() if row["structure"] >= STRUCTURED]
        parts = {name: means(rows, place) for place, name in enumerate(("scene", "method", "photons"))}
        parts["scene and photons"] = means({(f"{key[0]}, {key[2]:.0e}", *key): row for key, row in rows.items()}, 0)
        record[f"{ndim} axes"] = {
            "all": summary(list(rows.values())),
            "rank_correlation_of_all_pixels": rank_of_all(models[str(ndim)], tested),
            "errors with structure": summary(structured),
            **parts,
        }
    if not arguments.keep_model:
        made = {"by": "benchmarks/uncertainty.py", "scenes": SCENES, "methods": METHODS, "photons": PHOTONS}
        made |= {
            "seeds": {str(ndim): {part: [s[0], s[-1]] for part, s in parts.items()} for ndim, parts in SEEDS.items()},
            "level": LEVEL,
            "signs": SIGNS,
        }
        FILE.write_text(json.dumps({"made": made, "models": models}) + "\n", encoding="utf-8")
    print(write("uncertainty", record, arguments.output))


if __name__ == "__main__":
    main()
