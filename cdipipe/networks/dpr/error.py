"""The loss of DPR: objects are first laid over their targets, then compared in four ways.

    L = mean |X - Y| + 10 mean |grad X - grad Y| (where Y > 0) + 0.1 perceptual + 0.01 R_F

A pattern does not tell where its object is, nor which of the two twins; for a real object the twin is the one turned
by 180 degrees.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cdipipe.networks.losses.perceptual import perceptual_error
from cdipipe.optics import fourier


def lay_over(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both on a canvas of twice the box, the prediction, or it turned by 180 degrees, where it matches the target best.

    Which twin and which shift, by whole pixels and at most half the box, is decided without gradient from the largest
    cross-correlation. Nothing wraps around and nothing is cut off: an object that leaves the box on one side and comes
    back on the other has another pattern, and must not pass for one that is whole.

    Parameters
    ----------
    prediction, target : (B, h, w) float, even sides

    Returns
    -------
    prediction, target : (B, 2 h, 2 w)
    """
    height, width = target.shape[-2:]
    frame = (width // 2, width // 2, height // 2, height // 2)
    prediction, target = functional.pad(prediction, frame), functional.pad(target, frame)
    flipped = prediction.flip((-2, -1))
    with torch.no_grad():
        spectra = fourier.forward_real_corner(torch.stack([prediction, flipped], dim=1).float())
        wanted = fourier.forward_real_corner(target.float())[:, None]
        matches = fourier.inverse_real_corner(wanted * spectra.conj(), target.shape[-2:])
        matches[..., height // 2 + 1 : -(height // 2), :] = -torch.inf
        matches[..., width // 2 + 1 : -(width // 2)] = -torch.inf
        best = matches.flatten(1).argmax(1)
    turned, place = best // (4 * height * width), best % (4 * height * width)
    chosen = torch.where((turned == 1)[:, None, None], flipped, prediction)
    rows = (torch.arange(2 * height, device=best.device) - (place // (2 * width))[:, None]) % (2 * height)
    columns = (torch.arange(2 * width, device=best.device) - (place % (2 * width))[:, None]) % (2 * width)
    items = torch.arange(len(chosen), device=best.device)[:, None, None]
    return chosen[items, rows[:, :, None], columns[:, None, :]], target


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
    height, width = target.shape[-2:]
    laid, wanted = lay_over(prediction, target)
    terms = {
        "mae": (laid - wanted).abs().sum((1, 2)) / (height * width),
        "gradient": gradient_error(laid, wanted),
        "r_factor": fourier_error(prediction, target, size),
    }
    if features is not None:
        rows, columns = slice(height // 2, -(height // 2)), slice(width // 2, -(width // 2))
        terms["perceptual"] = perceptual_error(features, laid[:, rows, columns], target)
    return terms
