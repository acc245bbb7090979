"""What a fit lowers: misfit of the pattern, in units of the photon noise, and total variation of the exit wave."""

from __future__ import annotations

import torch

FLOOR = 1e-2
"""Photons per pixel added to counts and prediction, so that logarithm and square root have a slope everywhere."""
DARKEST = -1 + 1e-7
"""Keeps the logarithm finite where a very bright pixel is predicted dark."""
SMOOTHING = 1e-2
"""Share of an object's modulus below which a step between pixels counts as none: keeps the slope of TV finite."""


def misfit(predicted, problem, loss: str, pixels):
    """Misfit of each pattern of a batch on some pixels; expected about half a unit per pixel at the truth.

    Parameters
    ----------
    predicted : (B, *grid) photons, FFT order
    problem : Problem
    loss : ``poisson``, ``amplitude_mse`` or ``amplitude_mae``
        J - I + I ln(I / J); 2 (sqrt J - sqrt I)^2, which has the same slope and curvature at the truth; or the modulus
        of the difference of the moduli.
    pixels : (*grid) bool

    Returns
    -------
    (B,) float32 sums
    """
    measured = torch.where(pixels, problem.intensity.clamp(min=0), 0.0)  # a saturated pixel may hold anything
    counts, expected = measured + FLOOR, predicted + FLOOR
    if loss == "poisson":
        excess = predicted - measured
        per_pixel = excess - counts * (excess / counts).clamp(min=DARKEST).log1p()
    elif loss == "amplitude_mse":
        per_pixel = 2 * (expected.sqrt() - counts.sqrt()).square()
    else:
        per_pixel = (expected.sqrt() - counts.sqrt()).abs()
    return (per_pixel * pixels).flatten(1).sum(1)


def total_variation(objects, modulus: float):
    """Isotropic total variation sum |grad u| of a batch of complex objects, zero outside their block; (B,).

    ``modulus`` is that of the object, see ``SMOOTHING``.
    """
    ndim = objects.ndim - 1
    padded = torch.nn.functional.pad(torch.view_as_real(objects), (0, 0) + (1, 1) * ndim)
    inner = (slice(None),) + (slice(0, -1),) * ndim
    total = (SMOOTHING * modulus) ** 2
    for axis in range(1, ndim + 1):
        ahead = tuple(slice(1, None) if a == axis else part for a, part in enumerate(inner))
        total = total + (padded[ahead] - padded[inner]).square().sum(-1)
    return (total.sqrt() - SMOOTHING * modulus).flatten(1).sum(1)
