"""What the denoiser learns from, clean pictures with noise drawn anew, and what it lowers: minus the mean PSNR."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cdipipe.networks.denoiser.settings import DenoiserSettings
from cdipipe.networks.registry import Stage

LEAST_ERROR = 1e-9
"""Squared error below which a picture is as good as clean."""


def prepare(arrays, settings: DenoiserSettings, generator):
    """``inputs`` (B, 1, H, W) with noise, its standard deviation ``sigma`` (B, 1, 1, 1), and ``clean`` of maximum 1.

    Training turns and mirrors a batch by one of the eight symmetries of the square; validation leaves it as it is.
    """
    clean = arrays["object"].abs()[:, None]
    clean = clean / clean.amax((-2, -1), keepdim=True).clamp(min=1e-6)
    device = clean.device
    if torch.is_grad_enabled():
        turn = int(torch.randint(8, (), generator=generator, device=device))
        clean = torch.rot90(clean.flip(2) if turn >= 4 else clean, turn % 4, (2, 3))
    low, high = map(math.log, settings.sigma)
    sigma = torch.exp(low + (high - low) * torch.rand(len(clean), 1, 1, 1, generator=generator, device=device))
    noise = torch.randn(clean.shape, generator=generator, device=device)
    return {"inputs": clean + sigma * noise, "sigma": sigma, "clean": clean}


def log_error(found: Tensor, clean: Tensor) -> Tensor:
    """Mean over (B, 1, H, W) of 10 log10 of each picture's mean squared error: minus the mean PSNR."""
    return 10 * (found - clean).square().mean((1, 2, 3)).clamp(min=LEAST_ERROR).log10().mean()


def loss(module, batch, settings: DenoiserSettings):
    """Minus the mean PSNR, in dB."""
    error = log_error(module(batch["inputs"], batch["sigma"]).float(), batch["clean"])
    return error, {"psnr_db": -error.detach()}


def stages(settings: DenoiserSettings) -> tuple[Stage, ...]:
    return (Stage("all", loss),)
