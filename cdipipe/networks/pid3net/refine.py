"""The refinement block of PID3Net: unrolled steps of multi-mode PIE on what the network drew.

    G = sum_m P_m* (psi'_m - P_m O) / sum_m max |P_m|^2       psi'_m: P_m O with the measured moduli
    gradient:  O <- O + alpha G
    learned:   O <- O + alpha A(|G|) exp(i Phi(arg G))        A, Phi: temporal blocks on a few frames together

alpha is fitted. The learned step follows the description that its amplitude ends in a sigmoid and its phase in a scaled
tanh; so that it vanishes with G, which a sigmoid alone does not, the sigmoid weighs |G| here: A(|G|) = 2 |G| sigmoid.

References
----------
Vu et al., npj Comput. Mater. 11, 66 (2025), doi:10.1038/s41524-025-01549-y
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cdipipe.networks.pid3net.model import TemporalBlock
from cdipipe.optics import fourier
from cdipipe.optics.forward import ForwardModel

FIRST_ALPHA = 0.2
FLOOR = 1e-3
"""Photons per pixel added under a square root, so that it has a slope everywhere."""
TINY = 1e-6
"""Modulus of G below which it has no direction."""


class Beam:
    """What a forward model with probe modes does to transmissions, with slopes everywhere; arrays in FFT order."""

    def __init__(self, model: ForwardModel):
        self.model = model
        self.most = model.probe_modes.abs().square().amax((-2, -1)).sum()

    def photons(self, objects: Tensor) -> Tensor:
        """(..., H, W) -> photons (..., H, W)."""
        return _power(self.model.propagate(objects)).sum(-3)

    def step(self, objects: Tensor, moduli: Tensor, measured: Tensor) -> Tensor:
        """G of objects (..., H, W): what brings their wavefronts nearer to the measured moduli."""
        waves = self.model.propagate(objects)
        length = (_power(waves).sum(-3) + FLOOR).sqrt()
        change = torch.where(measured, moduli / length - 1, 0.0).unsqueeze(-3) * waves
        return self.model.backpropagate(change) / self.most


def _power(waves: Tensor) -> Tensor:
    return waves.real.square() + waves.imag.square()


class Refinement(nn.Module):
    """Some steps towards the measured moduli, (B, T, H, W) complex64 in FFT order.

    Parameters
    ----------
    kind : ``learned``, ``gradient`` or ``none``
    steps : how many
    width : features of the temporal blocks of learned steps; the same blocks serve every step
    """

    def __init__(self, kind: str = "learned", steps: int = 5, width: int = 32):
        super().__init__()
        self.steps = 0 if kind == "none" else steps
        self.alpha = nn.Parameter(torch.tensor(FIRST_ALPHA))
        self.turn = nn.Parameter(torch.tensor(1.0))
        self.blocks = None
        if kind == "learned":
            self.blocks = nn.ModuleList(
                nn.Sequential(TemporalBlock(1, width), nn.Conv3d(width, 1, 1)) for _ in range(2)
            )

    def forward(self, objects: Tensor, beam: Beam, moduli: Tensor, measured: Tensor, lit: Tensor) -> Tensor:
        for _ in range(self.steps):
            change = beam.step(objects, moduli, measured) * lit
            if self.blocks is not None:
                change = self._learned(change) * lit
            objects = objects + self.alpha * change
        return objects

    def _learned(self, change: Tensor) -> Tensor:
        length = (_power(change) + TINY**2).sqrt()
        scale = length.detach().mean().clamp(min=TINY)
        angle = torch.atan2(change.imag, torch.where(length > 2 * TINY, change.real, 1.0))
        weight, turn = (
            fourier.to_corner(block(fourier.to_centre(part).unsqueeze(1)).squeeze(1))
            for block, part in zip(self.blocks, (length / scale, angle / math.pi), strict=True)
        )
        return torch.polar(2 * length * weight.sigmoid(), angle + self.turn * turn.tanh())
