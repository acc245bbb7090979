"""Objects of constant modulus, refined on their patterns: what a network of polygons knows of them, as a penalty.

Lowers 200 S (|F u| - A)^2 / S A^2 + 0.01 TV(u) + 0.03 S |u|^2 (1 - |u|^2)^2 over all pixels of an object u by Adam,
from what the network predicts; the pattern A is on the scale on which the median modulus of the object is 1, which is
looked at anew before each round. The last term is zero where the modulus is 0 or 1. It needs no support and no
oversampling; iterations, which know neither term, need both.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from cdipipe.networks.views import mean_of_views, views_of
from cdipipe.optics import fourier

MISFIT, VARIATION, FLATNESS = 200.0, 0.01, 0.03
RATE = 0.1
"""First step per pixel, in moduli; it falls linearly to zero."""
BETAS = (0.9, 0.99)
INSIDE = 0.5
"""Share of the largest modulus above which a pixel counts to the object where its scale is looked at."""
SMOOTH = 1e-4
"""Added to the squares under the root of the total variation."""


def predict_refined(
    apply: Callable[[torch.Tensor], torch.Tensor],
    patterns: torch.Tensor,
    measured: torch.Tensor,
    views: int,
    steps: int,
) -> torch.Tensor:
    """What a network makes of several views of each pattern, each refined; the best one of each, refined once more.

    Parameters
    ----------
    apply : (B, N, N) patterns to (B, N, N) complex64 objects of modulus about 0 or 1, any twin and phase
    patterns, measured : (B, N, N) photons and bool
    views : 1 to 8, see :func:`cdipipe.networks.views.predict_views`
    steps : of each of the two rounds of every view, and of the two of the best one
    """
    starts = views_of(apply, patterns, views)
    if views > 1:
        starts = [*starts, mean_of_views(starts)]
    modulus, best, least = patterns.clamp(min=0).sqrt() * measured, None, None
    for start in starts:
        found, loss = refine(refine(start, modulus, measured, steps, RATE)[0], modulus, measured, steps, RATE)
        if best is None:
            best, least = found, loss
        best = torch.where((loss < least)[:, None, None], found, best)
        least = torch.minimum(loss, least)
    return refine(refine(best, modulus, measured, steps, RATE / 2)[0], modulus, measured, steps, RATE / 2)[0]


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
    misfit = (excess.square() / power).sum(axes)
    down, right = objects - torch.roll(objects, 1, -2), objects - torch.roll(objects, 1, -1)
    lengths = (_squared(down) + _squared(right) + SMOOTH).sqrt()
    down, right = down / lengths, right / lengths
    gradient += VARIATION * (down - torch.roll(down, -1, -2) + right - torch.roll(right, -1, -1))
    light = _squared(objects)
    gradient += 2 * FLATNESS * (1 - light) * (1 - 3 * light) * objects
    loss = MISFIT * misfit + VARIATION * lengths.sum(axes) + FLATNESS * (light * (1 - light).square()).sum(axes)
    return loss, gradient


def _squared(values: torch.Tensor) -> torch.Tensor:
    return values.real.square() + values.imag.square()
