"""How far predicted photons are from counts: the Poisson likelihood and squared differences of moduli.

Every misfit is about half the deviance, half a unit per pixel at the truth, so that a weight beside it means the same
for all of them: near the truth

    sum (J - I + I ln(I / J))  ~  2 sum (sqrt(J) - sqrt(I))^2.

The functions per pixel are differentiable; ``MISFITS`` come with their derivatives by the prediction. With J = |F u|^2
the gradient G = dL/dRe u + i dL/dIm u = 2 dL/du* is then 2 F^-1 [dL/dJ F u].
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

FLOOR = 1e-2
"""Photons per pixel added to counts and prediction, so that logarithm and square root have a slope everywhere."""
LEAST_PREDICTED_PHOTONS = 1e-12
"""Floor of a scaled prediction inside the logarithm, where it vanishes and a photon was counted."""
DARKEST = -1 + 1e-7
"""Keeps the logarithm finite where a very bright pixel is predicted dark."""


def trusted_counts(intensity: Tensor, pixels: Tensor) -> Tensor:
    """Counts of at least 0, and 0 where ``pixels`` is False: a saturated pixel may hold anything.

    Parameters
    ----------
    intensity : real, photons
    pixels : bool of the same shape

    Returns
    -------
    Tensor of the shape and dtype of ``intensity``
    """
    return torch.where(pixels, intensity.clamp(min=0), 0.0)


def poisson_deviance(predicted: Tensor, counts: Tensor, floor: float = FLOOR) -> Tensor:
    """J - I + I ln(I / J) per pixel, half the deviance of Poisson counts; 0 for a perfect fit.

    Formed from the difference of both, so that bright pixels lose no digits.

    Parameters
    ----------
    predicted, counts : real, photons, >= 0
    floor : photons per pixel added to both
    """
    excess, raised = predicted - counts, counts + floor
    return excess - raised * (excess / raised).clamp(min=DARKEST).log1p()


def poisson_terms(predicted: Tensor, counts: Tensor, floor: float = FLOOR) -> tuple[Tensor, Tensor]:
    """J - I + I ln(I / J) and its derivative 1 - I / J per pixel, in one pass.

    As :func:`poisson_deviance` but for the rounding of bright pixels.

    Parameters
    ----------
    predicted, counts : J and I, real, photons, >= 0
    floor : photons per pixel added to both

    Returns
    -------
    deviance, derivative : of the shape of both
    """
    counts, expected = counts + floor, predicted + floor
    ratio = counts / expected
    return expected - counts + counts * ratio.log(), 1 - ratio


def poisson_cost(raised: Tensor, counts: Tensor, floor: float = FLOOR) -> Tensor:
    """J - I - I ln(J / I) per pixel of predictions to which the floor was added already; under the logarithm to I, too.

    For comparing predictions of the same counts: large terms cancel before they are summed, and memory is saved.

    Parameters
    ----------
    raised : J with the floor, real, photons, > 0
    counts : I, real, photons, >= 0
    floor : photons per pixel added to I under the logarithm
    """
    return raised - counts - counts * (raised / (counts + floor)).log_()


def poisson_slope(predicted: Tensor, counts: Tensor, floor: float = FLOOR) -> Tensor:
    """Derivative of :func:`poisson_deviance` by the prediction, 1 - I / J.

    Parameters
    ----------
    predicted, counts : J and I, real, photons, >= 0
    floor : photons per pixel added to both
    """
    return 1 - (counts + floor) / (predicted + floor)


def amplitude_deviance(predicted: Tensor, counts: Tensor, floor: float = FLOOR) -> Tensor:
    """2 (sqrt J - sqrt I)^2 per pixel: slope and curvature at the truth are those of the Poisson deviance.

    Parameters
    ----------
    predicted, counts : J and I, real, photons, >= 0
    floor : photons per pixel added to both
    """
    return 2 * ((predicted + floor).sqrt() - (counts + floor).sqrt()).square()


def amplitude_distance(predicted: Tensor, counts: Tensor, floor: float = FLOOR) -> Tensor:
    """|sqrt J - sqrt I| per pixel.

    Parameters
    ----------
    predicted, counts : J and I, real, photons, >= 0
    floor : photons per pixel added to both
    """
    return ((predicted + floor).sqrt() - (counts + floor).sqrt()).abs()


PER_PIXEL = {"poisson": poisson_deviance, "amplitude_mse": amplitude_deviance, "amplitude_mae": amplitude_distance}


def misfit(predicted: Tensor, intensity: Tensor, pixels: Tensor, kind: str) -> Tensor:
    """Sum of a misfit over some pixels of each pattern of a batch; differentiable.

    Parameters
    ----------
    predicted : (B, *grid) photons
    intensity : (*grid) or (B, *grid) counts
    pixels : bool, shape of ``intensity``
    kind : of ``PER_PIXEL``

    Returns
    -------
    (B,)
    """
    per_pixel = PER_PIXEL[kind](predicted, trusted_counts(intensity, pixels))
    return (per_pixel * pixels).flatten(1).sum(1)


def scaled_poisson_nll(predictions: Iterable[Tensor], intensity: Tensor, pixels: Tensor) -> Tensor:
    """Mean of J - I + I ln(I / J) over some pixels, with J scaled to the photons there, as ``evaluate`` has it.

    Parameters
    ----------
    predictions : of (*grid) photons on any scale, one after another
    intensity, pixels : (*grid) counts, and bool

    Returns
    -------
    (predictions,) float64
    """
    counts = intensity.clamp(min=0) * pixels
    total, number = counts.sum(dtype=torch.float64), pixels.sum()
    entropy = (counts * counts.clamp(min=1e-20).log()).sum(dtype=torch.float64)
    found = []
    for predicted in predictions:
        predicted = predicted * pixels
        scale = total / predicted.sum(dtype=torch.float64).clamp(min=1e-20)
        logarithm = (predicted * scale).clamp(min=LEAST_PREDICTED_PHOTONS).log().to(torch.float32)
        found.append((entropy - (counts * logarithm).sum(dtype=torch.float64)) / number)
    return torch.stack(found)


def r_factor(predicted: Tensor, modulus: Tensor, pixels: Tensor, modulus_sum: float | Tensor) -> Tensor:
    """sum |sqrt J - b| / sum b over some pixels of each pattern of a batch, (B,).

    Parameters
    ----------
    predicted : (B, *grid) photons
    modulus : (*grid) b, square root of the counts
    pixels : (*grid) bool
    modulus_sum : sum of b over them
    """
    return ((predicted.sqrt() - modulus).abs() * pixels).flatten(1).sum(1) / modulus_sum


def poisson_misfit(predicted: Tensor, problem) -> tuple[Tensor, Tensor]:
    """Sum of J - I + I ln(I / J), (B,) float64; and dL/dJ, (B, *grid).

    Parameters
    ----------
    predicted : J, (B, *grid) real, photons
    problem : its ``intensity`` and ``measured``, (*grid)
    """
    deviance, slope = poisson_terms(predicted, trusted_counts(problem.intensity, problem.measured))
    return _total(deviance * problem.measured), slope * problem.measured


def amplitude_misfit(predicted: Tensor, problem) -> tuple[Tensor, Tensor]:
    """2 sum (sqrt(J) - b)^2, (B,) float64, without a floor; and dL/dJ, (B, *grid).

    Parameters
    ----------
    predicted : J, (B, *grid) real, photons
    problem : its ``modulus`` b and ``measured``, (*grid)
    """
    modulus = predicted.sqrt()
    excess = (modulus - problem.modulus) * problem.measured
    return 2 * _total(excess.square()), 2 * excess / modulus.clamp(min=1e-6)


def shape_misfit(predicted: Tensor, problem) -> tuple[Tensor, Tensor]:
    """2 sum (s sqrt(J) - b)^2 with s = max b / max sqrt(J): the scale is free; (B,), and dL/dJ, (B, *grid).

    The sum of squares between amplitudes that are each divided by their maximum (3D-CDI-NN), in photons again.

    Parameters
    ----------
    predicted : J, (B, *grid) real, photons
    problem : its ``modulus`` b and ``measured``, (*grid)
    """
    modulus = (predicted * problem.measured).sqrt()
    flat = modulus.flatten(1)
    top, place = flat.max(1, keepdim=True)
    top = top.clamp(min=1e-20)
    scale = (problem.modulus * problem.measured).max() / top
    excess = scale * flat - (problem.modulus * problem.measured).flatten()
    slope = 4 * scale * excess
    # the brightest pixel also sets the scale of all others
    slope.scatter_add_(1, place, -4 * scale / top * (excess * flat).sum(1, keepdim=True))
    weight = (slope / (2 * flat.clamp(min=1e-6))).reshape(modulus.shape)
    return 2 * _total(excess.square().reshape(modulus.shape)), weight * problem.measured


MISFITS = {"poisson": poisson_misfit, "amplitude": amplitude_misfit, "max_amplitude": shape_misfit}
"""Misfits of a batch (B, *grid) to a problem's counts, with their derivatives, by the names of ``ad_refine``."""


def _total(values: Tensor) -> Tensor:
    return values.flatten(1).sum(1, dtype=torch.float64)
