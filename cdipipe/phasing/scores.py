"""Scores of many objects at once, on their device: what ``evaluate`` tells of one, in double precision.

See :func:`cdipipe.metrics.fourier.misfits` for what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cdipipe.metrics.fourier import LEAST_PREDICTED_PHOTONS

NAMES = ("r_factor", "poisson_nll", "r_factor_free", "poisson_nll_free")


@dataclass(frozen=True)
class Counts:
    """What the scores need of the counts on some pixels: of one pattern, (1, P), or of each of a batch, (B, P).

    Parameters
    ----------
    pixels : bool
    seen : counts, at least 0; 0 on other pixels, float64
    modulus : their square roots
    total : (.., 1) sum of the counts, negative ones included
    """

    pixels: Tensor
    seen: Tensor
    modulus: Tensor
    total: Tensor
    seen_sum: Tensor
    modulus_sum: Tensor
    entropy: Tensor
    """sum of I ln I"""

    @classmethod
    def of(cls, intensity: Tensor, pixels: Tensor) -> Counts:
        """Those of patterns (.., P) on some pixels (.., P) bool."""
        counts = torch.where(pixels, intensity, 0).double()
        seen = counts.clamp(min=0)
        modulus = seen.sqrt()
        entropy = torch.special.xlogy(seen, seen).sum(1)
        return cls(pixels, seen, modulus, counts.sum(1, keepdim=True), seen.sum(1), modulus.sum(1), entropy)

    def scale(self, predicted: Tensor) -> Tensor:
        """sum I / sum J of predicted photons (B, P), (B, 1); NaN where a sum is not positive."""
        expected = torch.where(self.pixels, predicted, 0).double().sum(1, keepdim=True)
        return torch.where((self.total > 0) & (expected > 0), self.total / expected, torch.nan)

    def misfits(self, predicted: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """R-factor and Poisson deviance / 2 per pixel, (B,) each; NaN where there is none."""
        model = torch.where(self.pixels, predicted, 0).double().mul_(scale)
        misfit = (model.sqrt() - self.modulus).abs_().sum(1)
        r_factor = torch.where(self.modulus_sum > 0, misfit / self.modulus_sum, torch.nan)
        excess = model.sum(1) - self.seen_sum
        likelihood = model.clamp_(min=LEAST_PREDICTED_PHOTONS).log_().mul_(self.seen).sum(1)
        return r_factor, (excess + self.entropy - likelihood) / self.pixels.sum(1)


def score_objects(problem, objects: Tensor) -> dict[str, np.ndarray]:
    """Misfits of a batch of objects of one pattern, (B,) float64 each; NaN where there is none.

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
    rows = [_misfits(photons.flatten(1), problem.seen_counts, problem.free_counts) for photons in predicted]
    return _named(rows)


def score_patterns(
    predicted: Tensor, intensity: Tensor, used: Tensor, free: Tensor | None = None
) -> dict[str, np.ndarray]:
    """The same of a batch of patterns that each have their own prediction.

    Parameters
    ----------
    predicted, intensity : (B, *grid) photons
    used, free : (B, *grid) bool, pixels that were seen and that were withheld
    """
    arrays = [None if a is None else a.flatten(1) for a in (predicted, intensity, used, free)]
    step = 1 if predicted.is_cpu else len(predicted)
    rows = []
    for first in range(0, len(predicted), step):
        model, counts, seen, withheld = (None if a is None else a[first : first + step] for a in arrays)
        of_withheld = None if withheld is None else Counts.of(counts, withheld)
        rows.append(_misfits(model, Counts.of(counts, seen), of_withheld))
    return _named(rows)


def _misfits(predicted: Tensor, seen: Counts, free: Counts | None) -> Tensor:
    """(scores, B) of predicted photons (B, P), scaled once, on the pixels that were seen."""
    scale = seen.scale(predicted)
    found = seen.misfits(predicted, scale)
    return torch.stack(found if free is None else (*found, *free.misfits(predicted, scale)))


def _named(rows: list[Tensor]) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, torch.cat(rows, 1).cpu().numpy(), strict=False))
