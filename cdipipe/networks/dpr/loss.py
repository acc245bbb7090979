"""The loss of DPR: objects are first laid over their targets, then compared in four ways.

    L = mean |X - Y| + 10 mean |grad X - grad Y| (where Y > 0) + 0.1 perceptual + 0.01 R_F

A pattern does not tell where its object is, nor which of the two twins; for a real object the twin is the one turned
by 180 degrees.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cdipipe.networks.dpr.model import centre_box
from cdipipe.networks.dpr.settings import DprSettings
from cdipipe.networks.losses.noise import draw_noise
from cdipipe.networks.losses.perceptual import load_features, perceptual_error
from cdipipe.networks.registry import Stage
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


def prepare(arrays, settings: DprSettings, generator):
    """``inputs`` (B, H, W) photons, ``measured`` (B, H, W), ``objects`` (B, h, w) of maximum 1, their ``scale``."""
    intensity = draw_noise(arrays["intensity"], settings.photons, settings.noise_share, generator)
    objects = centre_box(arrays["object"].abs(), settings.network.box_px)
    scale = objects.amax((-2, -1), keepdim=True).clamp(min=1e-12)
    return {"inputs": intensity, "measured": arrays["measured"], "objects": objects / scale, "scale": scale}


def loss(module, batch, settings: DprSettings):
    """Weighted sum of the parts of the loss, averaged over the batch."""
    objects = module(batch["inputs"], batch["measured"]).float() / batch["scale"]
    features = None
    if settings.perceptual_weights is not None and settings.perceptual_weight > 0:
        features = load_features(settings.perceptual_weights, str(objects.device))
    terms = dpr_terms(objects, batch["objects"], settings.network.size, features)
    weights = {
        "mae": settings.mae_weight,
        "gradient": settings.gradient_weight,
        "r_factor": settings.fourier_weight,
        "perceptual": settings.perceptual_weight,
    }
    each = sum(weights[name] * term for name, term in terms.items())
    if settings.reference_photons is not None:
        photons = (batch["inputs"].clamp(min=0) * batch["measured"]).sum((-2, -1))
        each = each * (photons / settings.reference_photons).sqrt()
    return each.mean(), {name: term.detach().mean() for name, term in terms.items()}


def stages(settings: DprSettings) -> tuple[Stage, ...]:
    return (Stage("all", loss),)
