"""The coherence width that explains a pattern best, given the coherent intensity of an estimate."""

from __future__ import annotations

import math

import torch

from cdipipe.optics.coherence import apply_coherence, degree_of_coherence

CANDIDATES = 7
NARROWEST_PX = 1.0


def fit_width(coherent, width_px, modulus, measured, background, ndim, *, reach=2.0):
    """Search xi that lowers sum_measured (sqrt(c J_xi + B) - b)^2, with c from the sums of photons.

    One search around the width so far: widths spaced evenly in their logarithm, then a parabola through the best.

    Parameters
    ----------
    coherent : (B, *grid) real, FFT order, coherent intensities of the estimates
    width_px : (B,) widths so far
    modulus, measured : (*grid) float32 and bool, FFT order
    background : float or (*grid), photons
    reach : the search spans width / reach to width * reach

    Returns
    -------
    (B,) widths, between 1 px and 4 times the array's longest side (as good as coherent)
    """
    shape = tuple(coherent.shape[-ndim:])
    limits = math.log(NARROWEST_PX), math.log(4.0 * max(shape))
    steps = torch.linspace(-math.log(reach), math.log(reach), CANDIDATES, device=coherent.device)
    places = (width_px.to(coherent.device).log().reshape(-1, 1) + steps).clamp(*limits)
    photons = ((modulus.square() - background) * measured).flatten().sum().clamp(min=1e-20)
    costs = torch.stack(
        [_misfit(coherent, place.exp(), modulus, measured, background, photons, ndim) for place in places.unbind(1)], 1
    )
    best = costs.argmin(1).clamp(1, CANDIDATES - 2)
    item = torch.arange(len(coherent), device=coherent.device)
    before, here, after = (costs[item, best + step] for step in (-1, 0, 1))
    bend = before - 2 * here + after
    offset = torch.where(bend > 0, 0.5 * (before - after) / bend.clamp(min=1e-30), torch.zeros_like(bend))
    lowest = costs.argmin(1)
    inner = (lowest > 0) & (lowest < CANDIDATES - 1)
    place = torch.where(
        inner, places[item, best] + offset.clamp(-0.5, 0.5) * (steps[1] - steps[0]), places[item, lowest]
    )
    return place.clamp(*limits).exp()


def _misfit(coherent, width_px, modulus, measured, background, photons, ndim):
    axes = tuple(range(-ndim, 0))
    half_mu = degree_of_coherence(tuple(coherent.shape[-ndim:]), width_px, like=coherent)
    seen = apply_coherence(coherent, half_mu, ndim).clamp_(min=0)
    scale = photons / (seen * measured).sum(axes, keepdim=True).clamp(min=1e-20)
    excess = ((scale * seen + background).sqrt_() - modulus) * measured
    return excess.square_().sum(axes, dtype=torch.float64)
