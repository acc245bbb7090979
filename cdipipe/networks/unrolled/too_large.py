"""Objects that are larger than the box of a network: the autocorrelation tells before any work is done."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cdipipe.errors import InputError
from cdipipe.io.describe import estimate_object_extent
from cdipipe.optics import fourier

FAR = 0.45
"""Of a grid's side: what lies at larger lags tells the noise."""
SHARE = 2e-4
"""Of the autocorrelation's square that may lie at lags which the box does not have."""
DEVIATIONS = 5.0
"""And so many standard deviations of its noise."""


def refuse_large(intensity: Tensor, measured: Tensor, box_px: int) -> None:
    """Refuse whole patterns (B, H, W) of objects that do not fit into a box. Where pixels are missing, no lag tells.

    Raises
    ------
    InputError   names the first one
    """
    for index in torch.nonzero(measured.flatten(1).all(1)).flatten().tolist():
        if _is_larger(intensity[index].clamp(min=0), box_px):
            raise InputError(
                f"unrolled: the object of pattern {index + 1} of {len(intensity)} is larger than the {box_px} pixels"
                " that the network takes (its autocorrelation reaches farther); crop the pattern (cdipipe import "
                "--crop), or train a network with a larger network.box_px and give --checkpoint RUN/best.pt"
            )


def _is_larger(counts: Tensor, box_px: int) -> bool:
    """Whether the autocorrelation of a pattern (H, W) reaches beyond that of a box."""
    extents = estimate_object_extent(counts.cpu().numpy(), torch.ones_like(counts, dtype=torch.bool).cpu().numpy())
    if any(extent is None or extent > box_px for extent in extents):
        return True
    lags = fourier.inverse_corner(fourier.to_corner(counts[None].to(torch.complex64), 2), 2)[0].abs().square()
    beyond, far = torch.zeros_like(lags, dtype=torch.bool), torch.zeros_like(lags, dtype=torch.bool)
    for axis, side in enumerate(counts.shape):
        lag = torch.fft.fftfreq(side, 1 / side, device=lags.device).abs().reshape([-1, 1] if axis == 0 else [1, -1])
        beyond, far = beyond | (lag > box_px), far | (lag > FAR * side)
    beyond &= ~far
    if not beyond.any():
        return False
    noise, count, others = float(lags[far].mean()), int(beyond.sum()), int(far.sum())
    excess, total = float(lags[beyond].sum()) - count * noise, float(lags.sum())
    # noise of neighbouring lags is alike, as far as the autocorrelation reaches: so many of them are independent
    independent = float(counts.sum()) ** 2 / max(float(counts.square().sum()), 1e-12) / 2
    deviation = count * noise * math.sqrt(counts.numel() / independent * (1 / count + 1 / others))
    return excess > max(SHARE * total, DEVIATIONS * deviation)
