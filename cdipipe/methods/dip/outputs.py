"""From the channels of a network to an object that satisfies the constraint."""

from __future__ import annotations

import torch

HEADROOM = 1.1
"""Largest value of a bounded output over the scale: a sigmoid reaches its end only slowly."""


def count_channels(constraint) -> int:
    """Channels that the network needs: one for a real object, two for a complex one."""
    return 1 if constraint == "real_nonneg" else 2


def shape_object(channels, scale, constraint, phase_range_rad):
    """An object within its constraint.

    Parameters
    ----------
    channels : (C, *box) float32, any value
    scale : modulus that counts as 1
    constraint, phase_range_rad : see ``Recipe``

    Returns
    -------
    (*box) complex64
    """
    bounded = HEADROOM * torch.sigmoid(channels)
    if constraint == "real_nonneg":
        return scale * torch.complex(bounded[0], torch.zeros_like(bounded[0]))
    if constraint == "support":
        return scale * torch.complex(channels[0], channels[1])
    if constraint == "re_nonneg":
        return scale * torch.complex(bounded[0], channels[1])
    if constraint == "quadrant":
        return scale * torch.complex(bounded[0], bounded[1])
    low, high = phase_range_rad
    return torch.polar(scale * bounded[0], low + (high - low) * torch.sigmoid(channels[1]))
