"""The coherence width that explains a pattern best, given the coherent intensity of an estimate."""

from __future__ import annotations

import math

import torch

from cdipipe.optics.coherence import apply_coherence, degree_of_coherence
from cdipipe.optics.misfits import FLOOR, poisson_cost

CANDIDATES = 5
"""Widths that one round of the search compares."""
REACHES = (2.0, 1.4, 1.15)
"""Each round spans the width so far divided and multiplied by this."""
NARROWEST_PX = 1.0


def fit_width(coherent, width_px, modulus, measured, background, ndim):
    """Search xi that lowers the Poisson negative log-likelihood of c J_xi + B, with c from the sums of photons.

    Rounds of a few widths, spaced evenly in their logarithm around the best so far, closer and closer; the last one
    ends with a parabola. (Differences of square roots would not do: where counts are few, the mean of sqrt(I) lies
    below the square root of the mean, which looks like deeper fringes.)

    Parameters
    ----------
    coherent : (B, *grid) real, FFT order, coherent intensities of the estimates
    width_px : (B,) widths so far
    modulus, measured : (*grid) float32 and bool, FFT order
    background : float or (*grid), photons

    Returns
    -------
    (B,) widths, between 1 px and 4 times the array's longest side (as good as coherent)
    """
    limits = math.log(NARROWEST_PX), math.log(4.0 * max(coherent.shape[-ndim:]))
    counts = modulus.square()
    place = width_px.to(coherent.device).log()
    for reach in REACHES:
        steps = torch.linspace(-math.log(reach), math.log(reach), CANDIDATES, device=coherent.device)
        places = (place.reshape(-1, 1) + steps).clamp(*limits)
        costs = torch.stack(
            [_misfit(coherent, each.exp(), counts, measured, background, ndim) for each in places.unbind(1)], 1
        )
        place = places.gather(1, costs.argmin(1, keepdim=True))[:, 0]
    return (place + _parabola(costs) * (steps[1] - steps[0])).clamp(*limits).exp()


def _parabola(costs):
    """How far beside the lowest of each row a parabola has its vertex, in steps; 0 at the ends."""
    lowest = costs.argmin(1, keepdim=True)
    inner = (lowest > 0) & (lowest < costs.shape[1] - 1)
    before, here, after = (costs.gather(1, (lowest + step).clamp(0, costs.shape[1] - 1)) for step in (-1, 0, 1))
    offset = 0.5 * (before - after) / (before - 2 * here + after).clamp(min=1e-30)
    return torch.where(inner, offset.clamp(-0.5, 0.5), 0.0)[:, 0].to(torch.float32)


def _misfit(coherent, width_px, counts, measured, background, ndim):
    axes = tuple(range(-ndim, 0))
    half_mu = degree_of_coherence(tuple(coherent.shape[-ndim:]), width_px, like=coherent)
    seen = apply_coherence(coherent, half_mu, ndim).clamp_(min=0)
    photons = ((counts - background) * measured).sum(axes, keepdim=True).clamp(min=1e-20)
    scale = photons / (seen * measured).sum(axes, keepdim=True).clamp(min=1e-20)
    cost = poisson_cost((scale * seen).add_(background + FLOOR), counts)
    return cost.mul_(measured).sum(axes, dtype=torch.float64)
