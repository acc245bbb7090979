"""From signs of error that need no truth to the size of the error, by a regression on simulated objects.

The logarithm of the error of a pixel is a quadratic form of the logarithms of its signs, fitted by ridge regression on
simulated objects; the factor that makes 90 % intervals of it is the conformal quantile of \\|error\\| / prediction on
other objects than the regression's (split conformal prediction: Lei, G'Sell, Rinaldo, Tibshirani, Wasserman, J. Am.
Stat. Assoc. 113, 1094 (2018), doi:10.1080/01621459.2017.1307116). ``error_model.json`` beside this file holds both, and
how they were made; ``cdipipe bench uncertainty`` makes it anew.
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
SIGNS = (
    "noise",
    "restarts",
    "misfit",
    "gradient",
    "edge_px",
    "amplitude",
    "photons_per_pixel",
    "disagreement",
    "known",
)
"""Signs of error: the first six of every pixel, the others of the whole object."""
KNOWN = {"shift": 0.0, "phase": 1.0, "none": 2.0}
"""The sign ``known``, by what the pattern leaves open."""
BINS, FEWEST = 5, 20
"""Factors of their own for objects of few to many photons per pixel; at least so many objects decide each."""
PHOTONS = SIGNS.index("photons_per_pixel")
LEAST = 1e-4
"""Smallest share of the typical amplitude, or number of radians, that errors and signs are told apart from zero."""
SMOOTH_PX = 1.0
RIDGE = 1e-3
LEVEL = 0.9


def spread_of(objects: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Root mean square distance of objects (R, *grid) from ``centre``, (*grid) float64."""
    return np.sqrt(np.mean(np.abs(objects - centre) ** 2, axis=0))


def signs_of(result: np.ndarray, support: np.ndarray, noise, restarts, misfit, photons: float, freedom: str):
    """The logarithms of the signs of error of each pixel inside the support.

    Parameters
    ----------
    result : (*grid) complex
    support : (*grid) bool
    noise, restarts : (R, *grid) complex, replicas laid over the result
    misfit : (*grid) real, see ``Replicator.misfit``
    photons : measured photons in all
    freedom : what the pattern leaves open, see ``ForwardModel.freedom``

    Returns
    -------
    (pixels, signs) float64, and the typical amplitude inside the support
    """
    typical = float(np.sqrt(np.mean(np.abs(result[support]) ** 2))) or 1.0
    steps = np.gradient(result)
    maps = [spread_of(noise, result), spread_of(restarts, result), misfit]
    maps += [np.sqrt(sum(np.abs(step) ** 2 for step in steps))]
    smooth = [ndimage.gaussian_filter(np.asarray(one, np.float64), SMOOTH_PX) / typical for one in maps]
    smooth += [ndimage.distance_transform_edt(support), np.abs(result) / typical]
    overlaps = [abs(np.vdot(one, result)) / (np.linalg.norm(one) * np.linalg.norm(result) + 1e-30) for one in restarts]
    whole = [np.log(max(photons, 1) / support.sum()), np.log(1 - np.mean(overlaps) + LEAST), KNOWN[freedom]]
    columns = [np.log(one[support] + LEAST) for one in smooth]
    return np.column_stack([*columns, *(np.full(columns[0].shape, value) for value in whole)]), typical


def _terms(signs: np.ndarray, model: dict[str, Any]) -> np.ndarray:
    """Signs, kept inside the range of the objects of the fit and scaled, with their products: (pixels, terms)."""
    inside = np.clip(signs, model["lowest"], model["highest"])
    scaled = (inside - model["mean"]) / model["std"]
    rows, columns = np.triu_indices(scaled.shape[1])
    return np.column_stack([np.ones(len(scaled)), scaled, scaled[:, rows] * scaled[:, columns]])


def fit(signs: np.ndarray, errors: dict[str, np.ndarray]) -> dict[str, Any]:
    """A regression of the errors of pixels on their signs, without factors.

    Parameters
    ----------
    signs : (pixels, signs), see :func:`signs_of`
    errors : kind -> (pixels,), in typical amplitudes or rad
    """
    lowest, highest = np.quantile(signs, (0.001, 0.999), axis=0)
    model = {"lowest": lowest, "highest": highest, "mean": signs.mean(0), "std": signs.std(0) + 1e-6, "kinds": {}}
    terms = _terms(signs, model)
    normal = terms.T @ terms + RIDGE * len(terms) * np.eye(terms.shape[1])
    for kind, error in errors.items():
        model["kinds"][kind] = {"coefficients": np.linalg.solve(normal, terms.T @ np.log(error + LEAST))}
    return model


def calibrate(model: dict[str, Any], signs: list[np.ndarray], errors: list[dict[str, np.ndarray]]) -> None:
    """Set the factors by objects that the regression has not seen; every object counts alike.

    Parameters
    ----------
    model : of :func:`fit`, changed
    signs, errors : of each object
    """
    count = max(1, min(BINS, len(signs) // FEWEST))
    places = np.array([one[0, PHOTONS] for one in signs])
    model["edges"] = np.quantile(places, np.arange(1, count) / count)
    for kind, own in model["kinds"].items():
        own["factors"] = np.ones(count)
        ratios = [error[kind] / predict(model, one, kind) for one, error in zip(signs, errors, strict=True)]
        bins = np.searchsorted(model["edges"], places)
        own["factors"] = np.array(
            [_quantile([r for r, b in zip(ratios, bins, strict=True) if b == i]) for i in range(count)]
        )


def _quantile(ratios: list[np.ndarray]) -> float:
    """The conformal 90 % quantile of the pixels of some objects, each with the same weight."""
    weights = np.concatenate([np.full(len(ratio), 1 / len(ratio)) for ratio in ratios])
    ordered = np.argsort(values := np.concatenate(ratios))
    share = np.cumsum(weights[ordered]) / (len(ratios) + 1)
    return float(values[ordered][min(np.searchsorted(share, LEVEL), len(values) - 1)])


def predict(model: dict[str, Any], signs: np.ndarray, kind: str) -> np.ndarray:
    """Half width of the 90 % interval of each pixel, in typical amplitudes or rad.

    Parameters
    ----------
    model : of :func:`fit` and :func:`calibrate`, or :func:`shipped`
    signs : (pixels, signs)
    kind : ``complex``, ``amplitude`` or ``phase``
    """
    own = model["kinds"][kind]
    factors = np.asarray(own["factors"])[np.searchsorted(model["edges"], signs[:, PHOTONS])]
    width = factors * np.exp(_terms(signs, model) @ np.asarray(own["coefficients"]))
    return np.minimum(width, np.pi) if kind == "phase" else width


@functools.cache
def shipped(ndim: int) -> dict[str, Any]:
    """The model of this package for objects of 2 or 3 axes.

    Parameters
    ----------
    ndim : 2 or 3
    """
    return json.loads(FILE.read_text(encoding="utf-8"))["models"][str(ndim)]
