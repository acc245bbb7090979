"""The loss of DPR: objects are first laid over their targets, then compared in four ways.

    L = mean |X - Y| + 10 mean |grad X - grad Y| (where Y > 0) + 0.1 perceptual + 0.01 R_F

A pattern does not tell where its object is, nor which of the two twins; for a real object the twin is the one turned
by 180 degrees.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cdipipe.optics import fourier
from cdipipe.training.perceptual import perceptual_error


def lay_over(prediction: Tensor, target: Tensor) -> Tensor:
    """Prediction, or it turned by 180 degrees, rolled by whole pixels to where it matches the target best.

    Which twin and which shift is decided without gradient, from the largest cross-correlation; the result is a roll of
    the prediction, so that gradients come back to where its pixels are from.

    Parameters
    ----------
    prediction, target : (B, h, w) float
    """
    with torch.no_grad():
        twins = torch.stack([prediction, prediction.flip((-2, -1))], dim=1).float()
        spectra = fourier.forward_real_corner(twins)
        wanted = fourier.forward_real_corner(target.float())[:, None]
        matches = fourier.inverse_real_corner(wanted * spectra.conj(), target.shape[-2:])
        best = matches.flatten(1).argmax(1)
    height, width = target.shape[-2:]
    turned, place = best // (height * width), best % (height * width)
    chosen = torch.where((turned == 1)[:, None, None], prediction.flip((-2, -1)), prediction)
    rows = (torch.arange(height, device=best.device) - (place // width)[:, None]) % height
    columns = (torch.arange(width, device=best.device) - (place % width)[:, None]) % width
    items = torch.arange(len(chosen), device=best.device)[:, None, None]
    return chosen[items, rows[:, :, None], columns[:, None, :]]


def gradient_error(prediction: Tensor, target: Tensor) -> Tensor:
    """(B,) sum of |grad X - grad Y| over the pixels with Y > 0, over their number; central differences."""
    inside = (target > 0).to(prediction.dtype)
    difference = prediction - target
    rows = (difference[:, 2:] - difference[:, :-2]).abs() * inside[:, 1:-1]
    columns = (difference[:, :, 2:] - difference[:, :, :-2]).abs() * inside[:, :, 1:-1]
    return (rows.sum((1, 2)) + columns.sum((1, 2))) / 2 / inside.sum((1, 2)).clamp(min=1)


def fourier_error(prediction: Tensor, target: Tensor, size: int) -> Tensor:
    """(B,) R-factor of the moduli of the prediction's and the target's transforms on the pattern's grid."""
    wanted = fourier.forward_box_corner(target, (size, size)).abs()
    got = fourier.forward_box_corner(prediction, (size, size)).abs()
    return (got - wanted).abs().sum((1, 2)) / wanted.sum((1, 2)).clamp(min=torch.finfo(wanted.dtype).tiny)


def dpr_terms(prediction: Tensor, target: Tensor, size: int, features: nn.Module | None = None) -> dict[str, Tensor]:
    """Each part of the loss per sample, (B,).

    Parameters
    ----------
    prediction, target : (B, h, w) float, on a scale where the target's largest value is 1
    size : pattern pixels per axis
    features : network of the perceptual part; None: without it
    """
    prediction = lay_over(prediction, target)
    terms = {
        "mae": (prediction - target).abs().mean((1, 2)),
        "gradient": gradient_error(prediction, target),
        "r_factor": fourier_error(prediction, target, size),
    }
    if features is not None:
        terms["perceptual"] = perceptual_error(features, prediction, target)
    return terms
