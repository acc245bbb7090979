"""Scores of many objects of one pattern at once, on their device: what ``evaluate`` tells of one, in double precision.

See :func:`cdipipe.metrics.fourier.misfits` for what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cdipipe.metrics.fourier import LEAST_PREDICTED_PHOTONS


@dataclass(frozen=True)
class Counts:
    """What the scores need of the counts on some pixels; arrays (P,) of these pixels alone, float64.

    Parameters
    ----------
    places : (P,) indices into the flattened pattern; None: all of it, in its order
    seen : counts, at least 0
    modulus : their square roots
    total : sum of the counts, negative ones included
    modulus_sum, entropy : sums of the moduli, and of I ln I
    """

    places: Tensor | None
    seen: Tensor
    modulus: Tensor
    total: Tensor
    modulus_sum: Tensor
    entropy: Tensor

    @classmethod
    def of(cls, intensity: Tensor, pixels: Tensor) -> Counts:
        """Those of a pattern (*grid) on some pixels (*grid) bool."""
        places = pixels.flatten().nonzero()[:, 0]
        places = None if len(places) == pixels.numel() else places
        counts = _at(intensity.flatten(), places).double()
        seen = counts.clamp(min=0)
        modulus = seen.sqrt()
        return cls(places, seen, modulus, counts.sum(), modulus.sum(), torch.special.xlogy(seen, seen).sum())

    def scale(self, predicted: Tensor) -> Tensor:
        """sum I / sum J of each row of (B, pixels) predicted photons, (B, 1); NaN where a sum is not positive."""
        expected = _at(predicted, self.places).double().sum(1, keepdim=True)
        return torch.where((self.total > 0) & (expected > 0), self.total / expected, torch.nan)

    def misfits(self, predicted: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """R-factor and Poisson deviance / 2 per pixel of each row, (B,) each; NaN where there is none."""
        model = _at(predicted, self.places).double().mul_(scale)
        misfit = (model.sqrt() - self.modulus).abs_().sum(1)
        r_factor = torch.where(self.modulus_sum > 0, misfit / self.modulus_sum, torch.nan)
        excess = model.sum(1) - self.seen.sum()
        likelihood = model.clamp_(min=LEAST_PREDICTED_PHOTONS).log_().mul_(self.seen).sum(1)
        return r_factor, (excess + self.entropy - likelihood) / len(self.seen)


def _at(rows: Tensor, places: Tensor | None) -> Tensor:
    return rows if places is None else rows.index_select(-1, places)


def score_objects(problem, objects: Tensor) -> dict[str, np.ndarray]:
    """Misfits of a batch of objects, (B,) float64 each; NaN where there is none.

    Parameters
    ----------
    problem : Problem
    objects : (B, *grid) complex64 in FFT order

    Returns
    -------
    ``r_factor`` and ``poisson_nll`` on the measured pixels, ``r_factor_free`` and ``poisson_nll_free`` on the withheld
    ones, if any
    """
    if objects.is_cpu:  # one after another, so that each stays in the caches
        predicted = (problem.of_item(i).model.predict_intensity(item[None]) for i, item in enumerate(objects))
    else:
        predicted = iter([problem.model.predict_intensity(objects)])
    rows = []
    for photons in predicted:
        flat = photons.flatten(1)
        scale = problem.seen_counts.scale(flat)
        found = problem.seen_counts.misfits(flat, scale)
        if problem.free is not None:
            found += problem.free_counts.misfits(flat, scale)
        rows.append(torch.stack(found))
    names = ("r_factor", "poisson_nll", "r_factor_free", "poisson_nll_free")
    table = torch.cat(rows, 1).cpu().numpy()
    return dict(zip(names, table, strict=False))
