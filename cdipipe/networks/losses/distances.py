"""Losses of the papers, each a mean over a batch of a number per sample or per pixel."""

from __future__ import annotations

import torch
from torch.nn import functional

from cdipipe.networks.losses.labels import twin
from cdipipe.optics import fourier


def mean_absolute_error(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean of |p - t| over all pixels."""
    return (prediction - target).abs().mean()


def cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean binary cross-entropy per pixel; the prediction is sigmoid(logits), the target within 0 to 1."""
    return functional.binary_cross_entropy_with_logits(logits, target)


def fourier_r_factor(
    objects: torch.Tensor, modulus: torch.Tensor, measured: torch.Tensor | None = None, ndim: int = 2
) -> torch.Tensor:
    """Mean over the batch of sum_M ||F u| - A| / sum_M A.

    Parameters
    ----------
    objects : (B, *grid) complex64, centred
    modulus : (B, *grid) float32, centred, on the objects' scale
    measured : (B, *grid) or (*grid) bool; None: all pixels
    """
    axes = tuple(range(-ndim, 0))
    weight = torch.ones_like(modulus) if measured is None else measured.to(modulus.dtype)
    misfit = ((fourier.forward(objects, ndim).abs() - modulus).abs() * weight).sum(axes)
    return (misfit / (modulus * weight).sum(axes).clamp(min=1e-12)).mean()


def modulus_error(objects: torch.Tensor, modulus: torch.Tensor, ndim: int = 2) -> torch.Tensor:
    """Mean of ||F u| / max|F u| - A / max A| over all pixels: the physics loss of 3D-CDI-NN."""
    axes = tuple(range(-ndim, 0))
    predicted = fourier.forward(objects, ndim).abs()
    predicted = predicted / predicted.amax(axes, keepdim=True).clamp(min=1e-12)
    return mean_absolute_error(predicted, modulus / modulus.amax(axes, keepdim=True).clamp(min=1e-12))


def object_distance(objects: torch.Tensor, targets: torch.Tensor, twins: bool = True, ndim: int = 2) -> torch.Tensor:
    """Mean over the batch of min |t - e^{i c} u|^2 / |t|^2, over the global phase c and on request over both twins.

    With the best phase the numerator is |t|^2 + |u|^2 - 2 |<t, u>|: neither the phase nor the twin, which the pattern
    does not tell, has to be guessed.

    Parameters
    ----------
    objects, targets : (B, *grid) complex64, targets centred
    """
    axes = tuple(range(-ndim, 0))
    power = targets.abs().square().sum(axes)
    overlap = _modulus((targets.conj() * objects).sum(axes))
    if twins:
        overlap = torch.maximum(overlap, _modulus((twin(targets, ndim).conj() * objects).sum(axes)))
    squared = torch.view_as_real(objects).square().sum((-1, *(axis - 1 for axis in axes)))
    return ((power + squared - 2 * overlap) / power.clamp(min=1e-12)).mean()


def _modulus(values: torch.Tensor) -> torch.Tensor:
    """|z| with a gradient of zero, not NaN, at zero."""
    return (torch.view_as_real(values).square().sum(-1) + 1e-24).sqrt()
