"""Misfits of a batch to the counts, and total variation, with their gradients.

Every misfit is about half the deviance, so that a weight beside it means the same for all: near the truth

    sum (J - I + I ln(I / J))  ~  2 sum (sqrt(J) - sqrt(I))^2.

Gradients are G = dL/dRe u + i dL/dIm u = 2 dL/du*; with the prediction J = |F u|^2 that is 2 F^-1 [dL/dJ F u].
"""

from __future__ import annotations

import torch

POISSON_FLOOR = 1e-2
"""Photons per pixel added to counts and model: keeps the logarithm finite."""


def poisson_misfit(predicted, problem):
    """Negative log-likelihood, (B,), 0 for a perfect fit; and dL/dJ, (B, *grid)."""
    counts = problem.intensity.clamp(min=0) + POISSON_FLOOR
    expected = predicted + POISSON_FLOOR
    ratio = counts / expected
    deviance = expected - counts + counts * ratio.log()
    return _total(deviance * problem.measured), (1 - ratio) * problem.measured


def amplitude_misfit(predicted, problem):
    """2 sum (sqrt(J) - b)^2, (B,); and dL/dJ, (B, *grid)."""
    modulus = predicted.sqrt()
    excess = (modulus - problem.modulus) * problem.measured
    return 2 * _total(excess.square()), 2 * excess / modulus.clamp(min=1e-6)


def shape_misfit(predicted, problem):
    """2 sum (s sqrt(J) - b)^2 with s = max b / max sqrt(J): the scale is free; (B,), and dL/dJ, (B, *grid).

    The sum of squares between amplitudes that are each divided by their maximum (3D-CDI-NN), in photons again.
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


def total_variation(exit_wave, ndim, smoothing):
    """Isotropic total variation sum sqrt(sum_axes |D u|^2 + d^2) of a complex batch, periodic; (B,), and its gradient.

    Parameters
    ----------
    exit_wave : (B, *grid) complex
    smoothing : d, (B, 1, ...) real: differences well below count by their square
    """
    axes = range(-ndim, 0)
    differences = [exit_wave.roll(-1, axis) - exit_wave for axis in axes]
    length = sum((d.abs().square() for d in differences), smoothing.square()).sqrt_()
    gradient = torch.zeros_like(exit_wave)
    for axis, difference in zip(axes, differences, strict=True):
        difference /= length
        gradient += difference.roll(1, axis) - difference
    return _total(length), gradient


def _total(values):
    return values.flatten(1).sum(1, dtype=torch.float64)
