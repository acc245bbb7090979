"""What a setting costs, in units of correlation: how much its answers vary, and how badly they predict withheld pixels.

A setting is tried on several sets of withheld pixels, each with random starts of its own. Its answers, the best starts
by the likelihood of the pixels that they saw, are laid over each other:

    loss = (1 - mean correlation of all pairs) + NLL(withheld) * pixels / photons

The first part is what chance does to the answer: of independent errors, twice what they cost in correlation with the
truth. The second is the share of the light that the answer does not explain: the deviance of counts is about twice the
squared error of the moduli, and their squares sum up to the photons. A support that is too tight repeats its mistake,
which only the second part sees; starts that end differently explain the counts alike, which only the first tells.
Counting noise is in the second part of every setting alike, so only differences mean something.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.metrics.align import lay_over
from cdipipe.metrics.statistics import correlation_matrix
from cdipipe.optics.forward import ForwardModel
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct

WORST = 2.0
"""Loss of a setting whose results are no numbers."""


@dataclass(frozen=True)
class Answers:
    """What a setting made of some sets of withheld pixels.

    Parameters
    ----------
    results : Reconstruction of each set
    nll_free : (sets,) NLL on the withheld pixels, mean over the patterns
    share : pixels per photon of the measurement, which turns NLL into a share of the light
    """

    results: list[Reconstruction]
    nll_free: np.ndarray
    share: float

    @property
    def loss(self) -> float:
        """Spread and unexplained light together."""
        found = self.spread + self.unexplained
        return float(found) if np.isfinite(found) else WORST

    @property
    def spread(self) -> float:
        """One less the mean correlation of all pairs."""
        return self.spreads().mean()

    @property
    def unexplained(self) -> float:
        """Share of the light beyond what is explained, counting noise included."""
        return float(np.mean(self.nll_free)) * self.share

    def spreads(self) -> np.ndarray:
        """(sets,) one less the mean correlation of each answer with the others."""
        count = len(self.results)
        matrix = np.ones((count, count))
        for i in range(count):
            for j in range(i):
                matrix[i, j] = matrix[j, i] = correlation(self.results[i], self.results[j])
        return 1 - (matrix.sum(axis=1) - 1) / (count - 1)


def answer(
    measurement: Measurement, mapping: Mapping[str, Any], seeds: list[int], fraction: float, device: str
) -> Answers:
    """Phase a measurement with a recipe once for each seed, which decides the withheld pixels and the starts.

    Parameters
    ----------
    mapping : the recipe as plain data
    fraction : share of the pixels to withhold
    """
    results, nll = [], []
    for seed in seeds:
        found = phase(measurement, mapping, seed, device, fraction)
        scores = found.run_scores["poisson_nll_free"]
        nll.append(np.nanmean(scores if found.stack in ("shots", "movie") else scores[:1]))
        results.append(found)
    return Answers(results, np.array(nll), pixels_per_photon(measurement))


def phase(
    measurement: Measurement, mapping: Mapping[str, Any], seed: int, device: str, fraction: float = 0.0
) -> Reconstruction:
    """One reconstruction, with a share of the pixels withheld or with all of them."""
    recipe = recipe_from_mapping(mapping)
    return reconstruct(
        measurement, recipe, seed=seed, device=device, free_fraction=fraction, free_block_px=0 if fraction else 1
    )


def pixels_per_photon(measurement: Measurement) -> float:
    """Measured pixels over the photons on them."""
    measured = np.broadcast_to(measurement.measured, measurement.intensity.shape)
    photons = float(np.maximum(measurement.intensity, 0)[measured].sum(dtype=float))
    return float(measured.sum()) / max(photons, 1.0)


def correlation(one: Reconstruction, other: Reconstruction) -> float:
    """Of two results of a measurement, laid over each other as far as a pattern leaves it open; mean over patterns."""
    stacked = one.stack in ("shots", "movie")
    pairs = zip(one.object, other.object, strict=True) if stacked else [(one.object, other.object)]
    freedom, found = ForwardModel.from_dict(one.forward).freedom, []
    for a, b in pairs:
        if np.any(a) and np.any(b):
            found.append(correlation_matrix(np.stack([a, lay_over(a, b, freedom)]))[0, 1])
    return float(np.mean(found)) if found else 0.0
