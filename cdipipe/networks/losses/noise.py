"""Poisson noise drawn anew each time a noise-free sample is seen."""

from __future__ import annotations

import math

import torch


def draw_noise(
    intensity: torch.Tensor, photons: tuple[float, float] | None, share: float, generator: torch.Generator
) -> torch.Tensor:
    """Counts of patterns whose photons are log-uniform in a range, on the scale of the patterns given.

    Parameters
    ----------
    intensity : (B, *grid) float32, noise-free, on any scale
    photons : lowest and highest mean number of photons of a pattern; None returns the patterns
    share : of the patterns that get noise
    generator : on the patterns' device
    """
    if photons is None:
        return intensity
    low, high = (math.log(value) for value in photons)
    view = (-1,) + (1,) * (intensity.ndim - 1)
    draws = torch.rand((2, len(intensity)), generator=generator, device=intensity.device)
    wanted = torch.exp(low + (high - low) * draws[0])
    scale = (wanted / intensity.flatten(1).sum(1).clamp(min=1e-12)).reshape(view)
    counts = torch.poisson(intensity.clamp(min=0) * scale, generator=generator) / scale
    return torch.where((draws[1] < share).reshape(view), counts, intensity)
