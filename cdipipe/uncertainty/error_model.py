"""From signs of error that need no truth to the size of the error, by a regression on simulated objects.

The logarithm of the error of a pixel is a quadratic form of the logarithms of its signs, fitted by ridge regression on
simulated objects. An object has an error of its own beside those of its pixels, as in a random-effects regression
(Balestra, Nerlove, Econometrica 34, 585 (1966), doi:10.2307/1909771): most of each object's mean is subtracted, so that
differences inside objects decide. The factor that makes 90 % intervals is the conformal quantile of
\\|error\\| / prediction, where the prediction is that of a regression on other objects (cross-conformal prediction:
Vovk, Ann. Math. Artif. Intell. 74, 9 (2015), doi:10.1007/s10472-013-9368-4). ``error_model.json`` beside this file
holds both, and how they were made; ``cdipipe bench uncertainty`` makes it anew.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

FILE = Path(__file__).with_name("error_model.json")
KINDS = ("complex", "amplitude", "phase")
OF_PIXELS = (
    "noise",
    "noise_near",
    "starts",
    "starts_near",
    "offset",
    "nearest",
    "farthest",
    "misfit_near",
    "slope",
    "slope_near",
    "edge_px",
    "amplitude",
    "amplitude_near",
    "amplitude_of_starts",
)
"""Signs of error of every pixel; ``_near`` are means over its neighbours, as counts and starts are few."""
OF_OBJECTS = (
    "photons_per_pixel",
    "disagreement",
    "scatter",
    "closest",
    "unrest",
    "known",
    "misfit",
    "filled",
    "roughness",
    "rocking_curve",
)
"""Signs of the whole object: how far starts lie from the result, from each other, and the closest of them; how far
noise moves it; what the pattern leaves open; how badly counts are explained; how much of the array is filled, how
smoothly; 1 for a crystal from its rocking curve, else 0."""
SIGNS = OF_PIXELS + OF_OBJECTS
KNOWN = {"shift": 0.0, "phase": 1.0, "none": 2.0}
"""The sign ``known``, by what the pattern leaves open."""
BINS, FEWEST = 4, 50
"""Factors of their own for objects whose closest start is near to far; at least so many objects decide each."""
GROUPED_BY, ROCKING = SIGNS.index("closest"), SIGNS.index("rocking_curve")
NETWORKS = ("cdi_nn", "cdi_nn refined", "unrolled", "unrolled volumes")
"""Results of networks that have a model of their own."""
SEEN_AGAIN = NETWORKS[:3]
"""Of these replicas are what the network makes of other draws of the counts, and of other views or from other starts;
of others, for which that takes too long, iterations in the support."""
REFINED = 75
"""Steps of ``refine`` in the results from which the second one was made."""
LEAST = 1e-4
"""Smallest share of the typical amplitude, or number of radians, that errors and signs are told apart from zero."""
SMOOTH_PX = 1.0
RIDGE = 1.5
"""Over the number of objects, which are independent as their pixels are not."""
OWN = 0.8
"""Share of each object's mean that is subtracted before the regression: 0 lets all pixels count alike, 1 leaves only
differences inside objects. Chosen on objects that are not tested on."""
LEVEL = 0.9


def spread_of(objects: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Root mean square distance of objects (R, *grid) from ``centre``, (*grid) float64.

    Parameters
    ----------
    objects : (R, *grid) complex
    centre : (*grid) complex
    """
    return np.sqrt(np.mean(np.abs(objects - centre) ** 2, axis=0))


def signs_of(
    result: np.ndarray, support: np.ndarray, noise, starts, misfit, photons: float, freedom: str, rocking: bool
):
    """The logarithms of the signs of error of each pixel inside the support.

    Parameters
    ----------
    result : (*grid) complex
    support : (*grid) bool
    noise, starts : (R, *grid) complex, replicas laid over the result
    misfit : (*grid) real, see ``Replicator.misfit``
    photons : measured photons in all
    freedom : what the pattern leaves open, see ``ForwardModel.freedom``
    rocking : whether this is a volume from a rocking curve

    Returns
    -------
    (pixels, signs) float64, and the typical amplitude inside the support
    """
    typical = _size(np.abs(result[support])) or 1.0
    mean, distance = starts.mean(0), np.sort(np.abs(starts - result), axis=0)
    slope = np.sqrt(sum(np.abs(step) ** 2 for step in np.gradient(result)))
    maps = {
        "noise": spread_of(noise, result),
        "starts": spread_of(starts, result),
        "offset": np.abs(mean - result),
        "nearest": distance[: max(1, len(distance) // 4)].mean(0),
        "farthest": distance[-1],
        "slope": slope,
        "amplitude": np.abs(result),
        "amplitude_of_starts": np.abs(mean),
    }
    for name, one in (*((name, maps[name]) for name in ("noise", "starts", "slope", "amplitude")), ("misfit", misfit)):
        maps[f"{name}_near"] = ndimage.gaussian_filter(np.asarray(one, np.float64), SMOOTH_PX)
    columns = {name: np.log(one[support] / typical + LEAST) for name, one in maps.items()}
    columns["edge_px"] = np.log(ndimage.distance_transform_edt(np.pad(support, 1))[np.pad(support, 1)])
    whole = {
        "photons_per_pixel": np.log(max(photons, 1) / support.sum()),
        **_agreements(result, noise, starts),
        "known": KNOWN[freedom],
        "misfit": np.log(_size(misfit[support]) / typical + LEAST),
        "filled": np.log(support.mean()),
        "roughness": np.log(_size(slope[support]) / typical + LEAST),
        "rocking_curve": float(rocking),
    }
    columns |= {name: np.full(columns["noise"].shape, value) for name, value in whole.items()}
    return np.column_stack([columns[name] for name in SIGNS]), typical


def _size(values: np.ndarray) -> float:
    """Root mean square of some pixels."""
    return float(np.sqrt(np.mean(np.asarray(values, np.float64) ** 2)))


def _agreements(result, noise, starts) -> dict[str, float]:
    """Logarithms of how far correlations of the result with its replicas, and of starts with each other, are from 1."""
    rows = np.stack([result, *starts, *noise]).reshape(1 + len(starts) + len(noise), -1)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    all_pairs = np.abs(rows[: 1 + len(starts)].conj() @ rows.T)
    own, others = all_pairs[0, 1 : 1 + len(starts)], all_pairs[1:, 1 : 1 + len(starts)]
    pairs = others[np.triu_indices(len(starts), 1)]
    found = {"disagreement": own.mean(), "scatter": pairs.mean(), "closest": own.max()}
    found["unrest"] = all_pairs[0, 1 + len(starts) :].mean()
    return {name: float(np.log(max(1 - value, 0) + LEAST)) for name, value in found.items()}


def _terms(signs: np.ndarray, model: dict[str, Any]) -> np.ndarray:
    """Signs, kept inside the range of the objects of the fit and scaled, with their products: (pixels, terms)."""
    inside = np.clip(signs, model["lowest"], model["highest"])
    scaled = (inside - model["mean"]) / model["std"]
    rows, columns = np.triu_indices(scaled.shape[1])
    return np.column_stack([np.ones(len(scaled)), scaled, scaled[:, rows] * scaled[:, columns]])


def fit(signs: np.ndarray, errors: dict[str, np.ndarray], objects: np.ndarray) -> dict[str, Any]:
    """A regression of the errors of pixels on their signs, without factors.

    Parameters
    ----------
    signs : (pixels, signs), see :func:`signs_of`
    errors : kind -> (pixels,), in typical amplitudes or rad
    objects : (pixels,) int, the object of each pixel, numbered from 0
    """
    lowest, highest = np.quantile(signs, (0.001, 0.999), axis=0)
    model = {"lowest": lowest, "highest": highest, "mean": signs.mean(0), "std": signs.std(0) + 1e-6, "kinds": {}}
    terms = _less_own(_terms(signs, model), objects)
    ridge = RIDGE * len(terms) / (objects.max() + 1)
    normal = terms.T @ terms + ridge * np.eye(terms.shape[1])
    for kind, error in errors.items():
        target = _less_own(np.log(error + LEAST)[:, None], objects)
        model["kinds"][kind] = {"coefficients": np.linalg.solve(normal, terms.T @ target)[:, 0]}
    return model


def _less_own(values: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Columns (pixels, columns), less a share of each object's mean."""
    order = np.argsort(objects, kind="stable")
    counts = np.bincount(objects)
    sums = np.add.reduceat(values[order], np.cumsum(counts) - counts, axis=0)
    return values - OWN * (sums / counts[:, None])[objects]


def ratios_of(model: dict[str, Any], signs: np.ndarray, errors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Errors of the pixels of one object over those that a regression on other objects predicts, kind -> (pixels,).

    Parameters
    ----------
    model : of :func:`fit`
    signs, errors : of an object that the fit has not seen
    """
    terms = _terms(signs, model)
    return {kind: errors[kind] / np.exp(terms @ own["coefficients"]) for kind, own in model["kinds"].items()}


def calibrate(model: dict[str, Any], signs: list[np.ndarray], ratios: list[dict[str, np.ndarray]]) -> None:
    """Set the factors by objects that were predicted by others; every object counts alike.

    Crystals from rocking curves, if there are any, have factors of their own.

    Parameters
    ----------
    model : of :func:`fit`, changed
    signs, ratios : of each object, see :func:`ratios_of`
    """
    rocking = np.array([one[0, ROCKING] > 0 for one in signs])
    groups = [np.flatnonzero(rocking == group) for group in range(1 + rocking.any())]
    groups = [group if group.size else np.arange(len(signs)) for group in groups]
    closest = np.array([one[0, GROUPED_BY] for one in signs])
    counts = [max(1, min(BINS, len(group) // FEWEST)) for group in groups]
    model["edges"] = [np.quantile(closest[g], np.arange(1, n) / n) for g, n in zip(groups, counts, strict=True)]
    for kind, own in model["kinds"].items():
        own["factors"] = []
        for group, edges in zip(groups, model["edges"], strict=True):
            bins = np.searchsorted(edges, closest[group])
            parts = ([ratios[i][kind] for i in group[bins == place]] for place in range(len(edges) + 1))
            own["factors"].append(np.array([_quantile(part) for part in parts]))


def _quantile(ratios: list[np.ndarray]) -> float:
    """The conformal 90 % quantile of the pixels of some objects, each with the same weight."""
    weights = np.concatenate([np.full(len(ratio), 1 / len(ratio)) for ratio in ratios])
    ordered = np.argsort(values := np.concatenate(ratios))
    share = np.cumsum(weights[ordered]) / (len(ratios) + 1)
    return float(values[ordered][min(np.searchsorted(share, LEVEL), len(values) - 1)])


def predict(model: dict[str, Any], signs: np.ndarray, kind: str) -> np.ndarray:
    """Half width of the 90 % interval of each pixel of one object, in typical amplitudes or rad.

    Parameters
    ----------
    model : of :func:`fit` and :func:`calibrate`, or :func:`shipped`
    signs : (pixels, signs)
    kind : ``complex``, ``amplitude`` or ``phase``
    """
    group = min(int(signs[0, ROCKING]), len(model["edges"]) - 1)
    place = np.searchsorted(model["edges"][group], signs[0, GROUPED_BY])
    own = model["kinds"][kind]
    width = own["factors"][group][place] * np.exp(_terms(signs, model) @ np.asarray(own["coefficients"]))
    return np.minimum(width, np.pi) if kind == "phase" else width


def kind_of(recipe: dict[str, Any], ndim: int) -> str:
    """The model for a result: that of a network which made it alone, or that of iterations on so many axes.

    Parameters
    ----------
    recipe : of the result
    ndim : axes of the object
    """
    steps = recipe.get("steps", [])
    if len(steps) != 1:
        return str(ndim)
    ((name, chosen),) = steps[0].items()
    # the model of `unrolled` for planes is that of real objects, which another network may not find
    if name == "unrolled" and ndim == 2 and (chosen.get("objects") == "complex" or chosen.get("checkpoint")):
        return str(ndim)
    name += " refined" if chosen.get("refine") else " volumes" if ndim == 3 else ""
    return name if name in NETWORKS else str(ndim)


@functools.cache
def shipped(kind: str) -> dict[str, Any]:
    """A model of this package.

    Parameters
    ----------
    kind : see :func:`kind_of`
    """
    return json.loads(FILE.read_text(encoding="utf-8"))["models"][kind]
