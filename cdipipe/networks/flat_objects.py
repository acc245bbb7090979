"""Objects of constant modulus, refined on their patterns: what a network of polygons knows of them, as a penalty.

Lowers 200 S (|F u| - A)^2 / S A^2 + 0.003 TV(u) + 0.01 TV(|u|) + 0.03 S |u|^2 (1 - |u|^2)^2 over all pixels of an
object u by Adam, from what the network predicts; the pattern A is on the scale on which the median modulus of the
object is 1, which is looked at anew before each round. The third term is the length of the edges; the second one, which
phases cost too, is small, as it would take wrong objects of weak phases for right ones. The last term is zero where the
modulus is 0 or 1. It needs no support and no oversampling; iterations, which know none of these terms, need both.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from cdipipe.networks.views import agreement, turn, turn_back
from cdipipe.optics import fourier

MISFIT, VARIATION, EDGES, FLATNESS = 200.0, 0.003, 0.01, 0.03
RATE = 0.1
"""First step per pixel, in moduli; it falls linearly to zero."""
BETAS = (0.9, 0.99)
INSIDE = 0.5
"""Share of the largest modulus above which a pixel counts to the object where its scale is looked at."""
SMOOTH = 1e-4
"""Added to the squares under the root of the total variation."""
SMOOTH_MODULUS = 1e-3
"""Added to the square of the modulus whose total variation is taken."""
AGREE = 0.98
"""Correlation of two refined views that is taken for a proof of both."""


def predict_refined(
    apply: Callable[[torch.Tensor], torch.Tensor],
    patterns: torch.Tensor,
    measured: torch.Tensor,
    views: int,
    steps: int,
) -> torch.Tensor:
    """What a network makes of several views of each pattern, each refined; the best one of each, refined once more.

    A wrong object can explain an undersampled pattern, but hardly the same one twice: patterns of which the best object
    agrees with that of another view get no further view.

    Parameters
    ----------
    apply : (B, N, N) patterns to (B, N, N) complex64 objects of modulus about 0 or 1, any twin and phase
    patterns, measured : (B, N, N) photons and bool
    views : 1 to 8, see :func:`cdipipe.networks.views.predict_views`; so many at most
    steps : of each of the two rounds of every view, and of the two of the best one
    """
    modulus = patterns.clamp(min=0).sqrt() * measured
    best, least = _twice(apply(patterns), modulus, measured, steps, RATE)
    open_ = torch.arange(len(patterns), device=patterns.device)
    for number in range(1, views):
        start = turn_back(apply(turn(patterns[open_], number)), number)
        found, loss = _twice(start, modulus[open_], measured[open_], steps, RATE)
        agree = agreement(best[open_], found) > AGREE
        better = open_[loss < least[open_]]
        best[better], least[better] = found[loss < least[open_]], loss[loss < least[open_]]
        open_ = open_[~agree]
        if not len(open_):
            break
    return _twice(best, modulus, measured, steps, RATE / 2)[0]


def _twice(start: torch.Tensor, modulus: torch.Tensor, measured: torch.Tensor, steps: int, rate: float):
    return refine(refine(start, modulus, measured, steps, rate)[0], modulus, measured, steps, rate)


def refine(start: torch.Tensor, modulus: torch.Tensor, measured: torch.Tensor, steps: int, rate: float):
    """Objects (B, N, N) complex64 of median modulus about 1 after so many steps of Adam, and the loss of each (B,).

    Parameters
    ----------
    start : (B, N, N) complex64, centred, on any scale
    modulus, measured : (B, N, N) of the patterns, on any scale, zero where not measured
    """
    lengths = start.abs()
    inside = torch.where(lengths > INSIDE * lengths.amax((-2, -1), keepdim=True), lengths, torch.nan)
    typical = inside.flatten(1).nanmedian(1).values[:, None, None].nan_to_num(1.0).clamp(min=1e-20)
    light = (fourier.forward(start).abs().square() * measured).sum((-2, -1), keepdim=True)
    power = modulus.square().sum((-2, -1), keepdim=True).clamp(min=1e-20)
    modulus = modulus * ((light / power).sqrt() / typical)
    objects = torch.view_as_real((start / typical).to(torch.complex64)).clone()
    mean, square = torch.zeros_like(objects), torch.zeros_like(objects)
    for step in range(steps):
        gradient = torch.view_as_real(loss_and_gradient(torch.view_as_complex(objects), modulus, measured)[1])
        mean.lerp_(gradient, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        size = (square / (1 - BETAS[1] ** (step + 1))).sqrt_().add_(1e-8)
        objects.addcdiv_(mean, size, value=-rate * (1 - step / steps) / (1 - BETAS[0] ** (step + 1)))
    found = torch.view_as_complex(objects)
    return found, loss_and_gradient(found, modulus, measured)[0]


def loss_and_gradient(objects: torch.Tensor, modulus: torch.Tensor, measured: torch.Tensor):
    """The loss of each object (B,), and its gradient by real and imaginary parts as one complex array (B, N, N)."""
    axes = (-2, -1)
    waves = fourier.forward(objects)
    lengths = waves.abs().clamp(min=1e-12)
    power = (modulus * measured).square().sum(axes, keepdim=True).clamp(min=1e-20)
    excess = (lengths - modulus) * measured
    gradient = 2 * MISFIT * fourier.inverse(excess / power * waves / lengths)
    loss = MISFIT * (excess.square() / power).sum(axes)
    light = _squared(objects)
    length, slope = _variation(objects)
    gradient += VARIATION * slope
    loss += VARIATION * length
    modulus_here = (light + SMOOTH_MODULUS).sqrt()
    length, slope = _variation(modulus_here)
    gradient += EDGES * slope / modulus_here * objects
    loss += EDGES * length
    gradient += 2 * FLATNESS * (1 - light) * (1 - 3 * light) * objects
    return loss + FLATNESS * (light * (1 - light).square()).sum(axes), gradient


def _variation(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Total variation of real or complex planes (B,), and its gradient."""
    down, right = values - torch.roll(values, 1, -2), values - torch.roll(values, 1, -1)
    lengths = (_squared(down) + _squared(right) + SMOOTH).sqrt()
    down, right = down / lengths, right / lengths
    return lengths.sum((-2, -1)), down - torch.roll(down, -1, -2) + right - torch.roll(right, -1, -1)


def _squared(values: torch.Tensor) -> torch.Tensor:
    return values.real.square() + values.imag.square() if values.is_complex() else values.square()
