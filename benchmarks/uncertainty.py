"""Whether error bars hold the truth: simulated objects by scene, method and photons; writes the model that is shipped.

    cdipipe bench uncertainty
    cdipipe bench uncertainty networks
    cdipipe bench uncertainty unrolled

The seeds are divided into folds. Every object is judged by a model that was made without its fold: a regression on the
other folds, and factors from objects of each of these that were predicted by a regression on the rest. The model that
is shipped is made in the same way from all folds. Objects of each scene are judged by a model that was made without
this scene, too. Each seed gives one object of each scene; methods take turns at the photons.
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
FAINT = {"coherence_px": 70.71, "coherence_spread": 0.1, "read_noise_photons": 0.42466}
IRREGULAR = {
    "random_rectangle": True,
    "rectangle_half_sides_px": [2, 8],
    "rectangle_offset_px": [-2, 2],
    "irregular": "strokes",
}
"""Detector and mask of config/studies/unrolled.yaml, its photons below: those of the DPR paper."""
NETWORK_SCENES = {
    "polygons 0.8 pi": {"size": 32, "phase_range_rad": 0.8 * np.pi},
    "polygons 2 pi": {"size": 32, "phase_range_rad": 2 * np.pi},
    "pseudo_objects irregular": {"size": 128, "detector": FAINT | {"mask": IRREGULAR}},
    "pseudo_objects central": {"size": 128, "detector": FAINT | {"mask": {"central_square_px": 4}}},
    "polygons 12 voxels": {"size": 32, "dimensions": 3, "object_size": 12},
    "bragg 15 voxels": SCENES["bragg"],
}
SCENES_OF = {
    **dict.fromkeys(("cdi_nn", "cdi_nn refined"), ("polygons 0.8 pi", "polygons 2 pi")),
    "unrolled": ("pseudo_objects irregular", "pseudo_objects central"),
    "unrolled volumes": ("polygons 12 voxels", "bragg 15 voxels"),
}
NETWORK_METHODS = {
    "cdi_nn": {"cdi_nn": {"method": "cdi_nn"}, "cdi_nn, 8 views": {"method": "cdi_nn", "views": 8}},
    "cdi_nn refined": {
        "cdi_nn, refined": {"method": "cdi_nn", "refine": 75},
        "cdi_nn, 8 views, refined": {"method": "cdi_nn", "views": 8, "refine": 75},
    },
    "unrolled": {"unrolled": {"method": "unrolled"}},
    "unrolled volumes": {"unrolled": {"method": "unrolled"}},
}
METHODS = {
    "er": {"method": "er", "iterations": 300},
    "hio": {"method": "hio", "iterations": 300},
    "raar": {"method": "raar", "iterations": 300},
    "dm": {"method": "dm", "iterations": 300},
    "gps": {"method": "gps", "iterations": 300},
    "hio, 4 starts": {"method": "hio", "iterations": 300, "restarts": 4},
}
ALL_METHODS = METHODS | {name: recipe for own in NETWORK_METHODS.values() for name, recipe in own.items()}
PHOTONS = {"2": (1e4, 1e5, 1e6, 1e7, 1e8), "3": (1e4, 1e6, 1e8), "cdi_nn": (1e4, 1e5, 1e6, 1e7)}
PHOTONS |= {"cdi_nn refined": PHOTONS["cdi_nn"], "unrolled": (6.25e4, 2e5, 6.25e5), "unrolled volumes": (1e5, 1e6, 1e7)}
SEEDS = {"2": range(100, 128), "3": (*range(100, 106), *range(109, 112)), "cdi_nn": range(100, 140)}
SEEDS |= {"cdi_nn refined": range(100, 128), "unrolled": range(100, 124), "unrolled volumes": range(100, 121)}
RECORDS = {
    "iterations": ("uncertainty", ("2", "3")),
    "networks": ("uncertainty_networks", ("cdi_nn", "cdi_nn refined")),
    "unrolled": ("uncertainty_unrolled", ("unrolled", "unrolled volumes")),
}
"""Of each part its record and its models, see ``error_model.kind_of``."""
FOLDS = 4
"""Groups of seeds: each is judged by a model of the others."""
VOLUMES = ("polygons 3d", "bragg")
FEW = 150
"""Pixels of an object that the regression takes."""
MOST = 1500
"""Pixels of an object that are judged."""
STRUCTURED = 0.4
"""Of the structure of an error: below that it is little more than white noise, which no map can know."""


@functools.lru_cache(8)
def simulated(scene: str, photons: float, seed: int):
    import cdipipe as cdi

    chosen = (SCENES | NETWORK_SCENES)[scene]
    return cdi.simulate(scene.split()[0], seed=seed, with_truth=True, photons=photons, **chosen)


def one(scene: str, method: str, photons: float, seed: int) -> dict:
    """Signs and errors of the pixels of one object, and the cost of its error bars in times of the phasing."""
    import cdipipe as cdi
    from cdipipe.uncertainty.choices import Choices
    from cdipipe.uncertainty.estimate import gather
    from cdipipe.uncertainty.judge import errors_of

    measurement, truth = simulated(scene, photons, seed)
    recipe = ALL_METHODS[method]
    result, phased = processor_seconds(lambda: cdi.reconstruct(measurement, recipe, seed=seed))
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


def collect(kind: str, pieces: Path | None) -> dict[tuple, dict]:
    """Every object, (scene, method, photons, seed) -> what :func:`one` finds."""
    scenes, methods = [scene for scene in SCENES if ("3" if scene in VOLUMES else "2") == kind], METHODS
    if not kind.isdigit():
        scenes, methods = SCENES_OF[kind], NETWORK_METHODS[kind]
    found, levels = {}, PHOTONS[kind]
    for seed in SEEDS[kind]:
        for (row, scene), (column, method) in itertools.product(enumerate(scenes), enumerate(methods)):
            key = (scene, method, levels[(seed + row + column) % len(levels)], seed)
            file = pieces and pieces / ("-".join(map(str, key)).replace(" ", "_") + ".npz")
            if not (file and file.exists()):
                found[key] = one(*key)
                if file:
                    np.savez(file, **found[key])
            else:
                with np.load(file) as stored:
                    found[key] = dict(stored)
        print(kind, "seed", seed, flush=True)
    return {key: few_of(own) for key, own in found.items()}


def few_of(own: dict) -> dict:
    """What is known of one object, of at most so many pixels, drawn at random."""
    chosen = np.random.default_rng(0).permutation(len(own["signs"]))[:MOST]
    return {name: values[chosen] if np.ndim(values) else values for name, values in own.items()}


def pooled(found: dict):
    """A few pixels of every object, drawn at random, together: signs, errors, and the number of the object."""
    from cdipipe.uncertainty.error_model import KINDS

    random = np.random.default_rng(0)
    signs, errors, objects = [], defaultdict(list), []
    for number, own in enumerate(found.values()):
        chosen = random.permutation(len(own["signs"]))[:FEW]
        signs.append(own["signs"][chosen])
        objects.append(np.full(len(chosen), number))
        for kind in KINDS:
            errors[kind].append(own[kind][chosen])
    return (
        np.concatenate(signs),
        {kind: np.concatenate(values) for kind, values in errors.items()},
        np.concatenate(objects),
    )


def models_of(found: dict, apart: bool = True) -> dict[int | None, dict]:
    """Models by the fold that they have not seen; under None that of all folds, and no other unless ``apart``."""
    from cdipipe.uncertainty.error_model import calibrate, fit, ratios_of

    @functools.cache
    def without(folds: frozenset[int]) -> dict:
        return fit(*pooled({key: own for key, own in found.items() if key[3] % FOLDS not in folds}))

    models = {}
    for left in (None, *range(FOLDS)) if apart else (None,):
        out = frozenset({left} - {None})
        seen = {key: own for key, own in found.items() if key[3] % FOLDS not in out}
        ratios = [ratios_of(without(out | {key[3] % FOLDS}), own["signs"], own) for key, own in seen.items()]
        model = without(out)
        model = {**model, "kinds": {kind: dict(own) for kind, own in model["kinds"].items()}}
        calibrate(model, [own["signs"] for own in seen.values()], ratios)
        models[left] = plain(model)
    return models


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


def rank_of_all(models: dict, found: dict) -> float:
    """Rank correlation over pixels of all objects together: whether the map tells good objects from bad ones, too."""
    from cdipipe.uncertainty.error_model import predict
    from cdipipe.uncertainty.judge import rank_correlation

    widths, errors = [], []
    for key, own in found.items():
        each = max(1, len(own["complex"]) // FEW)
        widths.append(predict(models[key[3] % FOLDS], own["signs"][::each], "complex"))
        errors.append(own["complex"][::each])
    return round(rank_correlation(np.concatenate(widths), np.concatenate(errors)), 3)


def unseen(found: dict) -> dict:
    """The objects of each scene, judged by a model of the other scenes."""
    rows = {}
    for scene in dict.fromkeys(key[0] for key in found):
        model = models_of({key: own for key, own in found.items() if key[0] != scene}, apart=False)[None]
        rows[scene] = summary(list(judged(model, {key: own for key, own in found.items() if key[0] == scene}).values()))
    return rows


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

    kinds = {
        kind: {"coefficients": short(own["coefficients"]), "factors": [short(group) for group in own["factors"]]}
        for kind, own in model["kinds"].items()
    }
    ranges = {name: short(model[name]) for name in ("lowest", "highest", "mean", "std")}
    return {**ranges, "edges": [short(group) for group in model["edges"]], "kinds": kinds}


def main() -> None:
    from cdipipe.uncertainty.error_model import FILE, LEVEL, SIGNS

    parser = parser_of(__doc__)
    parser.add_argument("--keep-model", action="store_true", help="do not replace the shipped model")
    parser.add_argument("--pieces", type=Path, help="folder where what is found of each object is kept")
    parser.add_argument("part", nargs="?", choices=tuple(RECORDS), default="iterations")
    arguments = parser.parse_args()
    if arguments.pieces:
        arguments.pieces.mkdir(parents=True, exist_ok=True)
    record, models = {}, json.loads(FILE.read_text(encoding="utf-8"))["models"]
    name, groups = RECORDS[arguments.part]
    for group in groups:
        found = collect(group, arguments.pieces)
        own = models_of(found)
        if not arguments.keep_model:
            models[group] = own[None]
        rows = {}
        for fold in range(FOLDS):
            rows |= judged(own[fold], {key: one for key, one in found.items() if key[3] % FOLDS == fold})
        structured = [row for row in rows.values() if row["structure"] >= STRUCTURED]
        parts = {name: means(rows, place) for place, name in enumerate(("scene", "method", "photons"))}
        parts["scene and photons"] = means({(f"{key[0]}, {key[2]:.0e}", *key): row for key, row in rows.items()}, 0)
        parts["scene not in the model"] = unseen(found)
        record[f"{group} axes" if group.isdigit() else group] = {
            "all": summary(list(rows.values())),
            "rank_correlation_of_all_pixels": rank_of_all(own, found),
            "errors with structure": summary(structured),
            **parts,
        }
    if not arguments.keep_model:
        made = {"by": "benchmarks/uncertainty.py", "scenes": SCENES | NETWORK_SCENES, "photons": PHOTONS}
        made |= {
            "methods": ALL_METHODS,
            "seeds": {kind: list(seeds) for kind, seeds in SEEDS.items()},
            "level": LEVEL,
            "signs": SIGNS,
        }
        FILE.write_text(json.dumps({"made": made, "models": models}) + "\n", encoding="utf-8")
    print(write(name, record, arguments.output))


if __name__ == "__main__":
    main()
